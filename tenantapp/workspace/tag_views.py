"""Tags over HTTP."""

from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.answers import Page
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest
from tenantapp.workspace import tags
from tenantapp.workspace.answers import Tag
from tenantapp.workspace.content import TagContent


@api_view("tags", "GET", permission=Permission.CONTENT_READ, query=PageQuery, answer=Page[Tag])
def list_tags(request: TenantRequest) -> dict[str, Any]:
    """Return a page of tags, by name."""
    query: PageQuery = request.checked_query
    items = tags.list_tags(request.tenant_session, after=query.after(), limit=query.limit + 1)
    return page_of(items, query.limit, lambda tag: str(tag["name"]))


@api_view(
    "tags",
    "POST",
    permission=Permission.CONTENT_CREATE,
    body=TagContent,
    status=201,
    answer=Tag,
    headers=("Location",),
    problems=("already_exists",),
)
def create_tag(request: TenantRequest) -> dict[str, Any]:
    """Add a tag that no node has yet."""
    tag = tags.create_tag(request.tenant_session, request.checked_body.name)
    request.response.location = request.route_path("tag", id=tag["id"])
    return tag


@api_view("tag", "GET", permission=Permission.CONTENT_READ, answer=Tag)
def read_tag(request: TenantRequest) -> dict[str, Any]:
    """Return one tag."""
    return tags.read_tag(request.tenant_session, path_id(request))


@api_view(
    "tag", "PUT", permission=Permission.CONTENT_EDIT_ANY, body=TagContent, answer=Tag, problems=("already_exists",)
)
def rename_tag(request: TenantRequest) -> dict[str, Any]:
    """Rename a tag on all nodes."""
    return tags.rename_tag(request.tenant_session, path_id(request), request.checked_body.name)


@api_view("tag", "DELETE", permission=Permission.CONTENT_EDIT_ANY, answer=None)
def delete_tag(request: TenantRequest) -> Response:
    """Delete a tag and remove it from all nodes."""
    tags.delete_tag(request.tenant_session, path_id(request))
    return Response(status=204)


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("tags", "/tags")
    config.add_route("tag", f"/tags/{ID}")
