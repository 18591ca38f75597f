"""Which database is this request for?

This package does not decide who may enter. It opens the database that the ``Access`` names.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``tenancy.application``. It is not imported here, so programs without requests do not import Pyramid."""
    config.include("tenantapp.tenancy.application")
