"""Who was paused while closing a database closes it when others have gone on: nobody stays locked out of it."""

from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import URL

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.backup_kind import BACKUP
from tenantapp.fleet.closing.fence import lower_fence, raise_fence
from tenantapp.fleet.copying import move, requests
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.leases import new_owner, take
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import cancel_operation, get_operation, request_operation, retry_operation
from tenantapp.operations.worker import Worker
from tests.contract.conftest import Fleet
from tests.contract.copies import create_on, four_servers, place
from tests.contract.health import is_closed
from tests.contract.rows import content, fill, look

PLACES = pytest.mark.parametrize(("source", "target"), [("files", "shelf"), ("server", "other")])


@pytest.fixture
def fleet(postgres_server: URL, logical_server: URL, tmp_path: Any) -> Iterator[Fleet]:
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        yield fleet


def work(fleet: Fleet) -> None:
    Worker(fleet.services, KINDS).run(Event(), until_idle=True)


def queued(fleet: Fleet, target: str) -> UUID:
    with fleet.user_db.begin() as session:
        return requests.request_move(session, fleet.services, "acme", target, requested_by="local:tests").id


def operation(fleet: Fleet, operation_id: UUID) -> Operation:
    with fleet.user_db.begin(read_only=True) as session:
        found = get_operation(session, operation_id)
        session.expunge(found)
        return found


def pausing(patch: pytest.MonkeyPatch, fleet: Fleet, server: str, meanwhile: Callable[[], None]) -> None:
    """Let the first who closes a database there be paused until all this was done."""
    databases = type(databases_on(fleet.servers[server]))
    real = databases.close
    first = iter((True,))

    def close(self: Any, *arguments: Any) -> None:
        if next(first, False):
            meanwhile()
        real(self, *arguments)

    patch.setattr(databases, "close", close)


def undone_by_another(fleet: Fleet, operation_id: UUID) -> None:
    fleet.lapse()
    with fleet.user_db.begin() as session:
        cancel_operation(session, operation_id, KINDS)
    work(fleet)
    assert operation(fleet, operation_id).state == "cancelled"


@PLACES
@pytest.mark.parametrize("since", ["nothing", "a backup", "a migration", "another try"])
def test_it_was_undone_meanwhile(
    fleet: Fleet, source: str, target: str, since: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has begun since does not depend on it that nobody gets in."""
    acme = create_on(fleet, source, "acme")
    operation_id = queued(fleet, target)

    def meanwhile() -> None:
        undone_by_another(fleet, operation_id)
        with fleet.user_db.begin() as session:
            if since == "another try":
                retry_operation(session, operation_id, KINDS)
                take(session, get_operation(session, operation_id), new_owner(), KINDS)
            elif since != "nothing":
                found = request_operation(session, BACKUP, get_tenant(session, "acme"), {}, "local:tests")
                take(session, found, new_owner(), KINDS)
            if since == "a migration":
                raise_fence(session.connection(), acme.id)

    pausing(monkeypatch, fleet, source, meanwhile)
    work(fleet)
    with fleet.user_db.begin() as session:
        lower_fence(session.connection(), acme.id)
    assert place(fleet, "acme") == acme
    look(fleet, acme)


@PLACES
def test_another_is_moving_it(fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being copied must not be written to, whoever closed it."""
    acme = create_on(fleet, source, "acme")
    fill(fleet, acme)
    rows = content(fleet, acme)
    operation_id = queued(fleet, target)
    paused, awake = Event(), Event()

    def wait() -> None:
        paused.set()
        assert awake.wait(60)

    pausing(monkeypatch, fleet, source, wait)
    first = Thread(target=work, args=(fleet,))
    real = move.copy_database

    def copying(*arguments: Any, **options: Any) -> Any:
        awake.set()
        first.join(60)
        is_closed(fleet, acme)
        return real(*arguments, **options)

    monkeypatch.setattr(move, "copy_database", copying)
    first.start()
    assert paused.wait(60)
    fleet.lapse()
    work(fleet)
    assert not first.is_alive()
    assert operation(fleet, operation_id).state == "succeeded"
    assert content(fleet, place(fleet, "acme")) == rows
    is_closed(fleet, acme)


@PLACES
def test_another_is_through(fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was replaced stays closed."""
    acme = create_on(fleet, source, "acme")
    operation_id = queued(fleet, target)

    def meanwhile() -> None:
        fleet.lapse()
        work(fleet)

    pausing(monkeypatch, fleet, source, meanwhile)
    work(fleet)
    assert operation(fleet, operation_id).state == "succeeded"
    is_closed(fleet, acme)
    look(fleet, place(fleet, "acme"))
