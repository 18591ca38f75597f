"""What has each tenant used, and what took long?

``meter`` adds up in the memory of a process, for each tenant and hour. ``observing`` tells it of each request.
``ledger`` adds that to the user database, every few seconds, and removes what is old. ``reading`` sums it up.
``statement_meter``, ``statement_ledger`` and ``statement_reading`` do the same with the statements of requests.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.usage.application")
