"""How does a person manage their sessions, and an administrator the members of a tenant, over HTTP?"""

from pyramid.config import Configurator

from tenantapp.api import PREFIX


def includeme(config: Configurator) -> None:
    """Add the views of sessions, registration and members under ``/api/v1``."""
    for module in ("session_views", "user_views", "member_views"):
        config.include(f"tenantapp.account.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.account.{module}")
