"""What happens between two looks at the world: nobody's data is taken for something else."""

from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.backups.backup_kind import BACKUP
from tenantapp.fleet.closing.discarding import request_discard
from tenantapp.fleet.closing.fence import fence_database, raise_fence
from tenantapp.fleet.creating import warm
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.fenced_move import FencedMove
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Problem, find
from tenantapp.fleet.removing.deletion import delete_later, request_purge, undelete
from tenantapp.identity.errors import TenantDeleted
from tenantapp.identity.tenants import get_tenant, suspend_tenant
from tenantapp.operations.errors import TenantBusy
from tenantapp.operations.leases import finish, new_owner, take
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import (
    cancel_operation,
    request_operation,
    retry_operation,
    sweep_operations,
)
from tenantapp.operations.worker import Worker
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tests.contract.conftest import Fleet
from tests.contract.health import problems, works
from tests.contract.kept import BY, Kept
from tests.contract.templates import warmed


def work(fleet: Fleet) -> None:
    Worker(fleet.services, KINDS).run(Event(), until_idle=True)


def at_work(session: Session, slug: str) -> Operation:
    """An operation that somebody is at work on."""
    operation = request_operation(session, BACKUP, get_tenant(session, slug), {}, BY)
    take(session, operation, new_owner(), KINDS)
    return operation


def is_there(fleet: Fleet, place: TenantPlace) -> bool:
    return databases_on(fleet.servers[place.server]).exists(place.database)


def test_a_warm_database_is_taken_while_it_is_found_superfluous(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, engine_name: str
) -> None:
    services = warmed(fleet.initialised(), 1)
    plan, places, looked = warm._plan, [], []

    def taken_after_the_look(session: Session, given: Any) -> Any:
        planned = plan(session, given)
        looked.append(session)
        # On SQLite nobody writes while another does: there the one that is quicker is before the second look.
        if len(looked) == (1 if engine_name == "sqlite" else 2):
            if engine_name == "sqlite":
                session.rollback()
            places.append(create_tenant(services, "acme"))
        return planned

    monkeypatch.setattr(warm, "_plan", taken_after_the_look)
    warm.keep_warm(fleet.services)
    work(fleet)
    assert is_there(fleet, places[0])
    works(fleet, "acme")


def test_a_database_that_a_tenant_has_is_not_discarded(fleet: Fleet) -> None:
    place = fleet.initialised().create("acme")
    with fleet.user_db.begin() as session:
        operation_id = request_discard(session, place.server, place.database).id
    work(fleet)
    with fleet.user_db.begin(read_only=True) as session:
        operation = session.get_one(Operation, operation_id)
        assert (operation.state, operation.error) == ("failed", f"The database {place.database} is in use.")
    works(fleet, "acme")


