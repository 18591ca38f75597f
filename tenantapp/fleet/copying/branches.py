"""When branches expire: tenants that are copies of others, for a while."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.fleet.hooks.steps import REHEARSAL
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import change_expiry
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import Operation

KIND: Final = "clone"
SHORTEST: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=365)


def expiry(session: Session, after: timedelta) -> datetime:
    """Return the time at which a branch expires. Raises ``InvalidValue`` unless it is between an hour and a year."""
    if not SHORTEST <= after <= LONGEST:
        raise InvalidValue("expires_in", "A branch expires after an hour at the earliest, and after 365 days at last.")
    return database_time(session) + after


def is_rehearsal(session: Session, tenant_id: UUID) -> bool:
    """Return whether a tenant was made to rehearse a migration."""
    made = select(Operation.arguments).where(Operation.tenant_id == tenant_id, Operation.kind == KIND)
    return any(REHEARSAL in arguments for arguments in session.scalars(made))


def expire_after(session: Session, slug: str, after: timedelta | None) -> Tenant:
    """Let a branch expire after this time from now on, or never. Raises what ``expiry`` and ``change_expiry`` raise."""
    return change_expiry(session, slug, None if after is None else expiry(session, after))
