"""The first rows of a statement, with limits on their number and their memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from sys import getsizeof
from typing import Any, Final

from tenantapp.fleet.errors import QueryFailed

DEEPEST: Final = 100  # lists within lists; orjson writes 254


@dataclass(frozen=True, slots=True)
class Most:
    """The limits of a statement on one database: rows, bytes of memory for them, and seconds."""

    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a statement, with text for values that Python or JSON would change.

    ``truncated``: there were more rows than the limits allow.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    truncated: bool


def first_rows(cursor: Any, rows: Iterable[tuple[Any, ...]], most: Most) -> Rows:
    """Return the first rows within the limits. ``cursor`` has the columns once ``rows`` has been read from.

    Raises ``QueryFailed`` if a value is nested too deeply to be sent.
    """
    kept: list[tuple[Any, ...]] = []
    left, truncated = most.bytes, False
    for row in rows:
        left -= sum(map(_weight, row))
        if len(kept) == most.rows or left < 0:
            truncated = True
            break
        kept.append(tuple(map(_exact, row)))
    return Rows(tuple(column[0] for column in cursor.description), kept, truncated)


def _exact(value: Any) -> Any:
    """Return the value, with text for floats that JSON has no number for: NaN and the infinite ones."""
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return list(map(_exact, value)) if isinstance(value, list) else value


def _weight(value: Any, depth: int = 0) -> int:
    """Return roughly how many bytes of memory a value takes."""
    if depth > DEEPEST:
        raise QueryFailed("a value is nested too deeply")
    if isinstance(value, memoryview):
        return value.nbytes
    if isinstance(value, dict):
        return getsizeof(value) + sum(_weight(each, depth + 1) for item in value.items() for each in item)
    if isinstance(value, list):
        return getsizeof(value) + sum(_weight(each, depth + 1) for each in value)
    return getsizeof(value)
