"""Log one line for each request, and put the request's id into the answer."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from pyramid import tweens
from pyramid.config import Configurator
from pyramid_retry import is_error_retryable

from tenantapp.identity.names import SLUG
from tenantapp.tenancy.request import TenantRequest

DENIALS: Final = (401, 403)
TRIED_AGAIN: Final = (409, 503)  # a conflict, or a replica that cannot be read
PATH_LENGTH: Final = 500  # characters of a path that are logged
log = logging.getLogger("tenantapp.requests")


def request_log_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Log method, path, status and duration, but no query string, header or body: these may contain secrets.

    If a person who is signed in is denied something, the line has the person's id and the slug of the tenant, if there
    is one. If an operator works as the person, every line has that, and the operator's login. Of a request that is
    tried again, each attempt has a line.
    """

    def tween(request: TenantRequest) -> Any:
        started = perf_counter()
        response = handler(request)
        response.headers["X-Request-ID"] = request.request_id
        fields = {
            "request_id": request.request_id,
            "method": request.method,
            "path": _path(request.environ.get("PATH_INFO", "")),
            "status": response.status_int,
            "milliseconds": round((perf_counter() - started) * 1000, 1),
        }
        message = "%(method)s %(path)r %(status)s in %(milliseconds)s ms"
        impersonator = request.actor.impersonator
        if impersonator is not None or (response.status_int in DENIALS and request.actor.id is not None):
            fields |= _who(request)
            message += ": person %(person)s, tenant %(tenant)s"
        if impersonator is not None:
            fields["impersonator"] = impersonator
            message += ", impersonated by %(impersonator)r"
        if response.status_int in TRIED_AGAIN and is_error_retryable(request, getattr(request, "exception", None)):
            message += ", tried again"
        log.info(message, fields, extra=fields)
        return response

    return tween


def _who(request: TenantRequest) -> dict[str, str | None]:
    """Return who made the request, and for which tenant: that of the access, or what the request names."""
    # It was read for the request, so this reads nothing.
    access = request.access
    tenant, named = access.tenant or access.selected, request.named_tenant
    slug = named if named and SLUG.fullmatch(named) else None
    return {"person": str(access.person.id), "tenant": slug if tenant is None else tenant.slug}


def _path(raw: str) -> str:
    """Return the path as text, even if it is not UTF-8. WSGI passes its bytes as latin-1 (PEP 3333)."""
    return raw[:PATH_LENGTH].encode("latin-1", "replace").decode("utf-8", "replace")


def includeme(config: Configurator) -> None:
    """Add the tween as the outermost one, so that it sees the response that is sent."""
    config.add_tween(
        "tenantapp.ops.request_log.request_log_tween",
        under=tweens.INGRESS,
        over=("tenantapp.api.origins.origins_tween", "tenantapp.api.address.address_tween", tweens.EXCVIEW),
    )
