"""Which bytes does a request ask for? (RFC 9110, section 14)"""

import re
from typing import Final

RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(?P<first>[0-9]{0,19})-(?P<last>[0-9]{0,19})[ \t]*", re.IGNORECASE)


class NotSatisfiable(Exception):
    """The range begins after the end of the content."""


def requested_range(header: str, size: int) -> range | None:
    """Return the positions of the bytes that a ``Range`` asks for in content of ``size`` bytes, or None for all.

    Another unit, a malformed header and several ranges are ignored, which section 14.2 permits: the answer is all of
    it. Raises ``NotSatisfiable``.
    """
    match = RANGE.fullmatch(header)
    if match is None or match["first"] == match["last"] == "":
        return None
    if match["first"] == "":
        first, end = max(0, size - int(match["last"])), size
    else:
        first, end = int(match["first"]), size
        if match["last"] != "":
            if int(match["last"]) < first:
                return None
            end = min(size, int(match["last"]) + 1)
    if first >= size:
        raise NotSatisfiable
    return range(first, end)
