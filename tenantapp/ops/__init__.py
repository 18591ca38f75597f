"""Is it well, and what happened?"""

from typing import Any


def includeme(config: Any) -> None:
    """Health views and the request log."""
    config.include("tenantapp.ops.health")
    config.include("tenantapp.ops.request_log")
