"""A clock of the web node's processes that can be stepped, while that of this machine goes on."""

from pathlib import Path
from typing import Final

# Python imports this module before the program. The monotonic clock stays as it is, as when somebody sets the clock.
SITE: Final = """
import time
from pathlib import Path

AHEAD = Path(__file__).with_name("ahead")
real, real_ns = time.time, time.time_ns
looked, found = 0.0, 0


def ahead():
    global looked, found
    if time.monotonic() > looked + 0.1:
        looked, found = time.monotonic(), int(AHEAD.read_text() or found)
    return found


time.time = lambda: real() + ahead()
time.time_ns = lambda: real_ns() + ahead() * 1_000_000_000
"""


class Clock:
    """Python processes that find modules in this directory see the time of this machine, and what it was stepped by."""

    def __init__(self, directory: Path) -> None:
        self._ahead = directory / "ahead"
        self.step(0)
        (directory / "sitecustomize.py").write_text(SITE)

    def step(self, seconds: int) -> None:
        """Put the clock so far ahead of the machine's, or behind it."""
        self._ahead.write_text(str(seconds))
