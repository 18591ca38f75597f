"""Who is asking, and what may they do?"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``identity.application``. It is not imported here, so programs without requests do not import Pyramid."""
    config.include("tenantapp.identity.application")
