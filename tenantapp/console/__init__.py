"""What may operators, and the administrators of a tenant, do with the fleet over HTTP?

The views call the services that the commands call. Work that takes longer than a request is an operation: it is
answered 202, with the operation and its address, and a worker does it.
"""

from typing import Final

from pyramid.config import Configurator

from tenantapp.api import PREFIX
from tenantapp.console.problems import add_problems

MODULES: Final = (
    "tenant_views",
    "copy_views",
    "operation_views",
    "fleet_views",
    "query_views",
    "audit_views",
    "own_views",
)


def includeme(config: Configurator) -> None:
    """What errors of the fleet are over HTTP, and the views under ``/api/v1/fleet`` and ``/api/v1/tenant``."""
    add_problems(config)
    for module in MODULES:
        config.include(f"tenantapp.console.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.console.{module}")
