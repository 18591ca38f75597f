"""The operator's work on the databases: making them and migrating them."""

from typing import Any


def includeme(config: Any) -> None:
    """See ``application``, which is named and not imported: commands that need one module of ours need not load all."""
    config.include("tenantapp.fleet.application")
