"""Let an operator give an administrator to a tenant that has none.

Such a tenant may be a copy of another one's data. Then the audit trail of the other one says so too: otherwise an
operator could read a customer's data in a copy without that customer's knowledge.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.fleet.backups.restore_kinds import RESTORE_AS
from tenantapp.fleet.copying.clone import CLONE
from tenantapp.identity import administrators
from tenantapp.identity.audit import record
from tenantapp.identity.models import AuditEntry, Tenant
from tenantapp.identity.names import normalize_login
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import SOURCES

COPYING: Final = (CLONE.name, RESTORE_AS.name)


def appoint(session: Session, slug: str, login: str) -> Tenant:
    """Give a person the role ``admin`` in a tenant that has none. Raises what ``administrators.appoint`` raises."""
    tenant = administrators.appoint(session, slug, login)
    detail = {"login": normalize_login(login), "role": administrators.ADMIN}
    for original_id in _originals(session, tenant.id):
        original = session.get(Tenant, original_id)
        named = None if original is None else original.slug
        record(session, "member.appoint_in_copy", tenant_id=original_id, slug=named, detail=detail)
    return tenant


def _originals(session: Session, tenant_id: UUID) -> Iterator[UUID]:
    """Yield the ids of the tenants whose data this one was made from: its original, the original's original, ..."""
    seen, each = {tenant_id}, _original(session, tenant_id)
    while each is not None and each not in seen:
        yield each
        seen.add(each)
        each = _original(session, each)


def _original(session: Session, tenant_id: UUID) -> UUID | None:
    for arguments in _arguments(session, tenant_id):
        for name in SOURCES:
            if name in arguments:
                return UUID(arguments[name])
    return None


def _arguments(session: Session, tenant_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield the arguments of the operation that made the tenant a copy, if it is one."""
    made = select(Operation.arguments).where(Operation.tenant_id == tenant_id, Operation.kind.in_(COPYING))
    yield from session.scalars(made)
    # Operations are swept after some time. The audit trail is kept for longer, or for good.
    asked = [f"{kind}.request" for kind in COPYING]
    entries = select(AuditEntry.detail).where(AuditEntry.tenant_id == tenant_id, AuditEntry.action.in_(asked))
    yield from (detail["arguments"] for detail in session.scalars(entries))
