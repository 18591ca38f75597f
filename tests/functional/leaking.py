"""Views that mix the tenants up, as a careless domain might have them."""

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import select

from tenantapp.api import PREFIX
from tenantapp.identity.permissions import Permission
from tenantapp.workspace.models import Node

LEAKS = {
    "GET /api/v1/cached",
    "GET /api/v1/cached/{id}",
    "GET /api/v1/missing/{id}",
    "DELETE /api/v1/cached/{id}",
    "GET /cached.txt",
}


def includeme(config: Any) -> None:
    """Add views that keep rows in memory, whose tenant they forget."""
    kept: dict[str, str] = {}

    def cached_list(request: Request) -> Response:
        if not kept:
            nodes = request.tenant_session.scalars(select(Node))
            kept.update({str(node.id): node.title for node in nodes})
        return Response(json_body=list(kept.values()))

    def cached_text(request: Request) -> Response:
        return Response(text="\n".join(kept.values()), content_type="text/plain")

    def cached(request: Request) -> Response:
        """Tell whether it is there, and nothing else."""
        if request.matchdict["id"] not in kept:
            raise HTTPNotFound
        return Response(json_body={})

    def remove(request: Request) -> Response:
        return Response(status=204 if request.matchdict["id"] in kept else 404)

    def missing(request: Request) -> Response:
        return Response(json_body={"detail": f"{kept.get(request.matchdict['id'])} is not here"}, status=404)

    for path, method, view in (
        (f"{PREFIX}/cached", "GET", cached_list),
        (f"{PREFIX}/cached/{{id}}", "GET", cached),
        (f"{PREFIX}/cached/{{id}}", "DELETE", remove),
        (f"{PREFIX}/missing/{{id}}", "GET", missing),
        ("/cached.txt", "GET", cached_text),
    ):
        route = f"{method} {path}"
        config.add_route(route, path, request_method=method)
        config.add_view(view, route_name=route, request_method=method, permission=Permission.CONTENT_READ)
