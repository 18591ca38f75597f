"""How does a person prove who they are?"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``credentials.application``. It is not imported here, so commands import only what they need."""
    config.include("tenantapp.credentials.application")
