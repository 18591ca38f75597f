"""Operations that a command or a script works on itself.

They are rows like all others. The process that requests such an operation claims it at once.
"""

from typing import Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.operations.errors import LeaseLost, TenantBusy
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.leases import Claim, give_back, new_owner, take
from tenantapp.operations.models import FINISHED, Operation
from tenantapp.operations.outcomes import Outcome, Report, no_report
from tenantapp.operations.queue import get_operation
from tenantapp.operations.runner import abandon, run_operation
from tenantapp.sql.ids import uuid7


class Request(Protocol):
    """A function that requests an operation, with this id if one is given, and returns it.

    It may also return an operation that was requested before.
    """

    def __call__(self, session: Session, *, operation_id: UUID | None = None) -> Operation: ...


def run_now(
    fleet: Fleet, kinds: Kinds, request: Request, *, operation_id: UUID | None = None, report: Report = no_report
) -> UUID:
    """Request an operation, work on it in this process, and return its id.

    ``request`` calls ``request_operation``, or ``retry_operation`` for the operation ``operation_id``. The error that
    makes the operation fail is raised. An interrupt (Ctrl-C, ``SystemExit``) cancels the operation, see ``abandon``,
    and is raised again. Raises ``TenantBusy``, and requests nothing, if another operation works on the tenant.
    """
    claim = Claim(operation_id or uuid7(), new_owner())
    try:
        with fleet.user_db.begin() as session:
            operation = request(session, operation_id=claim.operation_id)
            if operation.state in FINISHED:
                return operation.id
            claim = _take(session, operation, claim.owner, kinds)
        outcome = run_operation(fleet, kinds, claim, report=report)
    except (KeyboardInterrupt, SystemExit):
        abandon(fleet, kinds, claim)
        raise
    if outcome.error is not None:
        raise outcome.error
    return claim.operation_id


def run_queued(fleet: Fleet, kinds: Kinds, operation_id: UUID) -> Outcome | None:
    """Work in this process on an operation that is queued already. Return None if a worker was faster.

    After an interrupt another worker resumes the operation at once.
    """
    claim = Claim(operation_id, new_owner())
    try:
        with fleet.user_db.begin() as session:
            _take(session, get_operation(session, operation_id), claim.owner, kinds)
    except TenantBusy:
        return None
    try:
        return run_operation(fleet, kinds, claim)
    except LeaseLost:
        return None
    except (KeyboardInterrupt, SystemExit):
        with fleet.user_db.begin() as session:
            give_back(session, claim)
        raise


def _take(session: Session, operation: Operation, owner: str, kinds: Kinds) -> Claim:
    """Claim the operation. Raises ``TenantBusy`` if a worker was faster, or another operation works on the tenant."""
    ours = select(Operation).where(Operation.id == operation.id).with_for_update(skip_locked=True)
    found = session.scalar(ours.execution_options(populate_existing=True))
    if found is None or found.lease_owner is not None:
        raise TenantBusy(operation.slug)
    return take(session, found, owner, kinds)
