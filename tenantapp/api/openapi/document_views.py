"""The OpenAPI document over HTTP. It describes no tenant, so it is open to all."""

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from tenantapp.api.openapi.document import Document
from tenantapp.tenancy.request import TenantRequest


@view_config(route_name="openapi", request_method="GET", permission=NO_PERMISSION_REQUIRED)
def read_document(request: TenantRequest) -> Response:
    """Return the OpenAPI document."""
    document: Document = request.registry.openapi
    response = Response(document.json, content_type="application/json", etag=document.tag, conditional_response=True)
    response.cache_control = "public, max-age=300"
    return response
