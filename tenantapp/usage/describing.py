"""Tenants as operators see them: with whether somebody administers them, and when they were last used."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.identity.administrators import BY_ID, ids_administrated
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import describe_tenant
from tenantapp.usage.models import TenantUsage


def describe_tenants(session: Session, found: Sequence[Tenant]) -> list[dict[str, Any]]:
    """Return tenants as operators see them, over HTTP and on the command line. Executes two statements."""
    administrated, hours = ids_administrated(session, found), last_hours(session, found)
    return [
        describe_tenant(tenant)
        | {"has_administrator": tenant.id in administrated, "last_used_hour": hours.get(tenant.id)}
        for tenant in found
    ]


def describe_one(session: Session, tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as operators see it."""
    return describe_tenants(session, [tenant])[0]


def last_hours(session: Session, found: Sequence[Tenant]) -> dict[UUID, datetime]:
    """Return the beginning of the last hour in which each tenant was used, of those whose use is kept."""
    # For each tenant one look at the end of its part of the primary key, however many hours are kept.
    last = select(func.max(TenantUsage.hour)).where(TenantUsage.tenant_id == Tenant.id).scalar_subquery()
    statement = select(Tenant.id, last)
    if len(found) <= BY_ID:
        statement = statement.where(Tenant.id.in_([tenant.id for tenant in found]))
    return {tenant_id: hour for tenant_id, hour in session.execute(statement) if hour is not None} if found else {}
