"""What checks take and return."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tenantapp.cli.installation import Installation

VersionInfo = tuple[int, ...]


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of output: the check, its result, and what to do if it is not ok. Sentences have no full stop."""

    check: str
    state: State
    detail: str
    advice: str = ""


@dataclass(slots=True)
class Examination:
    """The installation, and what earlier checks have found out about it."""

    installation: Installation
    # By the name that is shown: how many seconds a database server's clock is ahead of ours.
    clocks: dict[str, float] = field(default_factory=dict)
    # By the name of the server: the version of a PostgreSQL server that answered.
    versions: dict[str, VersionInfo] = field(default_factory=dict)


class Check(NamedTuple):
    """A check. It is skipped if a check that it needs found something wrong."""

    name: str
    look: Callable[[Examination], Iterator[Finding]]
    needs: tuple[str, ...] = ()


def ok(check: str, detail: str) -> Finding:
    """Return the finding that nothing has to be done."""
    return Finding(check, State.OK, detail)


def warning(check: str, detail: str, advice: str) -> Finding:
    """Return the finding that something should be done."""
    return Finding(check, State.WARNING, detail, advice)


def wrong(check: str, detail: str, advice: str) -> Finding:
    """Return the finding that something does not work."""
    return Finding(check, State.WRONG, detail, advice)


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 file``, ``2 files``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
