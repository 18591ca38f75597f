"""Backups and restores as operations: what comes of them, what is refused, and what is left when they fail."""

import resource
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, update
from sqlalchemy.pool import NullPool

from tenantapp.databases.errors import UnknownRevision
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups import restore_kinds
from tenantapp.fleet.backups.backing_up import write_dump
from tenantapp.fleet.backups.requests import list_backups, request_backup, request_restore, request_restore_as
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.errors import BackupDamaged, BackupFailed, BackupRefused
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.errors import AlreadyExists, NotFound, TenantUnfinished
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import delete_tenant, get_tenant, rename_tenant, suspend_tenant
from tenantapp.operations import runner
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import list_operations, retry_operation
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import TenantBase
from tests.contract.calls import counted
from tests.contract.conftest import Fleet, fleet_on
from tests.contract.health import is_closed, ours, works
from tests.contract.kept import BY, Kept
from tests.contract.rows import add_tag, connected, fill
from tests.contract.templates import MORE
from tests.postgres import own_postgres

MIB = 2**20


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


def tenant(kept: Kept, slug: str = "acme") -> dict[str, Any]:
    def read(session: Any) -> dict[str, Any]:
        found = get_tenant(session, slug)
        return {name: getattr(found, name) for name in ("state", "server", "database", "revision", "migrating_until")}

    row: dict[str, Any] = kept.within(read)
    return row


