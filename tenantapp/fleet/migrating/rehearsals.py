"""The result of a rehearsal: of a migration that was tried on a branch of a tenant."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tenantapp.databases.connections.held_locks import HeldLock


class RehearsalState(StrEnum):
    """How a rehearsal went."""

    PASSED = "passed"
    DRIFTED = "drifted"  # the structure is not that of the revision
    FAILED = "failed"


class Choice(StrEnum):
    """Why a tenant was chosen."""

    LARGEST = "largest"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The rehearsal on one tenant. ``branch`` is the slug of the branch if it is still there.

    ``size`` is that of the tenant's database in bytes, if it is known. ``duration`` is how many seconds the migration
    took, and ``locks`` what it kept others from meanwhile. ``error`` says why it failed, or how the structure differs.
    """

    tenant: str
    choice: Choice
    size: int | None
    found: str | None
    wanted: str
    state: RehearsalState
    branch: str | None = None
    duration: float | None = None
    locks: tuple[HeldLock, ...] = ()
    error: str | None = None

    @property
    def row(self) -> dict[str, Any]:
        """Return the rehearsal in the words of JSON."""
        locks = [
            {"table": lock.table, "mode": lock.mode, "keeps_from": lock.keeps_from, "seconds": lock.seconds}
            for lock in self.locks
        ]
        return {
            "tenant": self.tenant,
            "chosen": self.choice.value,
            "size": self.size,
            "from": self.found,
            "to": self.wanted,
            "state": self.state.value,
            "branch": self.branch,
            "duration": None if self.duration is None else round(self.duration, 3),
            "locks": locks,
            "error": self.error,
        }


class Rehearse(Protocol):
    """A function that rehearses a migration, and calls ``told`` with each result."""

    def __call__(self, told: Callable[[Rehearsal], None]) -> None: ...
