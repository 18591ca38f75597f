"""Which worker owns an operation: claims and leases.

Each claim has an owner name that no other claim has. A worker records everything under that name. So a worker that was
paused until another one took over records nothing, and learns of it at its next check. Leases are measured by the clock
of the user database. On PostgreSQL this is the server's clock. On SQLite it is the clock of this machine, since all
workers run on it.
"""

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, exists, func, or_, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, aliased

from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import LeaseLost, TenantBusy
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.models import ACTIVE, IS_UNFINISHED, Operation, OperationState
from tenantapp.sql.errors import SqlError
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
LEASE: Final = timedelta(seconds=30)
RENEW_EVERY: Final = LEASE.total_seconds() / 4  # seconds
MAX_ATTEMPTS: Final = 5  # attempts, each ended by the death of a worker, before an operation is given up


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's claim on one operation."""

    operation_id: UUID
    owner: str


def new_owner() -> str:
    """Return a new owner name for a claim: the host, the process id, and eight random hexadecimal digits."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def database_time(session: Session) -> datetime:
    """Return the time by the clock of the user database."""
    if session.get_bind().dialect.name == "postgresql":
        now: datetime = session.scalars(select(func.clock_timestamp())).one()
        return now
    return utcnow()


def is_worker_gone(operation: Operation) -> bool:
    """Return whether the lease of an active operation has run out, by this machine's clock."""
    lease = operation.lease_until
    return operation.state in ACTIVE and lease is not None and lease <= utcnow()


def worker_of(owner: str | None) -> str | None:
    """Return the host and the process id of an owner, or None if there is none."""
    return None if owner is None else owner.rpartition(":")[0]


def is_work_waiting(session: Session, kinds: Kinds) -> bool:
    """Return whether ``claim_next`` would find an operation. It only reads."""
    return (
        session.scalar(_claimable(kinds, database_time(session)).with_only_columns(Operation.id).limit(1)) is not None
    )


def claim_next(session: Session, kinds: Kinds) -> Claim | None:
    """Claim the oldest operation that is due, or whose lease ran out. Return None if there is none.

    An operation that was attempted too often is given up, or undone if its kind undoes. Raises ``TenantBusy`` if
    another worker has just claimed an operation on the same tenant.
    """
    now = database_time(session)
    while operation := session.scalar(_claimable(kinds, now).limit(1).with_for_update(of=Operation, skip_locked=True)):
        if operation.attempts < MAX_ATTEMPTS or _is_to_be_undone(operation, kinds):
            return take(session, operation, new_owner(), kinds)
        finish(session, operation, OperationState.FAILED, f"Given up after {operation.attempts} attempts.")
        session.flush()
    return None


def take(session: Session, operation: Operation, owner: str, kinds: Kinds) -> Claim:
    """Make ``owner`` the owner of the operation, which starts at its present step or at the first.

    Raises ``TenantBusy`` if another operation works on the tenant.
    """
    now = database_time(session)
    slug = operation.slug
    if operation.state == OperationState.QUEUED:
        operation.state = OperationState.RUNNING
    operation.lease_owner, operation.lease_until = owner, now + LEASE
    operation.step = operation.step or next(iter(kinds[operation.kind].names), None)
    operation.attempts += 1
    operation.started_at = operation.started_at or now
    try:
        session.flush()
    except IntegrityError:
        raise TenantBusy(slug) from None
    return Claim(operation.id, owner)


def hold(session: Session, claim: Claim) -> Operation:
    """Return the operation, locked for changes in this transaction, and renew its lease. Raises ``LeaseLost``."""
    operation = session.scalar(_claimed(claim).with_for_update())
    if operation is None:
        raise LeaseLost
    operation.lease_until = database_time(session) + LEASE
    return operation


def look(session: Session, claim: Claim) -> Operation:
    """Return the operation, for reading only. Raises ``LeaseLost``."""
    operation = session.scalar(_claimed(claim))
    if operation is None:
        raise LeaseLost
    return operation


def give_back(session: Session, claim: Claim) -> None:
    """Release the operation because this worker must end. The attempt does not count. Raises ``LeaseLost``."""
    operation = hold(session, claim)
    operation.attempts -= 1
    release(session, operation)


def release(session: Session, operation: Operation, *, wait: timedelta = timedelta(0)) -> None:
    """Let another worker resume the operation, at once or after ``wait``."""
    operation.lease_owner, operation.lease_until = None, database_time(session) + wait


@checkpoint("operation.finish")
def finish(session: Session, operation: Operation, state: OperationState, error: str | None = None) -> None:
    """Record how the operation ended."""
    operation.state, operation.error = state, error
    operation.lease_owner = operation.lease_until = None
    operation.finished_at = database_time(session)


@contextmanager
def lease_kept(user_db: DBFactory, claim: Claim, every: float = RENEW_EVERY) -> Iterator[Event]:
    """Renew the lease until the block ends. The event is set if the lease is lost or was not renewed in time."""
    lost, over = Event(), Event()
    given = (user_db, claim, every, lost, over)
    thread = Thread(target=_keep, args=given, name=f"lease {claim.operation_id}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()


def _keep(user_db: DBFactory, claim: Claim, every: float, lost: Event, over: Event) -> None:
    renewed = time.monotonic()
    while not over.wait(every):
        try:
            with user_db.begin() as session:
                hold(session, claim)
            renewed = time.monotonic()
        except LeaseLost:
            lost.set()
            return
        except (SqlError, TenancyError, DBAPIError) as error:
            log.warning("The lease of operation %s was not renewed: %s", claim.operation_id, error)
            if time.monotonic() - renewed > LEASE.total_seconds():
                lost.set()


@contextmanager
def repeated(keep: Callable[[], object], name: str) -> Iterator[None]:
    """Call ``keep`` every few seconds until the block ends.

    If the user database does not answer, the next call comes before a lease runs out.
    """
    over = Event()

    def repeat() -> None:
        while not over.wait(RENEW_EVERY):
            with suppress(SqlError, TenancyError, DBAPIError):
                keep()

    thread = Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _claimed(claim: Claim) -> Select[Operation]:
    ours = select(Operation).where(Operation.id == claim.operation_id, Operation.lease_owner == claim.owner)
    return ours.where(Operation.state.in_(ACTIVE))


def _is_to_be_undone(operation: Operation, kinds: Kinds) -> bool:
    """Return whether to undo an operation instead of giving it up. Undoing gets as many attempts as the work did."""
    if not kinds[operation.kind].undoes or operation.attempts >= 2 * MAX_ATTEMPTS:
        return False
    if operation.state == OperationState.RUNNING:
        operation.state = OperationState.UNDOING
        operation.error = f"Given up after {operation.attempts} attempts."
    return True


def _claimable(kinds: Kinds, now: datetime) -> Select[Any]:
    other = aliased(Operation)
    busy = exists().where(other.tenant_id == Operation.tenant_id, other.state.in_(ACTIVE))
    due = or_(Operation.lease_until.is_(None), Operation.lease_until <= now)
    queued = and_(Operation.state == OperationState.QUEUED, due, ~busy)
    lapsed = and_(Operation.state.in_(ACTIVE), Operation.lease_until <= now)
    # The text of the partial index, as no engine would see that the other conditions follow from it.
    unfinished = text(f"operations.{IS_UNFINISHED}")
    claimable = select(Operation).where(unfinished, Operation.kind.in_(kinds), or_(queued, lapsed))
    return claimable.order_by(Operation.id)
