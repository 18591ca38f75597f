"""Operations over HTTP, for operators."""

from typing import Any, Final

from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.json import OptionalBody
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, path_id
from tenantapp.console.answers import FleetOperation
from tenantapp.console.declarations import fleet_request, fleet_view
from tenantapp.console.resources import accepted, operation_object
from tenantapp.content import example
from tenantapp.fleet.kinds import KINDS
from tenantapp.operations import queue
from tenantapp.operations.models import OperationState
from tenantapp.tenancy.request import TenantRequest

CHANGING: Final = ("operation_refused", "tenant_busy")


class OperationQuery(PageQuery):
    """The filters of the list of operations."""

    slug: str | None = None
    state: OperationState | None = None
    kind: str | None = None


class Retry(OptionalBody, json_schema_extra=example({"without_copy": False})):
    """The body of ``POST /fleet/operations/{id}/retry``. ``without_copy`` permits removal without a proved copy."""

    without_copy: bool = False


@fleet_view("fleet_operations", "GET", query=OperationQuery, answer=Page[FleetOperation])
def list_operations(request: TenantRequest) -> dict[str, Any]:
    """Return a page of operations, newest first."""
    query: OperationQuery = request.checked_query
    found = queue.list_operations(
        request.user_session,
        slug=query.slug,
        state=query.state,
        kind=query.kind,
        before=query.after_id(),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda operation: str(operation.id))
    return {"items": [operation_object(operation) for operation in page["items"]], "next": page["next"]}


@fleet_view("fleet_operation", "GET", answer=FleetOperation)
def read_operation(request: TenantRequest) -> dict[str, Any]:
    """Return one operation, with its progress or its outcome."""
    return operation_object(queue.get_operation(request.user_session, path_id(request)))


@fleet_request("fleet_operation_retry", body=Retry, problems=CHANGING)
def retry_operation(request: TenantRequest) -> dict[str, Any]:
    """Queue a failed or cancelled operation again."""
    operation = queue.retry_operation(
        request.user_session, path_id(request), KINDS, without_copy=request.checked_body.without_copy
    )
    return accepted(request, operation)


@fleet_request("fleet_operation_cancel", problems=CHANGING)
def cancel_operation(request: TenantRequest) -> dict[str, Any]:
    """Cancel an operation. A running operation stops at its next check."""
    return accepted(request, queue.cancel_operation(request.user_session, path_id(request), KINDS))


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("fleet_operations", "/fleet/operations")
    config.add_route("fleet_operation", f"/fleet/operations/{ID}")
    for what in ("retry", "cancel"):
        config.add_route(f"fleet_operation_{what}", f"/fleet/operations/{ID}/{what}")
