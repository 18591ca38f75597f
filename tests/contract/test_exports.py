"""An export that is killed, fails or is cancelled: it is done by another, or nothing is left of it."""

import json
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from tenantapp.fleet.backups.export_kind import finished_export, read_export, request_export
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.bundles.exporting import check_bundle
from tenantapp.fleet.errors import BackupRefused
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.errors import NotFound
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import cancel_operation, retry_operation
from tenantapp.operations.worker import Worker
from tenantapp.settings import read_settings
from tests.contract.conftest import Fleet
from tests.contract.forks import Hanging

POINTS = (
    "export.find_tenant:after",
    "bundle.export:after",
    "store.write:after",
    "operation.complete:before",
    "operation.finish:after",
)


@pytest.fixture
def exporting(fleet: Fleet, tmp_path: Path) -> Fleet:
    """A fleet with the tenant acme and a store."""
    fleet.values["backups.store"] = str(tmp_path / "store")
    fleet.settings = read_settings(fleet.values, {})
    fleet.services = fleet.under(fleet.settings)
    fleet.initialised().create("acme")
    return fleet


def request(fleet: Fleet) -> UUID:
    with fleet.user_db.begin() as session:
        return request_export(session, fleet.services, "acme", requested_by="ada").id


def export_of(fleet: Fleet) -> Operation:
    with fleet.user_db.begin(read_only=True) as session:
        operation = session.scalars(select(Operation).where(Operation.kind == "export")).one()
        session.expunge(operation)
        return operation


def work(fleet: Fleet) -> None:
    Worker(fleet.services, KINDS).run(Event(), until_idle=True)


def bundles(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "store").rglob("*.bundle"))


def is_whole(fleet: Fleet, file: Path) -> bool:
    """The export can be fetched, and is what was written."""
    operation = export_of(fleet)
    assert operation.tenant_id is not None
    with fleet.user_db.begin(read_only=True) as session:
        found = finished_export(session, operation.id, operation.tenant_id)
        file.write_bytes(b"".join(read_export(fleet.services, found)))
    return check_bundle(file).rows == operation.result["rows"]


def remove(fleet: Fleet) -> None:
    """Be the worker of a later day."""
    with fleet.user_db.begin() as session:
        for removal in session.scalars(select(Operation).where(Operation.kind == "discard_export")):
            assert removal.lease_until is not None
            removal.lease_until -= timedelta(days=8)
    fleet.settle()


@pytest.mark.parametrize("point", POINTS)
def test_killed(exporting: Fleet, tmp_path: Path, point: str) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    Hanging("tests.contract.exporting", json.dumps(exporting.values), "acme", point, temporary=temporary).kill()
    assert export_of(exporting).state == OperationState.RUNNING
    exporting.settle()
    assert export_of(exporting).state == OperationState.SUCCEEDED
    assert is_whole(exporting, tmp_path / "fetched")
    remove(exporting)
    assert bundles(tmp_path) == []


def test_one_at_a_time(exporting: Fleet, tmp_path: Path) -> None:
    request(exporting)
    with pytest.raises(OperationRefused):
        request(exporting)
    work(exporting)
    assert is_whole(exporting, tmp_path / "fetched")
    with exporting.user_db.begin() as session:
        request_export(session, exporting.services, "acme", requested_by="ada")


def test_one_that_fails_leaves_nothing_and_can_be_retried(
    exporting: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Store.write

    def failing(store: Store, file: str, chunks: Any) -> tuple[int, str]:
        write(store, file, chunks)
        raise OSError("no space left on device")

    monkeypatch.setattr(Store, "write", failing)
    export_id = request(exporting)
    work(exporting)
    operation = export_of(exporting)
    assert (operation.state, operation.error) == ("failed", "OSError: no space left on device")
    assert bundles(tmp_path) == []
    monkeypatch.undo()
    with exporting.user_db.begin() as session:
        retry_operation(session, export_id, KINDS)
    work(exporting)
    assert is_whole(exporting, tmp_path / "fetched")


def test_one_that_is_cancelled_is_not_written(exporting: Fleet, tmp_path: Path) -> None:
    export_id = request(exporting)
    with exporting.user_db.begin() as session:
        cancel_operation(session, export_id, KINDS)
    work(exporting)
    operation = export_of(exporting)
    assert operation.state == OperationState.CANCELLED
    assert bundles(tmp_path) == []
    with pytest.raises(NotFound), exporting.user_db.begin() as session:
        finished_export(session, export_id, operation.tenant_id or export_id)


def test_without_a_store_nothing_is_queued(fleet: Fleet) -> None:
    fleet.initialised().create("acme")
    with pytest.raises(BackupRefused):
        request(fleet)
    with fleet.user_db.begin(read_only=True) as session:
        assert session.scalars(select(Operation.kind)).all() == ["create"]
