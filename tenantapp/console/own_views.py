"""Exports over HTTP: the administrators of a tenant fetch all of its data in one file."""

from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.answers import Page
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.console import answers
from tenantapp.console.declarations import FAILING
from tenantapp.console.resources import export_object, own_operation_object
from tenantapp.fleet.backups.export_kind import finished_export, list_exports, read_export, request_export
from tenantapp.identity.audit import record, recording
from tenantapp.identity.errors import NotFound
from tenantapp.identity.permissions import Permission
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import get_operation
from tenantapp.tenancy.request import TenantRequest


@api_view(
    "tenant_export",
    "POST",
    permission=Permission.TENANT_EXPORT,
    writes="user",
    fresh=True,
    status=202,
    answer=answers.Operation,
    headers=("Location",),
    problems=("backup_refused", "operation_refused", "tenant_deleted", *FAILING),
)
def create_export(request: TenantRequest) -> dict[str, Any]:
    """Request an export of the selected tenant's data to a bundle."""
    operation = request_export(
        request.user_session,
        request.registry.fleet,
        request.access.require_tenant().slug,
        requested_by=request.access.person.login,
    )
    request.response.location = request.route_path("tenant_operation", id=operation.id)
    return own_operation_object(operation)


@api_view("tenant_exports", "GET", permission=Permission.TENANT_EXPORT, query=PageQuery, answer=Page[answers.Export])
def list_own_exports(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the selected tenant's exports, newest first."""
    query: PageQuery = request.checked_query
    tenant = request.access.require_tenant()
    found = list_exports(request.user_session, tenant.id, before=query.after_id(), limit=query.limit + 1)
    page = page_of(found, query.limit, lambda operation: str(operation.id))
    return {"items": [export_object(operation) for operation in page["items"]], "next": page["next"]}


@api_view("tenant_operation", "GET", permission=Permission.TENANT_EXPORT, answer=answers.Operation)
def read_operation(request: TenantRequest) -> dict[str, Any]:
    """Return an operation on the selected tenant, with its progress or its outcome."""
    return own_operation_object(_own_operation(request))


@api_view(
    "tenant_export_of_id",
    "GET",
    permission=Permission.TENANT_EXPORT,
    answer=bytes,
    headers=("Content-Disposition",),
    problems=("backup_refused", *FAILING),
)
def download_export(request: TenantRequest) -> Response:
    """Return the bundle that an export has written."""
    tenant = request.access.require_tenant()
    operation = finished_export(request.user_session, path_id(request), tenant.id)
    content = read_export(request.registry.fleet, operation)
    with recording(request.registry.user_db, request.actor) as session:
        detail = {"operation": str(operation.id)}
        record(session, "export.download", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    response = Response(app_iter=content, content_type="application/octet-stream")
    response.content_length = operation.result["size"]
    response.content_disposition = f'attachment; filename="{tenant.slug}-{operation.created_at:%Y%m%d}.bundle"'
    response.cache_control = "no-store"
    return response


def _own_operation(request: TenantRequest) -> Operation:
    """Return the operation with the id in the path. Raises ``NotFound``, also for another tenant's operation."""
    operation = get_operation(request.user_session, path_id(request))
    if operation.tenant_id != request.access.require_tenant().id:
        raise NotFound("operation", operation.id)
    return operation


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("tenant_export", "/tenant/export")
    config.add_route("tenant_exports", "/tenant/exports")
    config.add_route("tenant_export_of_id", f"/tenant/exports/{ID}")
    config.add_route("tenant_operation", f"/tenant/operations/{ID}")
