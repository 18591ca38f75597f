"""The audit trail over HTTP: all of it for operators, and that of their tenant for its administrators."""

from typing import Any

from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import api_view
from tenantapp.console.answers import AuditEntry, OwnAuditEntry
from tenantapp.console.declarations import fleet_view
from tenantapp.identity.audit import describe_entry, describe_own_entry, list_entries, list_own_entries
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest


class OwnAuditQuery(PageQuery):
    """The filters of the audit trail of a tenant."""

    actor: str | None = None
    action: str | None = None


class AuditQuery(OwnAuditQuery):
    """The filters of the audit trail."""

    slug: str | None = None


@fleet_view("fleet_audit", "GET", query=AuditQuery, answer=Page[AuditEntry])
def list_audit(request: TenantRequest) -> dict[str, Any]:
    """Return a page of entries, newest first."""
    query: AuditQuery = request.checked_query
    found = list_entries(
        request.user_session,
        slug=query.slug,
        actor=query.actor,
        action=query.action,
        before=query.after_id(),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda entry: str(entry.id))
    return {"items": [describe_entry(entry) for entry in page["items"]], "next": page["next"]}


@api_view("tenant_audit", "GET", permission=Permission.MEMBERS_MANAGE, query=OwnAuditQuery, answer=Page[OwnAuditEntry])
def list_own_audit(request: TenantRequest) -> dict[str, Any]:
    """Return a page of what was done to the selected tenant, newest first."""
    query: OwnAuditQuery = request.checked_query
    found = list_own_entries(
        request.user_session,
        request.access.require_tenant().id,
        actor=query.actor,
        action=query.action,
        before=query.after_id(),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda entry: str(entry.id))
    return {"items": [describe_own_entry(entry) for entry in page["items"]], "next": page["next"]}


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("fleet_audit", "/fleet/audit")
    config.add_route("tenant_audit", "/tenant/audit")
