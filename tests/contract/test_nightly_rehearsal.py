"""Each night a worker restores the newest backup of some tenant, to see whether that works."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tenantapp.fleet.backups import nightly_rehearsal
from tenantapp.fleet.backups.nightly_rehearsal import REHEARSE
from tenantapp.operations.models import Operation
from tenantapp.setting_types import time_of_day
from tests.contract.conftest import Fleet
from tests.contract.kept import Kept

DAY = timedelta(days=1)


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


def rehearse_nightly(kept: Kept) -> None:
    """Let workers do so from now on. That of today is due."""
    kept.fleet.change_settings(backups_rehearse="00:00")


def rehearsals(kept: Kept) -> list[Operation]:
    def read(session: Any) -> list[Operation]:
        found = list(session.scalars(select(Operation).where(Operation.kind == REHEARSE.name).order_by(Operation.id)))
        session.expunge_all()
        return found

    found: list[Operation] = kept.within(read)
    return found


def test_each_tenant_has_its_turn_once_a_night(kept: Kept) -> None:
    kept.fleet.create("globex")
    kept.done(kept.backup())
    rehearse_nightly(kept)
    before = kept.fleet.made()
    kept.work()
    kept.done(kept.backup("globex"))
    [first] = rehearsals(kept)
    yesterday = update(Operation).where(Operation.id == first.id).values(created_at=first.created_at - DAY)
    kept.within(lambda session: session.execute(yesterday))
    kept.work()
    assert [(each.slug, each.state) for each in rehearsals(kept)] == [("acme", "succeeded"), ("globex", "succeeded")]
    assert first.result["backup"] == kept.store.records(kept.place().id)[0].id
    assert (first.result["server"], first.result["rows"] >= 1) == ("main", True)
    assert {thing for thing in kept.fleet.made() if not thing.endswith(("-wal", "-shm"))} <= before


def test_a_damaged_backup_is_noticed_and_the_worker_goes_on(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.done(kept.backup())
    assert rehearsals(kept) == []  # without the setting there are none
    record = kept.store.records(kept.place().id)[0]
    file = Path(str(kept.fleet.settings.backups_store)) / record.file
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    before = kept.fleet.made()
    rehearse_nightly(kept)
    kept.work()
    wrong = f"The backup {record.file} is damaged: its size or checksum is not that of its record."
    assert [(each.state, each.error) for each in rehearsals(kept)] == [("failed", wrong)]
    assert wrong in caplog.text
    assert kept.fleet.made() == before
    kept.done(kept.backup())
    assert len(rehearsals(kept)) == 1


def test_a_database_that_was_altered_by_hand_is_named(kept: Kept) -> None:
    kept.execute("ALTER TABLE tags ADD COLUMN extra integer")
    rehearse_nightly(kept)
    kept.done(kept.backup())
    [done] = rehearsals(kept)
    assert (done.state, done.result["drift"]) == ("succeeded", ["table tags: column extra should not be there"])


def test_the_last_time_that_it_was_due() -> None:
    now = datetime(2026, 3, 4, 3, 30, tzinfo=UTC)
    expected = {time(3, 30): now, time(0, 0): now.replace(hour=0, minute=0), time(3, 31): now.replace(minute=31) - DAY}
    assert {at: nightly_rehearsal._last(at, now) for at in expected} == expected


@pytest.mark.parametrize("wrong", ["24:00", "3:30", "03:30:00", "nightly", "true"])
def test_it_is_a_time_of_day(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be a time of day such as 03:30"):
        time_of_day(wrong)
