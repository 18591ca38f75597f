"""Who works on an operation: a claim with a lease.

Each claim has a name of its own, and whatever is recorded is recorded under that name, so that one who was paused until
another had taken over finds out when next it asks, and records nothing. Leases are measured by the clock of the user
database: the server's on PostgreSQL, this machine's, of which there is one, on SQLite.
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

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, aliased

from tenantapp.operations.errors import LeaseLost, TenantBusy
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.models import ACTIVE, Operation, OperationState
from tenantapp.sql.errors import SqlError
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
LEASE: Final = timedelta(seconds=30)
RENEW_EVERY: Final = LEASE.total_seconds() / 4  # seconds
MAX_ATTEMPTS: Final = 5  # workers that may die of an operation before it is given up


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's hold on one operation."""

    operation_id: UUID
    owner: str


def new_owner() -> str:
    """The name of a claim: host, process, and eight letters that make it the only one."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def database_time(session: Session) -> datetime:
    """The time by the user database's clock."""
    if session.get_bind().dialect.name == "postgresql":
        now: datetime = session.scalars(select(func.clock_timestamp())).one()
        return now
    return utcnow()


def is_work_waiting(session: Session, kinds: Kinds) -> bool:
    """Whether ``claim_next`` would find something. Only reads."""
    return (
        session.scalar(_claimable(kinds, database_time(session)).with_only_columns(Operation.id).limit(1)) is not None
    )


def claim_next(session: Session, kinds: Kinds) -> Claim | None:
    """Claim the oldest operation that nobody works on, or whose worker's lease ran out.

    One that too many workers died of is given up. Raises ``TenantBusy`` when another was quicker with its tenant.
    """
    now = database_time(session)
    while operation := session.scalar(_claimable(kinds, now).limit(1).with_for_update(of=Operation, skip_locked=True)):
        if operation.attempts < MAX_ATTEMPTS or _is_to_be_undone(operation, kinds):
            return take(session, operation, new_owner(), kinds)
        finish(session, operation, OperationState.FAILED, f"Given up after {operation.attempts} attempts.")
        session.flush()
    return None


def take(session: Session, operation: Operation, owner: str, kinds: Kinds) -> Claim:
    """Make this owner the one who works on it, from its step or the first on.

    Raises ``TenantBusy`` if another operation of the tenant is at work.
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
    """The operation, to be changed in this transaction, its lease renewed. Raises ``LeaseLost``."""
    operation = session.scalar(_claimed(claim).with_for_update())
    if operation is None:
        raise LeaseLost
    operation.lease_until = database_time(session) + LEASE
    return operation


def look(session: Session, claim: Claim) -> Operation:
    """The operation, to be read. Raises ``LeaseLost``."""
    operation = session.scalar(_claimed(claim))
    if operation is None:
        raise LeaseLost
    return operation


def give_back(session: Session, claim: Claim) -> None:
    """Let another go on at once: this worker was ended, which is no fault of the operation's. Raises ``LeaseLost``."""
    operation = hold(session, claim)
    operation.attempts -= 1
    release(session, operation)


def release(session: Session, operation: Operation, *, wait: timedelta = timedelta(0)) -> None:
    """Let another go on where this one stopped, at once or after a while."""
    operation.lease_owner, operation.lease_until = None, database_time(session) + wait


def finish(session: Session, operation: Operation, state: OperationState, error: str | None = None) -> None:
    """Record how it ended."""
    operation.state, operation.error = state, error
    operation.lease_owner = operation.lease_until = None
    operation.finished_at = database_time(session)


@contextmanager
def lease_kept(user_db: DBFactory, claim: Claim, every: float = RENEW_EVERY) -> Iterator[Event]:
    """Renew the lease until the block ends. The event is set when it is lost, or could not be renewed in time."""
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
def repeated(keep: Callable[[], None], name: str) -> Iterator[None]:
    """Call ``keep`` every few seconds until the block ends.

    When the user database does not answer, it is tried again before a lease runs out.
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
    """Whether, instead of being given up, it is undone: that is tried as often again."""
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
    return select(Operation).where(Operation.kind.in_(kinds), or_(queued, lapsed)).order_by(Operation.id)
