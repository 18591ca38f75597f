"""Does the application work, and which requests has it served?"""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Add the health views and the request log."""
    config.include("tenantapp.ops.health")
    config.include("tenantapp.ops.request_log")
