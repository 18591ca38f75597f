"""Backups, restores and final copies killed (SIGKILL) at each of their points: another worker finishes them."""

from pathlib import Path

import pytest

from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.schemas.expected import version_of
from tenantapp.fleet.backups.restored_forms import restored_form, side_of_revision
from tests.contract.conftest import Fleet
from tests.contract.health import nothing_is_left_over, works
from tests.contract.kept import Kept
from tests.contract.killed import BEGINNING, END, each

BETWEEN = ("operation.begin_step:before", "operation.begin_step:after")
STORING = ("store.write:after", "store.add:before", "store.add:after")
RESTORING = (
    BEGINNING,
    "backup.restore:after",
    *BETWEEN,
    "database.upgrade:after",
    "backup.identify:before",
    "backup.identify:after",
    *END,
)
# The second time that progress is told, what is restored has been handed over, and is not finished.
HANDED_OVER = "operation.progress:before:2"
ON_POSTGRES = (
    "role.create:after",
    "database.create:after",
    "database.open_to_owner:after",
    HANDED_OVER,
    "privileges.give:before",
)
ON_SQLITE = (HANDED_OVER, "file.publish:before", "file.publish:after")
SWITCH = ("fence.raise:after", "discard.request:after", "operation.begin_step:after:3")


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


@each(
    BEGINNING,
    *STORING,
    *BETWEEN,
    "backup.prune:before",
    "backup.prune:after",
    *END,
)
def test_a_backup(kept: Kept, point: str) -> None:
    operation = kept.backup()
    kept.worker_killed_at(point)
    kept.fleet.settle()
    result = kept.done(operation).result
    (record,) = kept.store.records(kept.place().id)
    assert (result["file"], result["sha256"]) == (record.file, record.sha256)
    kept.store.check(record)
    kept.add_tag("second")
    kept.done(kept.restore())
    assert kept.tags() == ["first"]


@each(
    *RESTORING,
    *SWITCH,
    sqlite=(*ON_SQLITE, "file.close:after"),
    postgresql=(*ON_POSTGRES, "role.allow_login:after", "database.end_connections:after"),
)
def test_a_restore_in_place(kept: Kept, point: str) -> None:
    kept.done(kept.backup())
    kept.add_tag("second")
    before = kept.place()
    operation = kept.restore()
    kept.worker_killed_at(point)
    kept.fleet.settle()
    kept.done(operation)
    assert kept.tags() == ["first"]
    assert kept.place().database != before.database
    works(kept.fleet, "acme")
    nothing_is_left_over(kept)
    # What it had is kept for a while.
    assert kept.databases() == {before.database, kept.place().database}


@each(*RESTORING, sqlite=ON_SQLITE, postgresql=ON_POSTGRES)
def test_a_restore_as_a_new_tenant(kept: Kept, point: str) -> None:
    kept.done(kept.backup())
    kept.add_tag("second")
    operation = kept.restore_as("acme", "past")
    kept.worker_killed_at(point)
    kept.fleet.settle()
    kept.done(operation)
    assert (kept.tags("past"), kept.tags()) == (["first"], ["first", "second"])
    assert kept.databases() == {kept.place().database, kept.place("past").database}
    works(kept.fleet, "past")
    nothing_is_left_over(kept)


def know_restored_form(kept: Kept) -> None:
    services, server = kept.fleet.services, kept.fleet.servers["main"]
    revision = head_revision(kept.fleet.settings, "tenant")
    restored_form(services, side_of_revision(services, server, version_of(server), revision))


@each(
    BEGINNING,
    *STORING,
    "final_copy.prove:before",
    "backup.restore:after",
    "contents.read:after:2",
    "final_copy.prove:after",
    "store.write:after:2",
    *BETWEEN,
    "database.remove:before",
    "database.remove:after",
    *END,
    postgresql=("database.drop:after", "role.drop:after"),
)
def test_a_final_copy(kept: Kept, point: str) -> None:
    tenant_id = kept.place().id
    know_restored_form(kept)  # else the copies that it takes would be dropped first
    kept.delete()
    kept.worker_killed_at(point)
    kept.fleet.settle()
    assert kept.slugs() == []
    (record,) = kept.store.final_copies(tenant_id)
    kept.store.check(record)
    assert {file.name for file in (kept.fleet.directory / "backups" / tenant_id.hex).iterdir()} == {
        Path(record.file).name,
        Path(record.path).name,
    }
    # The tag, its tenant's id and what else every database has; on SQLite also the tables of the index of words.
    assert record.rows == (3 if kept.fleet.admin else 6)
    nothing_is_left_over(kept)
    # Nor is anything of what it was compared with, which has the tenant's data in it.
    assert not [thing for thing in kept.fleet.made() if "scratch_" in thing]
    kept.done(kept.restore_as("acme", "again", tenant_id=tenant_id))
    assert kept.tags("again") == ["first"]