def execute(kept: Kept, statement: str, slug: str = "acme") -> None:
    """As the tenant's own role."""
    place = kept.place(slug)
    engine = create_engine(kept.fleet.servers["main"].tenant_url(place.database), poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def is_as_it_was(kept: Kept, before: dict[str, Any]) -> None:
    """The tenant is served from the database that it had, and no other one was left."""
    assert tenant(kept) == before
    assert kept.databases() == {before["database"]}
    works(kept.fleet, "acme")
    assert ours(kept.fleet) == []


class TestBackup:
    def test_what_the_result_says(self, kept: Kept) -> None:
        operation = kept.done(kept.backup())
        (record,) = list_backups(kept.fleet.services, kept.place().id)
        expected = {"backup": record.id, "file": record.file, "size": record.size, "sha256": record.sha256}
        assert operation.result == expected | {"revision": tenant(kept)["revision"], "pruned": []}

    def test_the_policy_is_applied(self, kept: Kept) -> None:
        first, second = kept.done(kept.backup()).result, kept.done(kept.backup()).result
        assert second["pruned"] == [first["file"]]
        assert [record.file for record in list_backups(kept.fleet.services, kept.place().id)] == [second["file"]]

    def test_what_is_refused_before_anything_is_queued(self, kept: Kept) -> None:
        kept.within(lambda session: request_create(session, kept.fleet.services, "globex", requested_by=BY))
        for slug, refusal in (("globex", TenantUnfinished), ("nosuch", NotFound)):
            with pytest.raises(refusal):
                kept.backup(slug)
        services = replace(kept.fleet.services, settings=replace(kept.fleet.settings, backups_store=None))
        with pytest.raises(BackupRefused, match=r"backups\.store"):
            kept.within(lambda session: request_backup(session, services, "acme", requested_by=BY))
        assert kept.kinds() == ["create", "create"]

    def test_a_store_that_cannot_be_written_to(self, kept: Kept) -> None:
        Path(kept.fleet.values["backups.store"]).write_text("not a directory")
        operation = kept.backup()
        error = kept.failed(operation)
        assert error.startswith("The store for backups failed on ")
        Path(kept.fleet.values["backups.store"]).unlink()
        kept.within(lambda session: retry_operation(session, operation, KINDS))
        kept.done(operation)
        works(kept.fleet, "acme")

    def test_a_store_that_is_full(self, kept: Kept) -> None:
        noise(kept, 2 * MIB)
        with files_of_at_most(MIB):
            error = kept.failed(kept.backup())
        assert "File too large" in error or "disk I/O error" in error
        assert list(Path(kept.fleet.values["backups.store"]).rglob("*.*")) == []
        works(kept.fleet, "acme")

    def test_no_lock_is_left_while_the_error_is_held(self, kept: Kept) -> None:
        noise(kept, 2 * MIB)
        with files_of_at_most(MIB), pytest.raises((BackupFailed, sqlite3.Error)) as error:
            write_dump(kept.fleet.services, kept.place(), kept.store)
        works(kept.fleet, "acme")
        assert error.traceback


class TestRestore:
    def test_in_place(self, kept: Kept) -> None:
        kept.fleet.create("globex")
        add_tag(kept.fleet, kept.place("globex"), "theirs")
        backup = kept.done(kept.backup()).result["backup"]
        kept.add_tag("second")
        before = tenant(kept)
        operation = kept.done(kept.restore())
        assert kept.tags() == ["first"]
        after = tenant(kept)
        assert after["database"] != before["database"]
        assert {**after, "database": before["database"]} == before
        assert (operation.result["backup"], operation.result["replaced"]) == (backup, before["database"])
        assert kept.tags("globex") == ["theirs"]
        works(kept.fleet, "acme")
        assert ours(kept.fleet) == []

    def test_the_old_database_is_kept_for_a_while(self, kept: Kept) -> None:
        kept.done(kept.backup())
        old = kept.place().database
        kept.done(kept.restore())
        assert kept.databases() == {old, kept.place().database}
        past = update(Operation).where(Operation.kind == "discard")
        kept.within(lambda session: session.execute(past.values(lease_until=utcnow() - timedelta(days=1))))
        kept.work()
        assert kept.databases() == {kept.place().database}
        assert kept.tags() == ["first"]

    def test_an_older_one(self, kept: Kept) -> None:
        first = kept.done(kept.backup()).result
        yesterday(kept)
        kept.add_tag("second")
        second = kept.done(kept.backup()).result
        assert second["pruned"] == []
        kept.add_tag("third")
        for backup, tags in (
            (first["backup"], ["first"]),
            ("latest", ["first", "second"]),
            (None, ["first", "second"]),
        ):
            kept.done(kept.restore(backup=backup))
            assert kept.tags() == tags

    def test_one_that_is_suspended_stays_so(self, kept: Kept) -> None:
        kept.done(kept.backup())
        kept.within(lambda session: suspend_tenant(session, "acme", "unpaid"))
        kept.done(kept.restore())
        assert tenant(kept)["state"] == "suspended"

    @pytest.mark.parametrize("damage", ["cut off", "altered", "gone"])
    def test_a_damaged_backup(self, kept: Kept, damage: str) -> None:
        file = Path(kept.fleet.values["backups.store"]) / kept.done(kept.backup()).result["file"]
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:-1] if damage == "cut off" else whole[:middle] + b"\0\1\2" + whole[middle + 3 :])
        if damage == "gone":
            file.unlink()
        kept.add_tag("second")
        before = tenant(kept)
        for operation in (kept.restore(), kept.restore_as("acme", "past")):
            assert "is damaged" in kept.failed(operation)
        is_as_it_was(kept, before)
        assert kept.tags() == ["first", "second"]
        assert kept.slugs() == ["acme"]

    def test_a_record_that_cannot_be_read(self, kept: Kept) -> None:
        record = Path(kept.fleet.values["backups.store"]) / f"{kept.done(kept.backup()).result['file']}.json"
        record.write_text(record.read_text()[:-10])
        with pytest.raises(BackupDamaged, match="its record cannot be read"):
            kept.restore()

    def test_a_record_that_lies_where_it_does_not_belong(self, kept: Kept) -> None:
        """Copied by hand from another tenant, or to another name."""
        kept.fleet.create("globex")
        store = Path(kept.fleet.values["backups.store"])
        own, theirs = (kept.done(kept.backup(slug)).result["file"] for slug in ("acme", "globex"))
        directory = (store / own).parent
        for file in (theirs, f"{theirs}.json"):
            shutil.copy(store / file, directory)
        with pytest.raises(BackupDamaged, match=f"its record is that of {theirs} of the tenant"):
            kept.restore(backup=Path(theirs).stem)
        # Also if somebody has changed the path in it, or only that.
        other = directory / f"{Path(theirs).name}.json"
        other.write_text(other.read_text().replace(theirs, str(Path(own).parent / Path(theirs).name)))
        with pytest.raises(BackupDamaged, match="its record is that of"):
            kept.restore(backup=Path(theirs).stem)
        other.unlink()
        (directory / "20200101T000000Z-000000000000.dump.json").write_text((store / f"{own}.json").read_text())
        with pytest.raises(BackupDamaged, match=f"its record is that of {own}"):
            kept.restore()
        assert kept.kinds() == ["create", "create", "backup", "backup"]

    def test_what_is_refused_before_anything_is_queued(self, kept: Kept) -> None:
        for request in (request_restore, request_restore_as):
            slugs = ("acme",) if request is request_restore else ("acme", "past")
            with pytest.raises(BackupRefused, match="there is no backup of the tenant acme"):
                kept.ask(request, *slugs)
        kept.done(kept.backup())
        for wrong in ("20200101T000000Z-000000000000", "../../etc/passwd", ""):
            with pytest.raises(NotFound):
                kept.restore(backup=wrong)
        with pytest.raises(NotFound):
            kept.restore("nosuch")
        with pytest.raises(AlreadyExists):
            kept.restore_as("acme", "acme")
        kept.within(lambda session: delete_tenant(session, "acme", utcnow() + timedelta(days=1)))
        with pytest.raises(OperationRefused, match="is deleted"):
            kept.restore()
        assert kept.kinds() == ["create", "backup"]

    def test_an_older_revision_is_migrated_and_a_newer_one_refused(self, kept: Kept) -> None:
        fleet = kept.fleet
        kept.done(kept.backup())
        older, newer = fleet.settings, fleet.with_revision("tenant", MORE)
        fleet.settings, fleet.services = newer, fleet.under(newer)
        upgrade_tenant_database(fleet.under(newer), kept.place())
        kept.add_tag("second")
        operation = kept.done(kept.restore())
        assert operation.result["backup_revision"] != operation.result["revision"] == "feedc0de0001"
        assert (tenant(kept)["revision"], kept.tags()) == ("feedc0de0001", ["first"])
        kept.done(kept.backup())
        fleet.settings, fleet.services = older, fleet.under(older)
        with pytest.raises(UnknownRevision):
            kept.restore()

    def test_the_row_is_about_the_present_database_until_the_switch(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fleet = kept.fleet
        kept.done(kept.backup())
        newer = fleet.with_revision("tenant", MORE)
        fleet.services = fleet.under(newer)
        before = tenant(kept)

        def broken(*arguments: Any) -> None:
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr("tenantapp.fleet.backups.restore_kinds.identify", broken)
            operation = kept.restore()
            assert "gone" in kept.failed(operation)
        assert (tenant(kept), kept.databases()) == (before, {before["database"]})
        works(fleet, "acme")
        kept.within(lambda session: retry_operation(session, operation, KINDS))
        kept.done(operation)
        assert tenant(kept)["revision"] == "feedc0de0001"

    def test_a_structure_that_is_not_its_revisions(self, kept: Kept) -> None:
        execute(kept, "CREATE TABLE by_hand (id integer)")
        kept.done(kept.backup())
        before = tenant(kept)
        for operation in (kept.restore(), kept.restore_as("acme", "past")):
            assert "table by_hand should not be there; --accept-drift" in kept.failed(operation)
        is_as_it_was(kept, before)
        kept.done(kept.restore(accept_drift=True))
        execute(kept, "DROP TABLE by_hand")

    def test_the_present_database_is_gone(self, kept: Kept) -> None:
        """What else are backups for?"""
        kept.done(kept.backup())
        databases_on(kept.fleet.servers["main"]).drop(kept.place().database)
        kept.done(kept.restore())
        assert kept.tags() == ["first"]
        works(kept.fleet, "acme")

    @pytest.mark.parametrize("late", [False, True])
    def test_another_database_meanwhile(self, kept: Kept, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
        """Of two that were queued, the second was about a database that the tenant has no more: it stays closed."""
        kept.done(kept.backup())
        first, second, before = kept.restore(), kept.restore(), kept.place()
        with monkeypatch.context() as patch:
            made = counted(patch, restore_kinds, "restore_database")
            if late:
                patch.setattr(restore_kinds, "check_present", lambda context: None)
            kept.work()
        assert len(made) == (2 if late else 1)
        is_closed(kept.fleet, before)
        outcomes = {kept.outcome(operation).state for operation in (first, second)}
        assert outcomes == {"succeeded", "failed"}
        (failed,) = (found for found in (first, second) if kept.outcome(found).state == "failed")
        assert "got another database meanwhile" in str(kept.outcome(failed).error)
        works(kept.fleet, "acme")
        assert len(kept.databases()) == 2
        kept.within(lambda session: retry_operation(session, failed, KINDS))
        kept.done(failed)
        assert kept.tags() == ["first"]
        assert ours(kept.fleet) == []

    def test_deleted_meanwhile(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        kept.done(kept.backup())
        before = tenant(kept)
        complete = runner._Run._complete

        def deleted_first(run: Any) -> Any:
            delete = update(Tenant).values(state=TenantState.DELETED)
            kept.within(lambda session: session.execute(delete))
            return complete(run)

        with monkeypatch.context() as patch:
            patch.setattr(runner._Run, "_complete", deleted_first)
            assert "was deleted" in kept.failed(kept.restore())
        assert kept.databases() == {before["database"]}
        kept.within(lambda session: session.execute(update(Tenant).values(state=TenantState.ACTIVE)))
        is_as_it_was(kept, before)

    def test_deleted_before_it_is_taken_up(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is made for a tenant that nobody will be served in, nor is it queued again for one."""
        kept.done(kept.backup())
        operation, before = kept.restore(), tenant(kept)
        kept.within(lambda session: delete_tenant(session, "acme", utcnow() + timedelta(days=1)))
        made = counted(monkeypatch, restore_kinds, "restore_database")
        assert kept.failed(operation) == "The tenant acme is deleted."
        with pytest.raises(OperationRefused, match="The tenant acme is deleted"):
            kept.within(lambda session: retry_operation(session, operation, KINDS))
        assert made == []
        kept.within(lambda session: session.execute(update(Tenant).values(state=TenantState.ACTIVE)))
        is_as_it_was(kept, before)
        kept.within(lambda session: retry_operation(session, operation, KINDS))
        kept.done(operation)

    def test_interrupted(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        kept.done(kept.backup())
        before = tenant(kept)

        def interrupted(*arguments: Any, **options: Any) -> None:
            raise KeyboardInterrupt

        services = kept.fleet.services
        for name in ("restore_database", "upgrade", "nobody_writes"):
            with monkeypatch.context() as patch:
                patch.setattr(f"tenantapp.fleet.backups.restore_kinds.{name}", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    run_now(
                        services,
                        KINDS,
                        partial(request_restore, fleet=services, slug="acme", requested_by=BY),
                    )
            assert kept.within(lambda session: list_operations(session)[0].state) == OperationState.CANCELLED
            is_as_it_was(kept, before)
            execute(kept, "ALTER TABLE nodes DROP COLUMN more")


class TestRestoreAs:
    def test_the_past_beside_the_present(self, kept: Kept) -> None:
        kept.done(kept.backup())
        kept.add_tag("second")
        operation = kept.done(kept.restore_as("acme", "past", name="As it was"))
        assert (kept.tags("past"), kept.tags()) == (["first"], ["first", "second"])
        assert (kept.place("past").name, operation.slug) == ("As it was", "past")
        for slug in ("acme", "past"):
            works(kept.fleet, slug)
        assert ours(kept.fleet) == []

    def test_of_one_that_is_deleted_or_gone(self, kept: Kept) -> None:
        kept.done(kept.backup())
        tenant_id = kept.place().id
        kept.within(lambda session: delete_tenant(session, "acme", utcnow() + timedelta(days=1)))
        kept.done(kept.restore_as("acme", "past"))
        databases_on(kept.fleet.servers["main"]).drop(kept.place().database)
        kept.within(lambda session: session.delete(get_tenant(session, "acme")))
        with pytest.raises(NotFound):
            kept.restore_as("acme", "again")
        kept.done(kept.restore_as("acme", "acme", tenant_id=tenant_id))
        assert kept.tags("past") == kept.tags() == ["first"]
        assert kept.place().id != tenant_id

    def test_the_id_is_that_of_another_tenant(self, kept: Kept) -> None:
        """Nobody gets another's data because of an id that was mistaken."""
        kept.fleet.create("globex")
        add_tag(kept.fleet, kept.place("globex"), "theirs")
        for slug in ("acme", "globex"):
            kept.done(kept.backup(slug))
        tenant_id = kept.place("globex").id
        refused = pytest.raises(BackupRefused, match=f"the tenant {tenant_id} is called globex, not acme")
        with refused:
            kept.restore_as("acme", "past", tenant_id=tenant_id)
        # One that is there is known by what it is called now, one that is gone by what it was called.
        kept.within(lambda session: rename_tenant(session, "globex", "globex-inc"))
        with pytest.raises(BackupRefused, match="is called globex-inc, not globex"):
            kept.restore_as("globex", "past", tenant_id=tenant_id)
        kept.done(kept.restore_as("globex-inc", "past", tenant_id=tenant_id))
        databases_on(kept.fleet.servers["main"]).drop(kept.place("globex-inc").database)
        kept.within(lambda session: session.delete(get_tenant(session, "globex-inc")))
        with refused:
            kept.restore_as("acme", "again", tenant_id=tenant_id)
        kept.done(kept.restore_as("globex", "again", tenant_id=tenant_id))
        assert kept.tags("past") == kept.tags("again") == ["theirs"]
        assert kept.slugs() == ["acme", "again", "past"]

    def test_one_that_failed_can_be_done_again(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*arguments: Any) -> None:
            raise OSError("gone")

        kept.done(kept.backup())
        with monkeypatch.context() as patch:
            patch.setattr("tenantapp.fleet.backups.restore_kinds.drift_of", broken)
            operation = kept.restore_as("acme", "past")
            assert "gone" in kept.failed(operation)
        assert kept.slugs() == ["acme"]
        is_as_it_was(kept, tenant(kept))
        kept.within(lambda session: retry_operation(session, operation, KINDS))
        kept.done(operation)
        assert kept.tags("past") == ["first"]

    def test_a_tenant_that_was_renamed(self, kept: Kept) -> None:
        kept.done(kept.backup())
        kept.within(lambda session: rename_tenant(session, "acme", "acme-inc"))
        kept.done(kept.restore_as("acme-inc", "past"))
        kept.done(kept.restore("acme-inc"))
        assert kept.tags("acme-inc") == ["first"]


class TestSqlite:
    @pytest.fixture(params=["sqlite"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_the_disk_is_full(self, kept: Kept) -> None:
        noise(kept, 2 * MIB)
        kept.done(kept.backup())
        before = tenant(kept)
        with files_of_at_most(MIB):
            for operation in (kept.restore(), kept.restore_as("acme", "past")):
                assert kept.failed(operation).endswith(": File too large.")
        is_as_it_was(kept, before)


class TestPostgres:
    """A server of its own, whose files may not become longer than this."""

    LIMIT = 20 * MIB

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Iterator[Kept]:
        with own_postgres() as admin:
            kept = Kept(fleet_on(admin, tmp_path))
            yield kept
            kept.fleet.close()

    def test_the_disk_is_full(self, kept: Kept) -> None:
        noise(kept, self.LIMIT * 5 // 8)  # twice as much in the table, which does not compress it
        kept.done(kept.backup())
        before = tenant(kept)
        limit_files(kept.fleet, str(self.LIMIT))
        for operation in (kept.restore(), kept.restore_as("acme", "past")):
            assert "pg_restore failed on the database of" in kept.failed(operation)
        is_as_it_was(kept, before)
        limit_files(kept.fleet, "unlimited")
        kept.add_tag("second")
        kept.done(kept.restore())
        assert "second" not in kept.tags()


def limit_files(fleet: Fleet, size: str) -> None:
    """Let a server's connections from now on write no file beyond that. Only its own user may do this."""
    ((directory,),) = fleet.ask("SHOW data_directory")
    server = (Path(directory) / "postmaster.pid").read_text().splitlines()[0]
    fleet.ask(f"COPY (SELECT 1) TO PROGRAM 'cat; prlimit --pid {server} --fsize={size}:unlimited'")


def noise(kept: Kept, size: int) -> None:
    """Let the tenant's database become longer by so much, also where it is compressed."""
    fill(kept.fleet, kept.place(), nodes=size // MIB)
    nodes = TenantBase.metadata.tables["nodes"]
    with connected(kept.fleet, kept.place()) as connection:
        for node in connection.scalars(select(nodes.c.id)).all():
            body = secrets.token_hex(MIB)
            connection.execute(nodes.update().where(nodes.c.id == node).values(body=body))


def yesterday(kept: Kept) -> None:
    """Let the backups be of the day before: of two of one day the policy keeps one."""
    for record in kept.store.records(kept.place().id):
        kept.store.add(record.model_copy(update={"created_at": record.created_at - timedelta(days=1)}))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let what this process writes to a file beyond that fail, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
