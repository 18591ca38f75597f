"""What is kept of a tenant that is removed for good."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tenantapp.fleet.backups.retention import prune
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.deletion import delete_later, undelete
from tenantapp.fleet.errors import OperationRefused
from tenantapp.fleet.fleet import Fleet as Services
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.operations.queue import retry_operation
from tenantapp.fleet.server_databases import databases_on
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
    import_tenant(fleet.user_db, fleet.settings, fleet.servers, file, "acme")
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


def test_without_a_store_or_without_a_bundle(kept: Kept) -> None:
    tenant_id, fleet = kept.place().id, kept.fleet
    assert kept.done(kept.delete(bundle=False)).result["final_bundle"] is None
    assert kept.store.final_bundles(tenant_id) == []
    fleet.create("acme")
    fleet.services = Services(fleet.user_db, replace(fleet.settings, backups_store=None), fleet.servers)
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
        patch.setattr("tenantapp.fleet.deletion.remove_database", broken)
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
