"""An application that is nothing but what a domain declares of permissions and roles."""

from collections.abc import Callable
from typing import Any, Final

from tenantapp.identity.declared_rights import RightsConfigurator

BAD_ROLE_NAMES: Final = ("", "Warehouse", "ware house", "a:b", "9lives", "x" * 51, "w\u00e4rehouse")


def application_of(includeme: Callable[[Any], None]) -> Any:
    """The application. Raises ``RightsError``."""
    config = RightsConfigurator()
    config.include("tenantapp.identity.declared_rights")
    config.include(includeme)
    return config.make_wsgi_app()
