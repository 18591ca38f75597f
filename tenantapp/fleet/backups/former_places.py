"""Find out which database a tenant had at a moment: a move or a restore in place has given it another since."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.fleet.closing.discarding import DISCARD
from tenantapp.fleet.errors import MomentRefused
from tenantapp.identity.audit import ARGUMENTS
from tenantapp.identity.models import AuditEntry, Tenant
from tenantapp.operations.models import Operation


class Then(NamedTuple):
    """The place of the database that a tenant had at a moment. It is JSON as a dictionary."""

    server: str
    database: str


def place_then(
    session: Session, tenant_id: UUID, slug: str, tenant: Tenant | None, moment: datetime, named: str | None
) -> Then:
    """Return the database that a tenant had at a moment: the ``named`` one, or that which the user database knows.

    ``tenant`` is None if the tenant was removed. Whether the database is the tenant's is seen when it is restored: by
    the identity in it. Raises ``MomentRefused``.
    """
    if tenant is not None and moment < tenant.created_at:
        raise MomentRefused(f"the tenant {slug} was made after it, at {tenant.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if named is not None:
        server, _, database = named.rpartition(":")
        if not database or not (server or tenant is not None):
            raise MomentRefused(f"the tenant {slug} was removed, so its database is named as SERVER:DATABASE")
        return Then(server or str(tenant and tenant.server), database)
    if tenant is None:
        raise MomentRefused(f"the tenant {slug} was removed; name the database that it had, by --database SERVER:NAME")
    replaced = _replaced_after(session, tenant_id, moment)
    return replaced or Then(tenant.server, tenant.database)


def _replaced_after(session: Session, tenant_id: UUID, moment: datetime) -> Then | None:
    """Return the server and name of the first database of a tenant that was replaced after a moment.

    The request to remove it is written in the transaction that replaces it: as an operation, which is removed some time
    later, and in the audit trail, which an operator may shorten. So both are asked.
    """
    action = f"{DISCARD.name}.request"
    entries = select(AuditEntry.at, AuditEntry.detail).where(AuditEntry.action == action, AuditEntry.at > moment)
    operations = select(Operation.created_at, Operation.arguments)
    operations = operations.where(Operation.kind == DISCARD.name, Operation.created_at > moment)
    found = [(at, detail[ARGUMENTS]) for at, detail in session.execute(entries) if ARGUMENTS in detail]
    found += list(session.execute(operations))
    of_tenant = [(at, given) for at, given in found if given.get("replaced_of") == str(tenant_id)]
    if not of_tenant:
        return None
    _, first = min(of_tenant, key=lambda each: each[0])
    return Then(first["server"], first["database"])
