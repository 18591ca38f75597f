"""Tell load balancers and operators whether the process and the user database answer, and which version runs."""

from importlib.metadata import version

from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from tenantapp.tenancy.request import TenantRequest

PUBLIC = NO_PERMISSION_REQUIRED


@view_config(route_name="lbheartbeat", request_method="GET", permission=PUBLIC, renderer="json")
def lbheartbeat(request: TenantRequest) -> dict[str, str]:
    """Say that the process answers. The view uses no database."""
    return {"status": "ok"}


@view_config(route_name="heartbeat", request_method="GET", permission=PUBLIC, renderer="json")
def heartbeat(request: TenantRequest) -> dict[str, str]:
    """Say that the user database answers and can be written to. Otherwise the answer is 503."""
    request.registry.access_reader.check()
    return {"status": "ok", "user_database": "ok"}


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
