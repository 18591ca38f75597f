"""What the parts of a run of migrations tell one another. All of it can be sent to another process."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

LONGEST_DELAY: Final = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Order:
    """A tenant's database is to be moved to a revision, down as well if that is said, and copied first if that is."""

    tenant_id: UUID
    slug: str
    found: str | None
    wanted: str
    down: bool = False
    snapshot: bool = False


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
class Result:
    """What became of an order. ``left``: nothing was begun. ``busy``: nothing was changed, and it is tried again.

    ``duration`` is in seconds.
    """

    order: Order
    state: MigrationState
    error: str | None = None
    started_at: datetime | None = None
    duration: float = 0.0
