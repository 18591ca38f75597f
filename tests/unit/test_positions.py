"""Positions, as clients keep them."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.positions import MOST_KEPT, MOST_SENT, KeptPositions, Log, LogPosition, Positions, parse_lsn

PERSON = UUID(int=1)
PLACE = TenantPlace(UUID(int=2), "acme", "Acme", "main", "tenant_acme", "epoch")
LOG = Log(cluster=7, timeline=1)
POSITIONS = Positions("a secret")


def told(lsn: int) -> str:
    return POSITIONS.told(LogPosition(LOG, lsn), PERSON, PLACE)


def test_an_lsn_is_read_as_postgresql_writes_it() -> None:
    assert parse_lsn("16/B374D848") == 0x16_B374D848


def test_the_newest_of_several_counts_and_all_must_be_valid() -> None:
    assert POSITIONS.newest([told(5), told(2**40), told(7)], LOG, PERSON, PLACE) == 2**40
    assert POSITIONS.newest([], LOG, PERSON, PLACE) is None
    assert POSITIONS.newest([told(5), "unknown"], LOG, PERSON, PLACE) is None
    assert POSITIONS.newest([told(5)] * MOST_SENT, LOG, PERSON, PLACE) == 5
    assert POSITIONS.newest([told(5)] * (MOST_SENT + 1), LOG, PERSON, PLACE) is None


@pytest.mark.parametrize(
    ("log", "person", "place", "secret"),
    [
        (LOG._replace(timeline=2), PERSON, PLACE, "a secret"),
        (LOG._replace(cluster=8), PERSON, PLACE, "a secret"),
        (LOG, UUID(int=3), PLACE, "a secret"),
        (LOG, PERSON, replace(PLACE, id=UUID(int=3)), "a secret"),
        (LOG, PERSON, replace(PLACE, server="other"), "a secret"),
        (LOG, PERSON, replace(PLACE, database="tenant_other"), "a secret"),
        (LOG, PERSON, replace(PLACE, epoch="next"), "a secret"),
        (LOG, PERSON, PLACE, "another secret"),
    ],
)
def test_a_position_counts_only_for_what_it_was_told_for(
    log: Log, person: UUID, place: TenantPlace, secret: str
) -> None:
    assert POSITIONS.newest([told(5)], LOG, PERSON, PLACE) == 5
    assert Positions(secret).newest([told(5)], log, person, place) is None


def test_a_browser_keeps_the_positions_of_the_last_tenants() -> None:
    tenants = [uuid4() for _ in range(MOST_KEPT + 2)]
    value = ""
    for number, tenant in enumerate(tenants):
        value = KeptPositions(value).with_position(tenant, told(number))
    kept = KeptPositions(value)
    assert [kept.of(tenant) for tenant in tenants] == [[], [], *([told(number)] for number in range(2, MOST_KEPT + 2))]
    assert len(value) < 400
    assert KeptPositions(value).with_position(tenants[-1], None) == value.partition(".")[2]


@pytest.mark.parametrize("value", ["", ".", "....", "x", "x" * 500, f"{'A' * 8}.{'B' * 9}", "A.B" * 100])
def test_what_a_browser_sends_may_be_anything(value: str) -> None:
    kept = KeptPositions(value).with_position(PLACE.id, told(5))
    assert KeptPositions(kept).of(PLACE.id) == [told(5)]
    assert len(kept) < 400
