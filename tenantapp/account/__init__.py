"""What does a person do with their own session, and an administrator with the members, over HTTP?"""

from pyramid.config import Configurator

from tenantapp.api import PREFIX


def includeme(config: Configurator) -> None:
    """The views of the session, of registration and of the members under ``/api/v1``."""
    for module in ("session_views", "user_views", "member_views"):
        config.include(f"tenantapp.account.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.account.{module}")
