"""What is done with the tenants' databases?"""

from typing import Any


def includeme(config: Any) -> None:
    """See ``application``, which is named and not imported: commands that need one module of ours need not load all."""
    config.include("tenantapp.fleet.application")
