"""The ledger of migrations: operations of the kind ``migrate``, claimed and finished many at a time.

It has a row for each tenant and attempt, with the revisions in ``arguments``. Like every operation, the row keeps other
operations off the tenant. Writing the rows one by one, as ``operations.runner`` does, would cost more than the
migrations. What matters after a crash is in the tenant's own row, which the migrating process writes by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import case, delete, literal, select, text, update
from sqlalchemy.orm import Session

from tenantapp.fleet.closing.fence import hold_fences
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.identity.models import Tenant
from tenantapp.operations import leases
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.leases import LEASE, database_time, repeated
from tenantapp.operations.models import ACTIVE, Operation, OperationState
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.dbfactory import DBFactory

KIND: Final = "migrate"
STATES: Final[Mapping[MigrationState, OperationState]] = {
    MigrationState.MIGRATED: OperationState.SUCCEEDED,
    MigrationState.ALREADY_THERE: OperationState.SUCCEEDED,
    MigrationState.FAILED: OperationState.FAILED,
    MigrationState.LEFT: OperationState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """The orders, sorted by what became of the claim."""

    orders: list[MigrationOrder]
    done: list[MigrationOrder]
    gone: list[MigrationOrder]
    busy: dict[MigrationOrder, str]
    """The orders whose tenant another operation works on, with the kind of that operation."""


@checkpoint("ledger.claim")
def claim(session: Session, owner: str, orders: Sequence[MigrationOrder], requested_by: str) -> Claimed:
    """Claim these tenants for ``owner``, as their rows are now. Claims whose lease has run out are taken over."""
    _need_not_wait_for_disk(session)
    present = _lock_tenants(session, orders)
    gone = [order for order in orders if order.tenant_id not in present]
    done = [order for order in orders if present.get(order.tenant_id) == order.wanted]
    rest = {order.tenant_id: order for order in orders if order not in gone and order not in done}
    now = database_time(session)
    rows = [_row(owner, order, requested_by, now) for order in rest.values()]
    ours = _insert(session, rows) if rows else set()
    lost = [order for order in rest.values() if order.tenant_id not in ours]
    taken = _take_over(session, owner, lost) if lost else {}
    claimed = [taken.get(order.tenant_id, order) for order in rest.values() if order.tenant_id in ours | taken.keys()]
    busy = [order for order in lost if order.tenant_id not in taken]
    return Claimed(claimed, done, gone, _kinds_at_work(session, busy) if busy else {})


def renew(session: Session, owner: str) -> None:
    """Renew the leases of the owner's claims."""
    ours = update(Operation).where(Operation.lease_owner == owner, Operation.state.in_(ACTIVE))
    session.execute(ours.values(lease_until=database_time(session) + LEASE))


def is_claimed(session: Session, owner: str, tenant_id: UUID) -> bool:
    """Return whether the owner still has the claim of this tenant."""
    claim = select(Operation.id).where(Operation.tenant_id == tenant_id, Operation.lease_owner == owner)
    return session.scalar(claim.where(Operation.state.in_(ACTIVE))) is not None


@checkpoint("ledger.finish")
def finish(session: Session, owner: str, results: Sequence[MigrationResult]) -> None:
    """Record the results of tenants that the owner had claimed."""
    _need_not_wait_for_disk(session)
    well = [result for result in results if STATES[result.state] == OperationState.SUCCEEDED]
    badly = [[result] for result in results if STATES[result.state] != OperationState.SUCCEEDED]
    for alike in [well, *badly]:
        if alike:
            _finish(session, owner, alike)


def give_back(session: Session, owner: str) -> None:
    """Delete the owner's claims that were not carried out. Release those that another owner had begun before."""
    ours = (Operation.lease_owner == owner) & Operation.state.in_(ACTIVE)
    session.execute(delete(Operation).where(ours, Operation.attempts == 1))
    session.execute(update(Operation).where(ours).values(lease_owner=None, lease_until=database_time(session)))


def settle(session: Session) -> int:
    """Finish the operations of dead owners whose tenants have reached their revision. Return how many."""
    lapsed = select(Operation, Tenant.revision).join(Tenant, Tenant.id == Operation.tenant_id).where(_lapsed(session))
    done = [operation for operation, revision in session.execute(lapsed) if operation.arguments["to"] == revision]
    for operation in done:
        operation.progress = 1.0
        leases.finish(session, operation, OperationState.SUCCEEDED)
    session.flush()
    return len(done)


