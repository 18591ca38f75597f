"""What is kept of a tenant that is removed for good: a copy that was proved to be all of it, or nothing is removed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.databases.contents.contents import differences
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups import proving
from tenantapp.fleet.backups.retention import prune
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import CopyRequired
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Problem, find
from tenantapp.fleet.removing.deletion import delete_later, undelete
from tenantapp.fleet.removing.forgetting import forget_tenant
from tenantapp.identity.audit import list_entries
from tenantapp.identity.errors import NotFound
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.errors import LeaseLost, OperationRefused
from tenantapp.operations.fleet import Fleet as Services
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import cancel_operation, retry_operation
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tests.contract.conftest import Fleet
from tests.contract.copies import contents
from tests.contract.everything import FORCED, POSTGRES, add_everything
from tests.contract.health import ours, works
from tests.contract.kept import Kept
from tests.postgres import provisioner


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


def test_it_holds_everything(kept: Kept) -> None:
    kept.add_tag("second")
    add_everything(kept)
    place = kept.place()
    before = contents(kept.fleet, place)
    result = kept.done(kept.delete()).result
    assert (kept.slugs(), kept.databases()) == ([], set())
    (copy,) = kept.store.final_copies(place.id)
    assert result["final_copy"] == {
        "backup": copy.id,
        "file": copy.file,
        "size": copy.size,
        "sha256": copy.sha256,
        "revision": copy.revision,
        "rows": before.rows + 1,
    }
    kept.done(kept.restore_as("acme", "acme", tenant_id=place.id, accept_drift=True))
    again = kept.place()
    assert differences(before, contents(kept.fleet, again)) == []
    assert kept.tags() == ["first", "second"]
    works(kept.fleet, "acme")
    # Another tenant is called so now. What is forgotten is the one that was removed.
    with pytest.raises(OperationRefused, match="still exists"):
        forget_tenant(kept.fleet, "acme", again.id)
    assert forget_tenant(kept.fleet, "acme", None) >= 2
    assert kept.store.final_copies(place.id) == []
    assert forget_tenant(kept.fleet, "acme", place.id) == 0
    with pytest.raises(NotFound):
        forget_tenant(kept.fleet, "globex", None)
    with kept.fleet.user_db.begin(read_only=True) as session:
        forgotten = list_entries(session, action="tenant.forget")
        found = [(entry.tenant_id, entry.slug, entry.detail["files"] > 0) for entry in forgotten]
    assert found == [(place.id, "acme", False), (place.id, "acme", True)]


def plant(monkeypatch: pytest.MonkeyPatch, change: Callable[[URL], None]) -> None:
    """Let something be done to each database that a copy is restored into, given its URL."""
    real = proving.restore_database

    def losing(fleet: Any, server: Any, database: str, *rest: Any, **given: Any) -> None:
        real(fleet, server, database, *rest, **given)
        change(server.own_url(database))

    monkeypatch.setattr(proving, "restore_database", losing)


def execute(url: URL, statement: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def is_all_there(kept: Kept, place: TenantPlace) -> None:
    """The tenant is deleted, and everything of it is as it was; nothing of what was tried is left."""
    assert (kept.slugs(), kept.databases()) == (["acme"], {place.database})
    assert not [thing for thing in kept.fleet.made() if "scratch_" in thing]
    assert kept.store.final_copies(place.id) == []


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("DELETE FROM tags", "the table tags has 0 rows and not 1"),
        ("UPDATE tags SET name = 'First'", "the rows of the table tags are not the same"),
        ("DROP INDEX ix_nodes_parent_id_id", "index ix_nodes_parent_id_id is missing"),
    ],
)
def test_where_the_copy_lacks_something_nothing_is_removed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, loss: str, reason: str
) -> None:
    place = kept.place()
    with monkeypatch.context() as patch:
        plant(patch, lambda url: execute(url, loss))
        operation = kept.delete()
        error = kept.failed(operation)
        assert error.startswith("The copy of the database of acme is not proved: ")
        assert reason in error
    is_all_there(kept, place)
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.done(operation)
    (copy,) = kept.store.final_copies(place.id)
    assert kept.outcome(operation).result["final_copy"]["file"] == copy.file


def test_what_is_written_after_the_copy_is_missing_in_it(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody who was let in before the tenant was deleted, and is only now done."""
    place = kept.place()
    plant(monkeypatch, lambda url: kept.add_tag("late"))
    assert "the table tags has 1 rows and not 2" in kept.failed(kept.delete())
    is_all_there(kept, place)