def test_a_copy_of_another_migration_is_never_put_back(fleet: Fleet) -> None:
    place = fleet.initialised().create("acme")
    snapshot = snapshot_of(fleet.servers[place.server], place.database, "acme")
    snapshot.take()
    engine = create_engine(fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE written_later (id integer)"))
    settings = replace(fleet.with_revision("tenant", "pass"), connections_timeout=0.1)
    user_db = fence_database(settings)
    with user_db.engine.connect() as connection:
        raise_fence(connection, place.id)  # of a migration without a copy, whose process was killed
    history = TenantHistory(settings)
    with fleet.user_db.begin(read_only=True) as session:
        revision = get_tenant(session, "acme").revision
    worker = FencedMove(user_db, Migrator(fleet.under(settings), history), lambda order: True)
    worker.migrate(MigrationOrder(place.id, "acme", revision, history.head, snapshot=True))
    user_db.dispose()
    with engine.connect() as connection:
        assert inspect(connection).has_table("written_later")
    assert not snapshot.exists()


def test_a_copy_that_a_migration_has_left_is_found(fleet: Fleet) -> None:
    fleet.initialised().create("globex")
    place = fleet.create("acme")
    snapshot = snapshot_of(fleet.servers[place.server], place.database, "acme")
    snapshot.take()
    with fleet.user_db.begin() as session:
        operation_id = at_work(session, "acme").id
    assert problems(fleet) == []
    with fleet.user_db.begin() as session:
        finish(session, session.get_one(Operation, operation_id), OperationState.SUCCEEDED)
    (finding,) = find(fleet.services, KINDS)
    assert (finding.problem, finding.name) == (Problem.COPY, place.database)
    assert mend(fleet.services, KINDS, finding)
    assert not snapshot.exists()
    assert problems(fleet) == []
    works(fleet, "acme")


def test_a_database_without_a_tenant_goes_with_its_copy(fleet: Fleet) -> None:
    fleet.initialised().create("globex")
    before = fleet.made()
    place = fleet.create("acme")
    snapshot_of(fleet.servers[place.server], place.database, "acme").take()
    with fleet.user_db.begin() as session:
        session.delete(get_tenant(session, "acme"))
    for finding in find(fleet.services, KINDS):
        mend(fleet.services, KINDS, finding)
    assert problems(fleet) == []
    assert fleet.made() == before


def test_a_tenant_that_is_worked_on_is_not_forgotten(fleet: Fleet) -> None:
    fleet.initialised().create("globex")
    fleet.create("initech")
    place = fleet.create("acme")
    databases_on(fleet.servers[place.server]).drop(place.database)
    (finding,) = find(fleet.services, KINDS)
    with fleet.user_db.begin() as session:
        operation_id = at_work(session, "acme").id
    assert not mend(fleet.services, KINDS, finding)
    with fleet.user_db.begin() as session:
        # What failed without leaving anything hides nothing.
        finish(session, session.get_one(Operation, operation_id), OperationState.FAILED, "no space")
    assert find(fleet.services, KINDS) == [finding]
    assert mend(fleet.services, KINDS, finding)
    assert problems(fleet) == []


def test_a_tenant_that_is_deleted_meanwhile_stays_deleted(fleet: Fleet, engine_name: str) -> None:
    fleet.initialised().create("acme")
    with fleet.user_db.begin() as session:
        if engine_name == "sqlite":
            delete_later(session, "acme", timedelta(0))  # nobody writes while another does
        else:
            get_tenant(session, "acme")
            with fleet.user_db.begin() as other:
                delete_later(other, "acme", timedelta(0))
        with pytest.raises(TenantDeleted):
            suspend_tenant(session, "acme", "unpaid")
    with fleet.user_db.begin(read_only=True) as session:
        assert get_tenant(session, "acme").state == "deleted"


def test_undoing_waits_for_who_is_at_work(fleet: Fleet) -> None:
    fleet.initialised().create("acme")
    with fleet.user_db.begin() as session:
        given = {"kind": "restore", "slug": "acme", "arguments": {}, "result": {}, "requested_by": BY}
        half = Operation(tenant_id=get_tenant(session, "acme").id, state="failed", step="switch", **given)
        session.add(half)
        at_work(session, "acme")
        half_id = half.id
    with pytest.raises(TenantBusy), fleet.user_db.begin() as session:
        retry_operation(session, half_id, KINDS)
    with fleet.user_db.begin() as session:
        # What is half done is not forgotten.
        session.get_one(Operation, half_id).finished_at = utcnow() - timedelta(days=1)
        sweep_operations(session, timedelta(0), KINDS)
        assert session.get(Operation, half_id) is not None


def test_workers_that_are_ended_are_no_attempts(fleet: Fleet) -> None:
    fleet.initialised().create("acme")
    with fleet.user_db.begin() as session:
        operation_id = request_operation(session, BACKUP, get_tenant(session, "acme"), {}, BY).id
    stopped = Event()
    stopped.set()
    for _ in range(7):
        assert Worker(fleet.services, KINDS).work(stopped)
        with fleet.user_db.begin(read_only=True) as session:
            operation = session.get_one(Operation, operation_id)
            assert (operation.state, operation.attempts) == ("running", 0)


@pytest.mark.parametrize("name", ["final_copy", "final_bundle"])  # as it is called, and what there was before
def test_a_removal_that_is_requested_anew_goes_on(fleet: Fleet, name: str) -> None:
    kept = Kept(fleet)
    place = kept.place()
    first = kept.delete()
    copy = {"file": "kept before"}
    with fleet.user_db.begin() as session:
        operation = session.get_one(Operation, first)
        operation.state, operation.step, operation.result = OperationState.FAILED, "check", {name: copy}
        second = request_purge(session, fleet.services, "acme", requested_by=BY).id
    databases_on(fleet.servers[place.server]).drop(place.database)
    assert kept.done(second).result["final_copy"] == copy
    assert kept.slugs() == []
    assert problems(fleet) == []


@pytest.mark.parametrize("kept_before", [{"final_copy": None}, {"final_bundle": {"file": "not proved"}}])
def test_a_removal_without_a_copy_that_failed_costs_no_copy(fleet: Fleet, kept_before: dict[str, Any]) -> None:
    """Nor does one that an earlier version has kept a bundle for, as long as the database is there."""
    kept = Kept(fleet)
    first = kept.delete(copy=False)
    with fleet.user_db.begin() as session:
        operation = session.get_one(Operation, first)
        operation.state, operation.step, operation.result = OperationState.FAILED, "database", kept_before
        second = request_purge(session, fleet.services, "acme", requested_by=BY).id
    tenant_id = kept.place().id
    kept.done(second)
    assert [copy.slug for copy in kept.store.final_copies(tenant_id)] == ["acme"]


def test_a_removal_that_failed_before_it_began_is_not_gone_on_with(fleet: Fleet) -> None:
    """Least of all within the time in which the tenant can be brought back."""
    kept = Kept(fleet)
    operation = kept.delete()
    with fleet.user_db.begin() as session:
        cancel_operation(session, operation, KINDS)
        undelete(session, "acme", KINDS)
        retry_operation(session, operation, KINDS)
    assert "was brought back" in kept.failed(operation)
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", timedelta(days=30))
    assert problems(fleet) == []
    with fleet.user_db.begin() as session:
        get_tenant(session, "acme").purge_after = utcnow() - timedelta(seconds=1)
    # Its time is over, and it is the operator who has to see to it.
    assert problems(fleet) == [(Problem.OPERATION, "delete acme", False)]
    for finding in find(fleet.services, KINDS):
        assert not mend(fleet.services, KINDS, finding)
    assert kept.slugs() == ["acme"]


def test_what_was_cancelled_before_it_began_is_swept(fleet: Fleet) -> None:
    fleet.initialised().create("acme")
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", timedelta(days=7))
        cancelled = [
            request_purge(session, fleet.services, "acme", requested_by=BY, copy=False).id,
            request_discard(session, "main", "tenant_x").id,
            request_operation(session, BACKUP, get_tenant(session, "acme"), {}, BY).id,
        ]
        for operation_id in cancelled:
            cancel_operation(session, operation_id, KINDS).finished_at = utcnow() - timedelta(days=1)
    with fleet.user_db.begin() as session:
        sweep_operations(session, timedelta(hours=1), KINDS)
        assert [session.get(Operation, operation_id) for operation_id in cancelled] == [None] * 3
