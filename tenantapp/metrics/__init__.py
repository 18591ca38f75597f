"""What do the processes of a machine count, and how does Prometheus read it?"""

from typing import Any


def includeme(config: Any) -> None:
    """Count, and answer Prometheus, if the setting ``metrics.listen`` says where."""
    config.include("tenantapp.metrics.application")
