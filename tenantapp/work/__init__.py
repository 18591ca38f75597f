"""What does a domain leave to be done later, and who does it?

``declarations`` has the jobs that a domain declares, and ``schedules`` says when a periodic one is due. ``queue`` has
the services that queue, list, retry, cancel and release jobs, which are rows of the tenant's own database. ``visits``
says, in the user database, when a worker looks into which tenant. ``claims`` is what a visit does to the jobs,
``running`` runs their handlers, and ``worker`` makes several visits at once. ``application`` is the part in the
application.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.work.application")
