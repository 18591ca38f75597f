"""Pages of other origins: cross-origin resource sharing (CORS) for those that ``http.allowed_origins`` names.

https://fetch.spec.whatwg.org/#http-cors-protocol
Without the setting, no answer has a header of CORS, so browsers keep what is answered from pages of other origins.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from pyramid.exceptions import URLDecodeError
from pyramid.interfaces import IRoutesMapper
from pyramid.response import Response

from tenantapp.api.address import is_served
from tenantapp.tenancy.named_tenants import PREFIX
from tenantapp.tenancy.request import TenantRequest

CALLER: Final = ("Cookie", "Authorization", "X-Tenant")  # the headers on which an access depends
PREFLIGHT: Final = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
SENT: Final = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
    *("If-Range", "Range", "X-CSRF-Token", "X-Position", "X-Request-ID", "X-Tenant"),
)
EXPOSED: Final = (
    *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Idempotency-Replayed", "Link", "Location"),
    *("RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Position", "X-Request-ID"),
)
MAX_AGE: Final = "600"  # seconds for which a browser keeps the answer of a preflight


def origins_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Answer preflights, and put the headers of CORS and ``Vary`` on every answer of the API, errors included."""
    allowed: frozenset[str] = registry.app_settings.http_allowed_origins

    def tween(request: TenantRequest) -> Any:
        origin = request.environ.get("HTTP_ORIGIN")
        response = _preflight(request) if origin in allowed and is_served(request) else None
        if response is None:
            response = handler(request)
        if request.depends_on_caller:
            _vary(response, CALLER)
        if allowed and _is_of_api(request):
            _vary(response, ("Origin",))
            if origin in allowed:
                _let_read(response, origin)
        return response

    return tween


def _preflight(request: TenantRequest) -> Response | None:
    """Return the answer of a preflight for a path of the API, or None. Nobody needs to be signed in for it."""
    if request.method != "OPTIONS" or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in request.environ:
        return None
    try:
        route = request.registry.getUtility(IRoutesMapper)(request)["route"]
    except URLDecodeError:
        return None  # what is not UTF-8 is refused further inside
    methods = _methods(request.registry, route.name) if route is not None else []
    if not methods:
        return None
    response = Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
    response.headers["Access-Control-Allow-Headers"] = ", ".join(SENT)
    response.headers["Access-Control-Max-Age"] = MAX_AGE
    _vary(response, PREFLIGHT)
    return response


def _methods(registry: Any, route_name: str) -> list[str]:
    """Return the methods of a route's JSON views."""
    methods = {operation.method for operation in registry.openapi.operations if operation.route == route_name}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _is_of_api(request: TenantRequest) -> bool:
    return bool(request.environ.get("PATH_INFO", "").startswith(f"{PREFIX}/"))


def _let_read(response: Response, origin: str) -> None:
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)


def _vary(response: Response, names: Iterable[str]) -> None:
    header = response.headers.get("Vary")
    if header is None:
        response.headerlist.append(("Vary", ", ".join(names)))
        return
    present = [name.strip() for name in header.split(",") if name.strip()]
    known = {name.lower() for name in present}
    response.headers["Vary"] = ", ".join([*present, *(name for name in names if name.lower() not in known)])
