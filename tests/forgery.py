"""Cursors that the program has not made."""

import hashlib
from base64 import urlsafe_b64encode


def forged_cursor(context: str, body: bytes) -> str:
    """Return a cursor with the right check over any body."""
    check = hashlib.sha256(context.encode() + b"\0" + body).digest()[:9]
    return urlsafe_b64encode(check + body).rstrip(b"=").decode()
