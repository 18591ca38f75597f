"""One tenant's part in a run: the order to migrate its database, and what became of it.

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
    """A tenant's database is to be migrated from the revision that was found to the one that is wanted.

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
        """The order as the arguments of an operation."""
        return {"from": self.found, "to": self.wanted, "down": self.down, "snapshot": self.snapshot}

    @classmethod
    def of_operation(cls, tenant_id: UUID, slug: str, arguments: Mapping[str, Any]) -> "MigrationOrder":
        """The order that an operation of this tenant, with these arguments, stands for."""
        down, snapshot = bool(arguments["down"]), bool(arguments["snapshot"])
        return cls(tenant_id, slug, arguments["from"], arguments["to"], down, snapshot)


def retry_delay(tries: int) -> float:
    """How many seconds to let others go on after so many tries of a database that they hold a lock of."""
    return min(LONGEST_DELAY, 2.0 ** (tries - 1))


class MigrationState(StrEnum):
    """How it went with a tenant."""

    MIGRATED = "migrated"
    ALREADY_THERE = "already there"
    FAILED = "failed"
    LEFT = "left"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What became of an order. ``left``: nothing was begun. ``busy``: nothing was changed, and it is tried again.

    ``duration`` is in seconds.
    """

    order: MigrationOrder
    state: MigrationState
    error: str | None = None
    started_at: datetime | None = None
    duration: float = 0.0
