"""How do operators and the administrators of a tenant manage the fleet over HTTP?

The views call the same services as the commands. Work that takes longer than a request is an operation: the answer is
202 with the operation and its address, and a worker does the work.
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
    "usage_views",
    "own_views",
    "job_views",
)


def includeme(config: Configurator) -> None:
    """Add the views under ``/api/v1/fleet`` and ``/api/v1/tenant``, and map the fleet's errors to status and code."""
    add_problems(config)
    for module in MODULES:
        config.include(f"tenantapp.console.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.console.{module}")
