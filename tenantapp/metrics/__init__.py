"""What do the processes of a machine count, and how does Prometheus read it?"""

from typing import Any


def includeme(config: Any) -> None:
    """Count, and answer Prometheus, if the setting ``metrics.listen`` says where. That needs Linux or another Unix."""
    if config.registry.app_settings.metrics_listen is not None:
        config.include("tenantapp.metrics.application")
