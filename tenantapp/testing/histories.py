"""What clients note of their requests, for ``checker``."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What the client was told. ``unknown``: no answer, or one that says that nobody knows what became of the change.

    ``failed`` is an answer that promises that nothing was kept.
    """

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Append(NamedTuple):
    """A value that was appended to the list of a key. No other write has the same value."""

    key: str
    value: str


class Read(NamedTuple):
    """The values of a key, as they were read.

    In a set they have no order: the rows of a table, each of which is a value.
    """

    key: str
    values: tuple[str, ...]
    is_set: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A transaction: what one request wrote and read, in one tenant.

    ``began`` and ``ended`` are seconds on one clock that never goes back, the same for all clients. A read is noted
    only if the outcome is ``ok``.
    """

    tenant: str
    person: str
    began: float
    ended: float
    outcome: Outcome
    appended: tuple[Append, ...] = ()
    read: tuple[Read, ...] = ()

    def to_json(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, line: str) -> "Event":
        """Return the event of such a line. Raises ``ValueError`` if it is none."""
        try:
            given = json.loads(line)
            given["outcome"] = Outcome(given["outcome"])
            given["appended"] = tuple(Append(*each) for each in given["appended"])
            given["read"] = tuple(Read(key, tuple(values), is_set) for key, values, is_set in given["read"])
            return cls(**given)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"no event: {line[:200]!r} ({error})") from error


@dataclass(frozen=True, slots=True)
class Revocation:
    """A person lost their access to a tenant: that was acknowledged at ``ended``, seconds on the clock of the events.

    ``granted_again`` is when somebody began to give it back; never, if it is infinite.
    """

    tenant: str
    person: str
    ended: float
    granted_again: float = float("inf")
