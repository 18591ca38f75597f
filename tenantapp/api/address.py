"""Check the host, the path and the query of a request before anything else reads them, the debug toolbar included."""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from tenantapp.api.problems import problem_response
from tenantapp.tenancy.request import TenantRequest

# RFC 9110, section 7.2; RFC 3986, section 3.2.2, of which we leave out %XX, and the characters that no host has.
HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(:[0-9]{0,5})?")


def address_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Answer 400 if the path or the query is not UTF-8, or if the host is not one that is served."""

    def tween(request: TenantRequest) -> Any:
        if not is_served(request):
            return problem_response(request, 400, "unknown_host", "This server does not serve that host.")
        if not is_utf8(request.environ.get("PATH_INFO", "")):
            return problem_response(request, 400, "bad_request", "The path is not valid UTF-8.")
        if not is_utf8(request.environ.get("QUERY_STRING", ""), quoted=True):
            return problem_response(request, 400, "invalid_query", "The query string is not valid UTF-8.")
        return handler(request)

    return tween


def is_served(request: TenantRequest) -> bool:
    """Return whether the host is well-formed, and ``http.allowed_hosts``, if it is set, names it."""
    allowed: frozenset[str] | None = request.registry.app_settings.http_allowed_hosts
    name = host_name(request.host)
    return name is not None and (allowed is None or name in allowed)


def is_utf8(given: str, *, quoted: bool = False) -> bool:
    """Return whether bytes that WSGI passes as latin-1 (PEP 3333) are UTF-8. If ``quoted``, decode ``%XX`` first."""
    if given.isascii() and not (quoted and "%" in given):
        return True
    try:
        raw = given.encode("latin-1")
        (unquote_to_bytes(raw) if quoted else raw).decode()
    except UnicodeError:
        return False
    return True


def host_name(host: str) -> str | None:
    """Return the name or address in a ``Host`` header, without port and brackets. Return None if there is none."""
    match = HOST.fullmatch(host.lower())
    return match["name"].strip("[]").removesuffix(".") if match else None
