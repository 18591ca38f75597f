"""Which database is this request for?

Knows nothing of the other rooms: who may enter is decided by whoever makes the ``Access``.
"""

from typing import Any


def includeme(config: Any) -> None:
    """See ``application``, which is named and not imported: a program without requests needs no Pyramid."""
    config.include("tenantapp.tenancy.application")
