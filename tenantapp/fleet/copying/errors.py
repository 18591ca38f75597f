"""What can go wrong with copies of tenants' databases.

FleetError
+-- CopyRefused     nothing was made
+-- CopyFailed      what was made is undone
"""

from tenantapp.fleet.errors import FleetError


class CopyRefused(FleetError):
    """Something is missing, or the database is not what it would have to be."""


class CopyFailed(FleetError):
    """The copy is not what it was to be."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not make a copy of {name}: {reason}.")
