"""One tenant's part in a run: the order to migrate its database, and the result.

All of it can be sent to another process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

LONGEST_DELAY: Final = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class MigrationOrder:
    """The order to migrate a tenant's database from the revision that was found to the wanted one.

    ``down`` permits a downgrade; ``snapshot`` copies the database first.
    """

    tenant_id: UUID
    slug: str
    found: str | None
    wanted: str
    down: bool = False
    snapshot: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the order as the arguments of an operation."""
        return {"from": self.found, "to": self.wanted, "down": self.down, "snapshot": self.snapshot}

    @classmethod
    def of_operation(cls, tenant_id: UUID, slug: str, arguments: Mapping[str, Any]) -> "MigrationOrder":
        """Return the order that an operation on this tenant, with these arguments, stands for."""
        down, snapshot = bool(arguments["down"]), bool(arguments["snapshot"])
        return cls(tenant_id, slug, arguments["from"], arguments["to"], down, snapshot)


def retry_delay(tries: int) -> float:
    """Return how many seconds to wait after this many tries on a database that others have locked."""
    return min(LONGEST_DELAY, 2.0 ** (tries - 1))


class MigrationState(StrEnum):
    """The outcome of an order."""

    MIGRATED = "migrated"
    ALREADY_THERE = "already there"
    FAILED = "failed"
    LEFT = "left"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """The result of an order. ``left``: it was not begun. ``busy``: nothing was changed, and it is tried again.

    ``duration`` is in seconds.
    """

    order: MigrationOrder
    state: MigrationState
    error: str | None = None
    started_at: datetime | None = None
    duration: float = 0.0
