"""Answer every error with a problem document, wherever the error comes from."""

from typing import Any

from pyramid.exceptions import PredicateMismatch
from pyramid.httpexceptions import HTTPException
from pyramid.response import Response
from pyramid.view import exception_view_config, forbidden_view_config, notfound_view_config

from tenantapp.api.problems import exception_response, problem_response
from tenantapp.tenancy.outdated import explained
from tenantapp.tenancy.request import TenantRequest


@exception_view_config(HTTPException)
@exception_view_config(Exception)
@forbidden_view_config()
def any_error(error: BaseException, request: TenantRequest) -> Response:
    """Answer an exception of a view, of a service, or of Pyramid. An error of a part names the part."""
    return exception_response(explained(error, request), request.running_part or request)


@notfound_view_config()
def not_found(error: Any, request: TenantRequest) -> Response:
    """Answer 404, or 405 if the path has views for other methods."""
    request = request.running_part or request
    route = getattr(request, "matched_route", None)
    methods = route and allowed_methods(request.registry, route.name)
    if not methods or not isinstance(error, PredicateMismatch):
        return problem_response(request, 404, "not_found", "There is nothing at this path.")
    response = problem_response(request, 405, "method_not_allowed", f"This path accepts {', '.join(methods)}.")
    response.headers["Allow"] = ", ".join(methods)
    return response


def allowed_methods(registry: Any, route_name: str) -> list[str]:
    """Return the methods of a route's views, sorted."""
    methods: set[str] = set()
    for view in registry.introspector.get_category("views") or ():
        if view["introspectable"].get("route_name") == route_name:
            stated = view["introspectable"].get("request_methods") or ()
            methods.update([stated] if isinstance(stated, str) else stated)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
