"""Who is asking, and what may they do?"""

from typing import Any


def includeme(config: Any) -> None:
    """See ``application``, which is named and not imported: a program without requests needs no Pyramid."""
    config.include("tenantapp.identity.application")
