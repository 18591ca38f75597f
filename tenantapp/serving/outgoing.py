"""What waits to be sent to a client: in memory, or in a temporary file if it is much."""

from typing import Any, Final

from waitress.buffers import OverflowableBuffer

IN_MEMORY: Final = 512 * 1024  # bytes
SENT: Final = 1024 * 1024  # bytes that may stay in memory after they were sent


class Outgoing(OverflowableBuffer):
    """A buffer that lets go of what was sent. waitress's keeps it until the buffer is closed."""

    overflowed: bool
    buf: Any

    def __init__(self) -> None:
        super().__init__(IN_MEMORY)

    def skip(self, numbytes: int, allow_prune: bool = False) -> None:
        """Go on to what has not been sent."""
        super().skip(numbytes, allow_prune)
        if self.buf is not None and not self:
            self.close()
        elif self.buf is not None and not self.overflowed and self.buf.file.tell() > SENT:
            self.prune()

    def close(self) -> None:
        """Let go of everything. The buffer may be used again."""
        if self.buf is not None:
            self.buf.close()
        self.buf, self.overflowed = None, False
