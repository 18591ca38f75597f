"""Make and read ids that sort by the time at which they were made."""

import re
import secrets
from typing import Final
from uuid import UUID

from tenantapp.sql.times import present_ns

# RFC 9562, section 4: lower case is written, both cases are read. Braces, urn:uuid: and ids without dashes are refused.
UUID_TEXT: Final = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
# A whole number, written in the one way that it can be. No integer of a database has more digits.
INTEGER_TEXT: Final = "0|-?[1-9][0-9]{0,18}"
_UUID: Final = re.compile(UUID_TEXT)


def uuid7() -> UUID:
    """Return a new UUID version 7 (RFC 9562, section 5.7).

    The twelve bits after the milliseconds hold the fraction of the millisecond (section 6.2, method 3). So ids that one
    process makes one after the other sort in that order. Python has ``uuid.uuid7`` from 3.14 on.
    """
    milliseconds, nanoseconds = divmod(present_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | fraction << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)


def parse_id(text: str) -> UUID:
    """Return the id in a text. Raises ``ValueError`` unless the text has the form of RFC 9562."""
    if not _UUID.fullmatch(text):
        raise ValueError("An id is a UUID with dashes.")
    return UUID(text)
