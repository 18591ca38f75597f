"""Whom does a tenant tell about its changes?

``rows`` has the services that add, change and list webhooks and their
deliveries, which are rows of the tenant's database. ``outbox`` makes deliveries of the changes, and ``delivering`` is
the job that sends them. ``application`` is the part in the application, and ``views`` are its calls.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.webhooks.application")
