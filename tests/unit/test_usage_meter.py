"""What a process adds up until it is written."""

from collections.abc import Iterable

from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.testing.clock import Clock
from tenantapp.usage.meter import Meter, TenantHour, Used


def places(*slugs: str) -> list[TenantPlace]:
    return [TenantPlace(uuid7(), slug, "", "main", "") for slug in slugs]


def requests(taken: Iterable[tuple[TenantHour, Used]]) -> dict[tuple[str, int], int]:
    return {(used.slug, key.hour.hour): used.requests for key, used in taken}


def test_each_hour_is_added_up_by_itself(clock: Clock) -> None:
    meter, (acme, globex) = Meter(), places("acme", "globex")
    hour = clock.freeze().hour
    for place in (acme, acme, globex):
        meter.add_request(place, 0.5, 0.25, 1, 10)
    meter.add_sent(acme, 90, 0.25)
    clock.advance(hours=1)
    meter.add_request(acme, 1, 0, 0, 0)
    taken = meter.take()
    next_hour = (hour + 1) % 24
    assert requests(taken.items()) == {("acme", hour): 2, ("globex", hour): 1, ("acme", next_hour): 1}
    first = next(iter(taken.values()))
    assert (first.seconds, first.database_seconds, first.rows_written, first.bytes_sent) == (1.25, 0.75, 2, 110)
    assert meter.take() == {}


def test_what_is_given_back_is_added_to_what_came_meanwhile(clock: Clock) -> None:
    meter, (acme,) = Meter(), places("acme")
    hour = clock.freeze().hour
    meter.add_request(acme, 1, 0, 0, 0)
    taken = meter.take()
    meter.add_request(acme, 1, 0, 0, 0)
    meter.give_back(taken)
    meter.add_request(acme, 1, 0, 0, 0)
    assert requests(meter.take().items()) == {("acme", hour): 3}


def test_its_memory_is_bounded() -> None:
    meter, tenants = Meter(most=3), places("a", "b", "c", "d")
    for place in tenants:
        meter.add_request(place, 1, 0, 0, 0)
    meter.add_sent(tenants[3], 10, 0)
    assert meter.left_out == 1
    taken = meter.take()
    assert sorted(used.slug for used in taken.values()) == ["a", "b", "c"]
    for place in tenants:
        meter.add_request(place, 1, 0, 0, 0)
    meter.give_back(taken)
    assert [used.requests for used in meter.take().values()] == [2, 2, 2]
    assert meter.left_out == 2
