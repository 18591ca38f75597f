"""What is kept of a tenant that is removed for good."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.retention import prune
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import delete_later, undelete
from tenantapp.operations.errors import LeaseLost, OperationRefused
from tenantapp.operations.queue import retry_operation
from tenantapp.sql.ids import uuid7
from tests.contract.conftest import Fleet
from tests.contract.kept import Kept
from tests.contract.test_killed_creation import ours, works


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


def test_it_holds_everything(kept: Kept) -> None:
    kept.add_tag("second")
    tenant_id, fleet = kept.place().id, kept.fleet
    result = kept.done(kept.delete()).result
    assert kept.slugs() == []
    assert kept.databases() == set()
    (bundle,) = kept.store.final_bundles(tenant_id)
    assert result["final_bundle"] == {
        "file": bundle.file,
        "size": bundle.size,
        "sha256": bundle.sha256,
        "revision": bundle.revision,
        "rows": 2,
    }
    file = Path(fleet.values["backups.store"]) / bundle.file
    import_tenant(fleet.services, file, "acme")
    assert kept.tags() == ["first", "second"]
    works(fleet, "acme")


def test_no_policy_removes_it(kept: Kept) -> None:
    store, tenant_id = kept.store, kept.place().id
    kept.done(kept.backup())
    kept.done(kept.delete())
    (bundle,) = store.final_bundles(tenant_id)
    later = datetime.now(UTC) + timedelta(days=1000)
    assert prune(store, tenant_id, {"daily": 0}, later) == []
    store.check(bundle)
    assert len(store.records(tenant_id)) == 1
    # What one that was killed has left is no bundle.
    (Path(kept.fleet.values["backups.store"]) / f"{bundle.file}.json").unlink()
    assert prune(store, tenant_id, {"daily": 0}, later) == [bundle.file]


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
    left_in_the_store(kept, tenant_id, f"{now}-{ours}.bundle", f"{now}-{ours}.bundle.part", f"{old}-{another}.dump")
    # Of the last hours, and of somebody else.
    others = {f"{now}-{another}.dump", "notes.txt"}
    left_in_the_store(kept, tenant_id, *others)
    if resumed:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "remove_abandoned", _lost)
            kept.work()
        kept.fleet.lapse()
    kept.done(operation_id)
    (bundle,) = kept.store.final_bundles(tenant_id)
    kept.store.check(bundle)
    name = Path(bundle.file).name
    assert left_in_the_store(kept, tenant_id) == {name, f"{name}.json", *others}


def _lost(*arguments: object) -> None:
    raise LeaseLost


def test_one_who_was_paused_records_none(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another has taken over while the file was read back, and is through."""
    tenant_id, operation_id = kept.place().id, kept.delete()
    check = Store.check

    def paused(store: Store, record: Any) -> None:
        monkeypatch.setattr(Store, "check", check)
        kept.fleet.lapse()
        sleep(1)  # for another name
        kept.done(operation_id)
        # What is there again when this one goes on, so that nothing but the lease tells.
        store.write(record.file, [b"cut short"])

    monkeypatch.setattr(Store, "check", paused)
    kept.work()
    (bundle,) = kept.store.final_bundles(tenant_id)
    assert bundle.file == kept.outcome(operation_id).result["final_bundle"]["file"]
    assert kept.slugs() == []


def test_without_a_store_or_without_a_bundle(kept: Kept) -> None:
    tenant_id, fleet = kept.place().id, kept.fleet
    assert kept.done(kept.delete(bundle=False)).result["final_bundle"] is None
    assert kept.store.final_bundles(tenant_id) == []
    fleet.create("acme")
    fleet.services = fleet.under(replace(fleet.settings, backups_store=None))
    assert kept.done(kept.delete()).result["final_bundle"] is None
    assert kept.slugs() == []


def test_where_it_cannot_be_written_nothing_is_removed(kept: Kept) -> None:
    store, before = Path(kept.fleet.values["backups.store"]), kept.databases()
    store.write_text("not a directory")
    operation = kept.delete()
    assert kept.failed(operation).startswith("The store of the backups failed on ")
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
    assert kept.done(operation).result["final_bundle"]["rows"] == 1
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


def test_the_database_is_gone_or_has_no_portable_form(kept: Kept) -> None:
    fleet = kept.fleet
    engine = create_engine(fleet.servers["main"].tenant_url(kept.place().database), poolclass=NullPool)
    if fleet.admin is not None:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE tags ADD COLUMN more integer[]")
        assert "more" in kept.failed(kept.delete())
    databases_on(fleet.servers["main"]).drop(kept.place().database)
    operation = kept.delete()
    assert kept.failed(operation)
    assert kept.slugs() == ["acme"]
    kept.done(kept.delete(bundle=False))
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
