"""What is done with the tenants' databases?"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.fleet.application")
