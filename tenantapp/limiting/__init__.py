"""How often may somebody ask, and who is turned away when there is too much to do?"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: "Configurator") -> None:
    """Count the requests, and refuse what is too much or too late."""
    config.include("tenantapp.limiting.application")
