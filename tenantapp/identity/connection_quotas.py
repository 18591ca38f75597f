"""How many connections to a tenant's database all processes that serve may have together: a quota of its own, or the
default of the settings.

``tenancy.connection_quotas`` says which part of it a process may have. It is read with each access.
"""

from typing import Final

from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import served_tenant

FEWEST: Final = 1
MOST: Final = 100_000  # connections


def set_connection_quota(session: Session, slug: str, quota: int | None) -> Tenant:
    """Give a tenant a quota of connections, or with None that of the settings, from the next request on.

    Raises ``NotFound``, ``TenantUnfinished``, ``TenantDeleted`` and ``InvalidValue``.
    """
    if quota is not None and not FEWEST <= quota <= MOST:
        raise InvalidValue("connection_quota", f"A quota has from {FEWEST} to {MOST} connections.")
    tenant = served_tenant(session, slug, for_update=True)
    tenant.connection_quota = quota
    record(session, "tenant.quota", tenant_id=tenant.id, slug=tenant.slug, detail={"connection_quota": quota})
    session.flush()
    return tenant
