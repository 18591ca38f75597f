"""Nodes over HTTP."""

from functools import partial
from typing import Any, Final, Literal

from orjson import Fragment
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.answers import Page
from tenantapp.api.conditions import precondition, send_version
from tenantapp.api.json import apply_patch
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, MergePatch, api_view, path_id
from tenantapp.content import Id
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest
from tenantapp.workspace import node_queries, nodes
from tenantapp.workspace.answers import Node
from tenantapp.workspace.content import NodeContent, TagName
from tenantapp.workspace.models import Status

CHANGING: Final = ("not_owner", "version_mismatch")


class NodeQuery(PageQuery):
    """The filters of the list of nodes. ``parent_id=root`` selects nodes without a parent."""

    status: Status | None = None
    owner_id: Id | None = None
    parent_id: Id | Literal["root"] | None = None
    tag: TagName | None = None


@api_view("nodes", "GET", permission=Permission.CONTENT_READ, query=NodeQuery, answer=Page[Node])
def list_nodes(request: TenantRequest) -> dict[str, Any]:
    """Return a page of nodes, in the order in which they were made."""
    query: NodeQuery = request.checked_query
    found = node_queries.find_nodes(
        request.tenant_session,
        limit=query.limit + 1,
        after=query.after_id(),
        status=query.status,
        owner_id=query.owner_id,
        parent_id=query.parent_id,
        tag=query.tag,
    )
    page = page_of(found, query.limit, lambda node: node.key)
    return page | {"items": [Fragment(node.text) for node in page["items"]]}


@api_view(
    "nodes",
    "POST",
    permission=Permission.CONTENT_CREATE,
    body=NodeContent,
    status=201,
    answer=Node,
    headers=("ETag", "Location"),
)
def create_node(request: TenantRequest) -> Fragment:
    """Add a node that the person owns."""
    node = nodes.create_node(request.tenant_session, request.access, request.checked_body)
    request.response.location = request.route_path("node", id=node.id)
    return _versioned(request, node)


@api_view("node", "GET", permission=Permission.CONTENT_READ, answer=Node, headers=("ETag",))
def read_node(request: TenantRequest) -> Fragment:
    """Return one node."""
    return _versioned(request, node_queries.read_node(request.tenant_session, path_id(request)))


@api_view(
    "node",
    "PUT",
    permission=Permission.CONTENT_CREATE,
    body=NodeContent,
    answer=Node,
    headers=("ETag",),
    problems=CHANGING,
)
def replace_node(request: TenantRequest) -> Fragment:
    """Replace a node's content. A field that is left out gets its default."""
    content: NodeContent = request.checked_body
    node = nodes.change_node(
        request.tenant_session, request.access, path_id(request), lambda before: content, precondition(request)
    )
    return _versioned(request, node)


@api_view(
    "node",
    "PATCH",
    permission=Permission.CONTENT_CREATE,
    body=MergePatch[NodeContent],
    answer=Node,
    headers=("ETag",),
    problems=CHANGING,
)
def patch_node(request: TenantRequest) -> Fragment:
    """Change a part of a node's content, by a merge patch (RFC 7396)."""
    change = partial(apply_patch, request.checked_body)
    node = nodes.change_node(request.tenant_session, request.access, path_id(request), change, precondition(request))
    return _versioned(request, node)


@api_view(
    "node",
    "DELETE",
    permission=Permission.CONTENT_CREATE,
    answer=None,
    problems=(*CHANGING, "node_has_children"),
)
def delete_node(request: TenantRequest) -> Response:
    """Delete a node without children."""
    nodes.delete_node(request.tenant_session, request.access, path_id(request), precondition(request))
    return Response(status=204)


def _versioned(request: TenantRequest, node: node_queries.ShownNode) -> Fragment:
    send_version(request, node.version)
    return node.json


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("nodes", "/nodes")
    config.add_route("node", f"/nodes/{ID}")
