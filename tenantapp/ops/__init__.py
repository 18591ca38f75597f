"""Is it well, and what happened?"""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Health views and the request log."""
    config.include("tenantapp.ops.health")
    config.include("tenantapp.ops.request_log")
