"""The audit trail over HTTP, for operators."""

from typing import Any

from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.query import PageQuery, page_of
from tenantapp.console.answers import AuditEntry
from tenantapp.console.declarations import fleet_view
from tenantapp.identity.audit import describe_entry, list_entries
from tenantapp.tenancy.request import TenantRequest


class AuditQuery(PageQuery):
    """The filters of the audit trail."""

    slug: str | None = None
    actor: str | None = None
    action: str | None = None


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


def includeme(config: Configurator) -> None:
    """Add the route."""
    config.add_route("fleet_audit", "/fleet/audit")
