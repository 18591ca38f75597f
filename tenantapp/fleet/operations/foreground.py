"""Operations that a command or a script works on itself: the same rows, claimed by whoever asked for them."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.fleet.fleet import Fleet
from tenantapp.fleet.operations.kinds import Kinds
from tenantapp.fleet.operations.leases import Claim, new_owner, take
from tenantapp.fleet.operations.models import FINISHED, Operation
from tenantapp.fleet.operations.outcomes import Report, no_report
from tenantapp.fleet.operations.runner import abandon, run_operation
from tenantapp.tenancy.ids import uuid7

Request = Callable[[Session, UUID], Operation]


def run_now(
    fleet: Fleet, kinds: Kinds, request: Request, *, operation_id: UUID | None = None, report: Report = no_report
) -> UUID:
    """Request an operation and work on it at once; returns its id.

    ``request`` is given a session and the id to use, and calls ``request_operation``, or ``retry_operation`` for the
    one whose id was given. What keeps it from success is raised. An interrupt (Ctrl-C, ``SystemExit``) undoes it and is
    raised again. Raises ``TenantBusy``, with nothing requested, when another operation is at work on the tenant.
    """
    claim = Claim(operation_id or uuid7(), new_owner())
    try:
        with fleet.user_db.begin() as session:
            operation = request(session, claim.operation_id)
            if operation.state in FINISHED:
                return claim.operation_id
            take(session, operation, claim.owner, kinds)
        outcome = run_operation(fleet, kinds, claim, report=report)
    except (KeyboardInterrupt, SystemExit):
        abandon(fleet, kinds, claim)
        raise
    if outcome.error is not None:
        raise outcome.error
    return claim.operation_id
