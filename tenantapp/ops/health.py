"""Tell load balancers and operators whether the process and its databases answer, and which version runs."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from tenantapp.tenancy.errors import UserDatabaseUnavailable
from tenantapp.tenancy.request import TenantRequest

PUBLIC = NO_PERMISSION_REQUIRED
OK: Final = "ok"
FAILED: Final = "failed"
SILENT: Final = "silent"
UNAVAILABLE: Final = 503


def health(registry: Any) -> tuple[bool, dict[str, Any]]:
    """Return whether an application can do its work, and why: its ``registry`` is asked.

    The user database is asked whether it can be read and written. The servers of tenants are not: each is ``silent`` if
    it did not answer requests of this process of late. That is no reason to send this process no requests.
    """
    reader = registry.access_reader
    reading = _outcome(reader.check_reading)
    # What does not answer would be waited for once more.
    writing = _outcome(reader.check_writing) if reading == OK else FAILED
    user_database = {"reading": reading, "writing": writing}
    engines = registry.tenant_dbs.engines
    servers = {name: SILENT if engines[name].breaker.is_open else OK for name in sorted(engines)}
    works = set(user_database.values()) == {OK}
    return works, {"status": OK if works else FAILED, "user_database": user_database, "servers": servers}


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except UserDatabaseUnavailable:
        return FAILED
    return OK


@view_config(route_name="lbheartbeat", request_method="GET", permission=PUBLIC, renderer="json")
def lbheartbeat(request: TenantRequest) -> dict[str, str]:
    """Say that the process answers. The view uses no database."""
    return {"status": OK}


@view_config(route_name="heartbeat", request_method="GET", permission=PUBLIC, renderer="json")
def heartbeat(request: TenantRequest) -> dict[str, Any]:
    """Say how the databases are. Unless the user database answers and can be written to, the status is 503."""
    works, said = health(request.registry)
    if not works:
        request.response.status_int = UNAVAILABLE
    return said


@view_config(route_name="version", request_method="GET", permission=PUBLIC, renderer="json")
def version_of(request: TenantRequest) -> dict[str, str]:
    """Return the installed version."""
    return {"name": "tenantapp", "version": version("tenantapp")}


def includeme(config: Configurator) -> None:
    """Add the routes, which are outside the API."""
    config.add_route("lbheartbeat", "/__lbheartbeat__")
    config.add_route("heartbeat", "/__heartbeat__")
    config.add_route("version", "/__version__")
    config.scan(__name__)
