"""The cursors of lists: where a page begins, as opaque text.

A cursor is bound to its list, tenant, order and filters. A changed cursor, or that of another list, is refused. The
check finds mistakes, and is no secret: it has no key, because an installation on SQLite has none that all processes
know. So the values of a cursor are checked like those of a query. A forged one shows what a filter would show.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final

import orjson

_CHECK: Final = 9  # bytes


class NotACursor(ValueError):
    """The text is not a cursor of this list."""


def encode_cursor(context: str, values: Sequence[Any]) -> str:
    """Return the cursor of a row: the values that it is sorted by. ``context`` names the list."""
    body = orjson.dumps(list(values), default=str, option=orjson.OPT_UTC_Z)
    return urlsafe_b64encode(_check(context, body) + body).rstrip(b"=").decode()


def decode_cursor(context: str, cursor: str) -> list[Any]:
    """Return the values in a cursor, as JSON has them, without NUL. Raises ``NotACursor``."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raise NotACursor from None
    check, body = raw[:_CHECK], raw[_CHECK:]
    if check != _check(context, body) or encode_again(raw) != cursor:
        raise NotACursor
    try:
        values = orjson.loads(body)
    except ValueError:
        raise NotACursor from None
    if not isinstance(values, list) or any(isinstance(value, str) and "\0" in value for value in values):
        raise NotACursor
    return values


def encode_again(raw: bytes) -> str:
    """Return the one spelling of a cursor: base64 permits others."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _check(context: str, body: bytes) -> bytes:
    return hashlib.sha256(context.encode() + b"\0" + body).digest()[:_CHECK]
