"""What arrives from a client: the head of a request, and its body."""

import copy
import re
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from waitress.parser import HTTPRequestParser, ParsingError

PIECE: Final = 64 * 1024  # bytes that are received and sent at once
# Bytes. About a longer body the application is asked, and then it goes to a temporary file. A shorter one is held for
# whoever sends it: of 500 connections, 64 MB.
IN_MEMORY: Final = 128 * 1024
TARGET: Final = re.compile(r"(?:https?://[!-~]+|/[!-~]*|\*)", re.IGNORECASE)  # printable ASCII (RFC 3986)


class Request(HTTPRequestParser):
    """A request that arrives. It is stricter than waitress where readers of HTTP differ (RFC 9112)."""

    # Attributes of waitress, which has no types.
    adj: Any
    expect_continue: bool
    content_length: int
    body_bytes_received: int

    version = "1.1"  # of the answer, if the request has none that can be read
    head_seen = False
    asked = False
    wants_continue = False
    counted: frozenset[str] = frozenset()
    """What the application has counted the request for when it was asked."""
    arrived = 0.0
    """When the last bytes arrived, in the time of ``monotonic``."""

    def received(self, data: bytes) -> int:
        """Add what has arrived. Return how many bytes of it are the request's."""
        self.arrived = monotonic()
        consumed: int = super().received(data)
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the head. Raises ``ParsingError``."""
        lower = header_plus.lower()
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("the target or the length is malformed") from error
        if self.proxy_netloc:  # the target names the host (RFC 9112, section 3.2.2)
            self.headers["HOST"] = self.proxy_netloc
        faults = (
            self.version not in ("1.0", "1.1"),
            self.version == "1.1" and "HOST" not in self.headers,
            "," in self.headers.get("HOST", ""),  # several of them
            # In HTTP/1.0 waitress leaves it, and does not heed it.
            "TRANSFER_ENCODING" in self.headers,
            b"\r\ntransfer-encoding:" in lower and b"\r\ncontent-length:" in lower,
            b"\r\n " in header_plus or b"\r\n\t" in header_plus,  # lines folded together
            not TARGET.fullmatch(self.request_uri),
        )
        if any(faults):
            raise ParsingError("the head is malformed")
        if self.is_long:
            self.wants_continue, self.expect_continue = self.expect_continue, False

    @property
    def is_long(self) -> bool:
        """Return whether the body has more bytes than are received without asking, as far as is known."""
        return max(self.content_length, self.body_bytes_received) > IN_MEMORY

    def close(self) -> None:
        """Let go of the body. A full disk is no reason not to."""
        with suppress(OSError):
            super().close()

    def bound(self, limit: int) -> bool:
        """Receive at most this many bytes of the body. Return whether it may still be within.

        waitress counts the framing of chunks too. The application counts the bytes themselves.
        """
        self.adj = copy.copy(self.adj)
        self.adj.max_request_body_size = limit + 1 + (limit // 8 + PIECE if self.chunked else 0)
        return max(self.content_length, self.body_bytes_received) <= limit
