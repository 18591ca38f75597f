"""Record where each chain of a tenant begins, as an entry of the chain of no tenant.

So the trail knows which chains there have to be: one that was removed whole is missed, and is not begun again.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.audit.models import TRAIL
from tenantapp.identity.audit import local_requester
from tenantapp.identity.models import AuditEntry
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow

BEGIN: Final = "audit.chain"  # only the sealer writes this action, and seals the entry in the same transaction


def beginning_of(chain: UUID) -> AuditEntry:
    """Return a new entry that says that a chain begins. It is not in a session yet."""
    return AuditEntry(id=uuid7(), at=utcnow(), actor=local_requester(), action=BEGIN, detail={"chain": str(chain)})


def begun_chains(
    session: Session, among: Collection[UUID] | None = None, *, since: datetime | None = None
) -> set[UUID]:
    """Return the chains that were begun, as the trail has it.

    ``among`` selects some of them, and ``since`` those that were recorded at this time or later. Entries that somebody
    took out of the chain count too: then the safe thing is not to seal.
    """
    name = TRAIL.c.detail["chain"].as_string()
    begun = select(name).where(TRAIL.c.action == BEGIN, TRAIL.c.tenant_id.is_(None))
    if among is not None:
        begun = begun.where(name.in_([str(chain) for chain in among]))
    if since is not None:
        begun = begun.where(TRAIL.c.at >= since)
    return {UUID(chain) for chain in session.scalars(begun) if _is_id(chain)}


def _is_id(text: str | None) -> bool:
    try:
        return text is not None and bool(UUID(text))
    except ValueError:
        return False