def _lock_tenants(session: Session, orders: Sequence[MigrationOrder]) -> dict[UUID, str | None]:
    """Return the revisions of tenants that are served, and keep their rows from deletion in this transaction."""
    wanted = select(Tenant.id, Tenant.revision).where(Tenant.id.in_([order.tenant_id for order in orders]))
    locked = wanted.where(Tenant.is_served).order_by(Tenant.id).with_for_update(read=True, key_share=True)
    return dict(session.execute(locked).all())


def _row(owner: str, order: MigrationOrder, requested_by: str, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "kind": KIND,
        "tenant_id": order.tenant_id,
        "slug": order.slug,
        "arguments": order.arguments,
        "state": OperationState.RUNNING,
        "requested_by": requested_by,
        "attempts": 1,
        "lease_owner": owner,
        "lease_until": now + LEASE,
        "started_at": now,
    }


def _need_not_wait_for_disk(session: Session) -> None:
    """Let the commit not wait for the disk: after a crash of PostgreSQL, the next run repeats what was lost."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL synchronous_commit = off"))


def _finish(session: Session, owner: str, alike: Sequence[MigrationResult]) -> None:
    """Finish, in one statement, the operations that differ only in their times."""
    started = {result.order.tenant_id: result.started_at or utcnow() for result in alike}
    ended = {
        result.order.tenant_id: started[result.order.tenant_id] + timedelta(seconds=result.duration) for result in alike
    }
    state = STATES[alike[0].state]
    values = {
        "state": state,
        "error": alike[0].error,
        "progress": 1.0 if state == OperationState.SUCCEEDED else 0.0,
        "started_at": _by_tenant(started),
        "finished_at": _by_tenant(ended),
        "lease_owner": None,
        "lease_until": None,
    }
    ours = update(Operation).where(Operation.tenant_id.in_(started), Operation.lease_owner == owner)
    session.execute(ours.values(values), execution_options={"synchronize_session": False})


def _by_tenant(times: Mapping[UUID, datetime]) -> Any:
    return case({key: literal(time, UtcDateTime) for key, time in times.items()}, value=Operation.tenant_id)


def _insert(session: Session, rows: Sequence[Mapping[str, Any]]) -> set[UUID]:
    """Insert rows for tenants that no operation works on, and return these tenants, in one round trip."""
    new = insert_for(session, Operation).on_conflict_do_nothing().returning(Operation.tenant_id)
    return set(cast("Iterable[UUID]", session.scalars(new, rows)))


def _take_over(session: Session, owner: str, orders: Sequence[MigrationOrder]) -> dict[UUID, MigrationOrder]:
    """Take over the migrations of tenants whose owner has died. A copy that was made then may still be needed."""
    by_tenant = {order.tenant_id: order for order in orders}
    lapsed = select(Operation).where(_lapsed(session), Operation.tenant_id.in_(list(by_tenant)))
    taken = {}
    for operation in session.scalars(lapsed.with_for_update(skip_locked=True)):
        tenant_id = cast("UUID", operation.tenant_id)
        order = by_tenant[tenant_id]
        taken[tenant_id] = replace(order, snapshot=order.snapshot or bool(operation.arguments["snapshot"]))
        operation.arguments = taken[tenant_id].arguments
        operation.lease_owner, operation.lease_until = owner, database_time(session) + LEASE
        operation.attempts += 1
    session.flush()
    return taken


def _lapsed(session: Session) -> Any:
    at_work = (Operation.kind == KIND) & Operation.state.in_(ACTIVE)
    return at_work & (Operation.lease_until <= database_time(session))


def _kinds_at_work(session: Session, orders: Sequence[MigrationOrder]) -> dict[MigrationOrder, str]:
    tenants = [order.tenant_id for order in orders]
    at_work = select(Operation.tenant_id, Operation.kind).where(Operation.tenant_id.in_(tenants))
    kinds: dict[UUID | None, str] = dict(session.execute(at_work.where(Operation.state.in_(ACTIVE))).all())
    # The other operation may be finished by now; its kind is unknown then.
    return {order: kinds.get(order.tenant_id, KIND) for order in orders}


@contextmanager
def leases_kept(user_db: DBFactory, owner: str, at_work: Callable[[], list[MigrationOrder]]) -> Iterator[None]:
    """Until the block ends, renew the owner's leases, and extend the fences of the orders that ``at_work`` returns."""

    def keep() -> None:
        with user_db.begin() as session:
            renew(session, owner)
            orders = at_work()
            for snapshot in (False, True):
                tenants = [order.tenant_id for order in orders if order.snapshot == snapshot]
                hold_fences(session.connection(), tenants, snapshot=snapshot)

    with repeated(keep, f"leases {owner}"):
        yield
