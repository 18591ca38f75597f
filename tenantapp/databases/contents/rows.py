"""The rows of one table, as far as they are compared."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rows:
    """How many there are, and a checksum of all values in them, whatever their order.

    Of a materialized view that holds nothing yet the checksum is ``not populated``.
    """

    count: int
    checksum: str