def test_without_a_store_nothing_is_removed(kept: Kept) -> None:
    """The end of a grace period does not mean that it is to be removed without a copy."""
    place, fleet = kept.place(), kept.fleet
    with_store, fleet.services = (
        fleet.services,
        replace(fleet.services, settings=replace(fleet.settings, backups_store=None)),
    )
    with pytest.raises(CopyRequired, match=r"backups\.store.*--without-copy"):
        kept.delete()
    assert kept.within(lambda session: get_tenant(session, "acme").state) == "active"
    kept.within(lambda session: delete_later(session, "acme", timedelta(0)))
    kept.work()
    kept.work()
    (operation,) = kept.within(
        lambda session: session.scalars(select(Operation.id).where(Operation.kind == "delete")).all()
    )
    assert "names no place for its final copy" in kept.failed(operation)
    is_all_there(kept, place)
    (finding,) = find(fleet.services, KINDS)
    assert (finding.problem, finding.name, finding.id) == (Problem.OPERATION, "delete acme", operation)
    assert not mend(fleet.services, KINDS, finding)
    is_all_there(kept, place)
    fleet.services = with_store
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.done(operation)
    assert (kept.slugs(), len(kept.store.final_copies(place.id))) == ([], 1)


def test_without_a_copy_if_somebody_says_so(kept: Kept) -> None:
    tenant_id, fleet = kept.place().id, kept.fleet
    assert kept.done(kept.delete(copy=False)).result["final_copy"] is None
    assert kept.store.final_copies(tenant_id) == []
    fleet.create("acme")
    fleet.services = Services(fleet.user_db, replace(fleet.settings, backups_store=None), fleet.servers)
    assert kept.done(kept.delete(copy=False)).result["final_copy"] is None
    assert kept.slugs() == []
    with fleet.user_db.begin(read_only=True) as session:
        said = [entry.detail["arguments"]["copy"] for entry in list_entries(session, action="delete.request")]
    assert said == [False, False]


@pytest.mark.parametrize(("bundle", "is_kept"), [(True, True), (False, False)])
def test_what_an_earlier_version_has_queued_is_understood(kept: Kept, bundle: bool, is_kept: bool) -> None:
    tenant_id, operation_id = kept.place().id, kept.delete(copy=bundle)

    def as_it_was(session: Any) -> None:
        operation = session.get_one(Operation, operation_id)
        given = {key: value for key, value in operation.arguments.items() if key != "copy"}
        operation.arguments, operation.step = given | {"bundle": bundle}, "bundle"

    kept.within(as_it_was)
    assert kept.delete(copy=bundle) == operation_id
    kept.done(operation_id)
    assert (kept.slugs(), len(kept.store.final_copies(tenant_id))) == ([], int(is_kept))


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_rows_that_its_server_does_not_show_keep_a_tenant(fleet: Fleet, postgres_server: URL) -> None:
    """The server's role is no superuser, and no more than the tenant's may it bypass policies that are forced."""
    role = provisioner(postgres_server)
    fleet.values["servers.main"] = role.set(database="").render_as_string(hide_password=False)
    kept = Kept(fleet)
    for statement in POSTGRES:
        kept.execute(statement)
    place = kept.place()
    kept.execute(*FORCED)
    operation = kept.delete()
    error = kept.failed(operation)
    assert error == (
        "Could not read the database of acme: row level security hides rows of secrets from the role provisioner. "
        "Mend that and retry the removal; or `tenantapp tenants delete acme --now --without-copy` removes the tenant "
        "without a copy."
    )
    is_all_there(kept, place)
    # The owner sees them all, and whoever is a member of it.
    kept.execute("ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY")
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    assert kept.done(operation).result["final_copy"]["rows"] > 2
    assert kept.databases() == set()


def test_no_policy_removes_it(kept: Kept) -> None:
    store, tenant_id = kept.store, kept.place().id
    kept.done(kept.backup())
    kept.done(kept.delete())
    (copy,) = store.final_copies(tenant_id)
    later = datetime.now(UTC) + timedelta(days=1000)
    assert prune(store, tenant_id, {"daily": 0}, later) == []
    store.check(copy)
    assert len(store.records(tenant_id)) == 1
    # What one that was killed has left is no copy.
    (Path(kept.fleet.values["backups.store"]) / f"{copy.file}.json").unlink()
    assert prune(store, tenant_id, {"daily": 0}, later) == [copy.file]


def left_in_the_store(kept: Kept, tenant_id: UUID, *names: str) -> set[str]:
    """What has these names in a tenant's directory, put there if it is not; and all that is there."""
    directory = Path(kept.fleet.values["backups.store"]) / tenant_id.hex
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("cut short")
    return {file.name for file in directory.iterdir()}


