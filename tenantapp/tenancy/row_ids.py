"""The ids of rows in the log of changes, which has a column of UUIDs for the rows of all tables."""

from typing import Final
from uuid import UUID

_BITS: Final[int] = 64  # of the greatest integers of both engines


def row_id_of(key: UUID | int) -> UUID:
    """Return the id that the log has for a key. A whole number is in its last 64 bits, and the others are 0."""
    return UUID(int=key % 2**_BITS) if isinstance(key, int) else key


def integer_of(row_id: UUID) -> int:
    """Return the whole number that an id of the log stands for."""
    number: int = row_id.int % 2**_BITS
    return number - 2**_BITS if number >> (_BITS - 1) else number