@pytest.mark.parametrize("resumed", [False, True])
def test_nothing_is_left_of_the_attempts_before(kept: Kept, monkeypatch: pytest.MonkeyPatch, resumed: bool) -> None:
    """Each had a file of its own. No backup follows, whose policy would remove them."""
    tenant_id, operation_id = kept.place().id, kept.delete()
    ours, another = operation_id.hex[-12:], uuid7().hex[-12:]
    now, old = (f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}" for days in (0, 2))
    mine = (f"{now}-{ours}.final.dump", f"{now}-{ours}.final.dump.part", f"{old}-{another}.dump")
    left_in_the_store(kept, tenant_id, *mine)
    # Of the last hours, and of somebody else.
    others = {f"{now}-{another}.dump", "notes.txt"}
    left_in_the_store(kept, tenant_id, *others)
    if resumed:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "remove_abandoned", _lost)
            kept.work()
        kept.fleet.lapse()
    kept.done(operation_id)
    (copy,) = kept.store.final_copies(tenant_id)
    kept.store.check(copy)
    name = Path(copy.file).name
    assert left_in_the_store(kept, tenant_id) == {name, f"{name}.json", *others}


def _lost(*arguments: object) -> None:
    raise LeaseLost


def test_one_who_was_paused_records_none(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another has taken over while the copy was compared, and is through."""
    tenant_id, operation_id = kept.place().id, kept.delete()
    real, paused = proving.differences, []

    def pausing(*contents: Any) -> list[str]:
        if not paused:
            paused.append(contents)
            kept.fleet.lapse()
            sleep(1)  # for another name
            kept.done(operation_id)
        return real(*contents)

    monkeypatch.setattr(proving, "differences", pausing)
    kept.work()
    (copy,) = kept.store.final_copies(tenant_id)
    assert copy.file == kept.outcome(operation_id).result["final_copy"]["file"]
    assert kept.slugs() == []


def test_a_copy_of_an_attempt_that_was_given_up_is_proved_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenant was brought back after the copy was made, and has been used."""
    tenant_id, operation_id = kept.place().id, kept.delete()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "remove_abandoned", _lost)
        kept.work()
    (before,) = kept.store.final_copies(tenant_id)
    kept.fleet.lapse()
    sleep(1)  # for another name

    def given_up(session: Any) -> None:
        session.get_one(Operation, operation_id).state = "queued"
        cancel_operation(session, operation_id, KINDS)
        undelete(session, "acme", KINDS)

    kept.within(given_up)
    kept.add_tag("second")
    kept.within(lambda session: delete_later(session, "acme", timedelta(0)))
    kept.within(lambda session: retry_operation(session, operation_id, KINDS))
    result = kept.done(operation_id).result
    assert (result["final_copy"]["rows"], result["final_copy"]["file"] == before.file) == (before.rows + 1, False)


def test_where_it_cannot_be_written_nothing_is_removed(kept: Kept) -> None:
    store, before = Path(kept.fleet.values["backups.store"]), kept.databases()
    store.write_text("not a directory")
    operation = kept.delete()
    assert kept.failed(operation).startswith("The store for backups failed on ")
    assert (kept.slugs(), kept.databases()) == (["acme"], before)
    # Nothing has begun: it can be brought back, and a retry does not remove it then.
    kept.within(lambda session: undelete(session, "acme", KINDS))
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    assert kept.failed(operation) == "The tenant acme was brought back; it is active."
    assert kept.tags() == ["first"]
    works(kept.fleet, "acme")
    kept.within(lambda session: delete_later(session, "acme", timedelta(0)))
    store.unlink()
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.done(operation)
    assert kept.slugs() == []


def test_one_that_was_brought_back_is_removed_when_it_is_deleted_again(kept: Kept) -> None:
    """By the worker that looks for those whose time has come; the removal that failed does not keep it from that."""
    store = Path(kept.fleet.values["backups.store"])
    store.write_text("not a directory")
    kept.failed(kept.delete())
    kept.within(lambda session: undelete(session, "acme", KINDS))
    store.unlink()
    kept.within(lambda session: delete_later(session, "acme", timedelta(0)))
    kept.work()
    assert kept.slugs() == []
    assert kept.databases() == set()


def test_a_database_that_is_gone(kept: Kept) -> None:
    fleet = kept.fleet
    databases_on(fleet.servers["main"]).drop(kept.place().database)
    assert kept.failed(kept.delete())
    assert kept.slugs() == ["acme"]
    kept.done(kept.delete(copy=False))
    assert kept.slugs() == []
    assert ours(fleet) == []


def test_a_removal_that_has_begun_cannot_be_taken_back(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("tenantapp.fleet.removing.deletion.remove_database", broken)
        operation = kept.delete()
        assert "gone" in kept.failed(operation)
    with pytest.raises(OperationRefused, match="has begun"):
        kept.within(lambda session: undelete(session, "acme", KINDS))
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.done(operation)
    assert kept.slugs() == []


def test_the_databases_it_had_before_go_too(kept: Kept) -> None:
    kept.done(kept.backup())
    operation = kept.delete()
    kept.within(lambda session: undelete(session, "acme", KINDS))
    kept.done(kept.restore())
    assert len(kept.databases()) == 2
    # Requested when the tenant had another database.
    kept.within(lambda session: delete_later(session, "acme", timedelta(0)))
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.done(operation)
    assert kept.databases() == set()
    assert ours(kept.fleet) == []
