"""Counters that the processes of a machine share: a file that each of them maps into its memory.

A process writes only its own columns, so there is no lock that a stopped process could hold, and no call of the system
that would let go of the interpreter. A counter is the sum over all columns. A full row gives up the smallest counter:
whoever asks seldom is forgotten first.
"""

import logging
import mmap
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import IO, Final
from weakref import finalize

from limits.storage import Storage

from tenantapp.process_slots import is_alone, make_own_directory, starting, take_slot

log = logging.getLogger(__name__)

ROWS: Final = 8192
COLUMNS: Final = 4  # of each process in a row
NUMBERS: Final = 2  # of a column: the hash of a key; when its counter ends, in seconds, and the counter
BYTES: Final = 8  # of a number
COUNTED: Final = 2**32 - 1
TOUCHED: Final = 3600.0  # seconds: what cleans the directory for temporary files leaves what was used lately


# Tuples without names: three are made of each for a request.
Charge = tuple[str, int, int, int]
"""A key, the amount to add, the most that its counter may have, and how many seconds the counter lasts."""
Counted = tuple[int, int]
"""A counter, and in how many seconds it ends."""


class SharedCounters(Storage):
    """Counters in a file in ``directory``, for at most so many ``processes`` at once.

    The file is opened when something is counted: until then the process may be forked. Where it cannot be opened, or if
    there are more processes, this one counts by itself. ``clock`` is one that all processes share and nobody sets.
    """

    STORAGE_SCHEME = None  # it is made from a directory, not from a URL

    def __init__(self, directory: Path, processes: int, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._directory, self._processes, self._clock = directory, processes, clock
        self._lock = Lock()
        self._numbers: memoryview | None = None
        self._first = 0  # the first of this process's columns in a row
        self._files: tuple[IO[bytes], ...] = ()  # the lock of the slot, and the counters
        self._touch_at = float("inf")
        self._width = processes * COLUMNS * NUMBERS

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return the exceptions of a store that does not answer. This one always does."""
        return OSError

    def charge(self, charges: Sequence[Charge]) -> list[Counted]:
        """Add to counters in their order, as far as the first that is beyond its most. Return those that were added to.

        All windows of a counter have the same length. They begin at another moment for each key.
        """
        counted = []
        now = int(self._clock())
        with self._lock:
            if now >= self._touch_at:
                self._touch()
            for key, amount, most, seconds in charges:
                added = self._add(key, amount, seconds, now)
                counted.append(added)
                if added[0] > most:
                    break
        return counted

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add ``amount`` to a counter and return it."""
        with self._lock:
            return self._add(key, amount, expiry, int(self._clock()))[0]

    def get(self, key: str) -> int:
        """Return a counter, or 0 if there is none."""
        return sum(value & COUNTED for _, value in self._live(key))

    def get_expiry(self, key: str) -> float:
        """Return when a counter ends, in seconds since the epoch. Without a counter it is the present time."""
        now = self._clock()
        return time() - now + max((value >> 32 for _, value in self._live(key)), default=now)

    def clear(self, key: str) -> None:
        """Forget a counter. A process that counts at the same moment may keep its part."""
        with self._lock:
            numbers = self._opened()
            for place, _ in self._live(key):
                numbers[place + 1] = 0

    def check(self) -> bool:
        """Return whether the counters can be used."""
        return True

    def reset(self) -> int | None:
        """Forget all counters. How many there were is not known."""
        with self._lock:
            numbers = self._opened()
            for start in range(0, len(numbers), self._width):
                numbers[start : start + self._width] = memoryview(bytes(self._width * BYTES)).cast("Q")
        return None

    def _add(self, key: str, amount: int, seconds: int, now: int) -> Counted:
        """Add to a counter. Call this with the lock held."""
        numbers = self._numbers or self._opened()
        tag, number = _place(key)
        start, first = number * self._width, self._first
        left = seconds - (now + tag) % seconds
        ends = now + left
        row = numbers[start : start + self._width].tolist()
        tags = row[::2]
        others = own = 0
        column = after = -1
        for _ in range(tags.count(tag)):
            after = tags.index(tag, after + 1)
            value = row[2 * after + 1]
            counter = value & COUNTED if value >> 32 == ends else 0
            if first <= after < first + COLUMNS:
                column, own = after, counter
            else:
                others += counter
        if column < 0:
            column = self._given_up(row, now)
            numbers[start + 2 * column + 1] = 0  # so that nobody takes the other's counter for this one's
            numbers[start + 2 * column] = tag
        own = min(max(0, own + amount), COUNTED)
        numbers[start + 2 * column + 1] = ends << 32 | own
        return others + own, left

    def _given_up(self, row: list[int], now: int) -> int:
        """Return the column of this process whose counter has ended, or is the smallest."""
        values = row[2 * self._first + 1 : 2 * (self._first + COLUMNS) : 2]
        counters = [0 if value >> 32 <= now else 1 + (value & COUNTED) for value in values]
        return self._first + counters.index(min(counters))

    def _live(self, key: str) -> list[tuple[int, int]]:
        """Return the places of a counter, with what is there."""
        (tag, number), now = _place(key), self._clock()
        start = number * self._width
        numbers = self._numbers or self._opened()
        found = [(place, numbers[place + 1]) for place in range(start, start + self._width, 2) if numbers[place] == tag]
        return [(place, value) for place, value in found if value >> 32 > now]

    def _opened(self) -> memoryview:
        """Return the numbers, from the file if it can be had."""
        if self._numbers is None:
            size = ROWS * self._width * BYTES
            try:
                mapped = self._map(size)
            except OSError as error:
                log.error("This process counts requests by itself: %s: %s", self._directory, error.strerror)
                mapped = mmap.mmap(-1, size)
            self._numbers = memoryview(mapped).cast("Q")
            self._touch_at = self._clock() + TOUCHED
        return self._numbers

    def _touch(self) -> None:
        """Let the files look used."""
        self._touch_at = self._clock() + TOUCHED
        with suppress(OSError):
            for file in self._files:
                os.utime(file.fileno())

    def _map(self, size: int) -> mmap.mmap:
        """Take a slot, and map the file. The first of all processes lets the counters begin anew."""
        make_own_directory(self._directory)
        with starting(self._directory):
            number, slot = take_slot(self._directory)
            if number >= self._processes:
                slot.close()
                raise OSError(0, f"more than {self._processes} processes count there")
            finalize(self, slot.close)
            file = (self._directory / f"counters_{self._processes}").open("a+b")
            finalize(self, file.close)
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk would end the process when it counts
            mapped = mmap.mmap(file.fileno(), size)
            if is_alone(self._directory, number):
                mapped[:] = bytes(size)
        self._first, self._files = number * COLUMNS, (slot, file)
        return mapped


@lru_cache(maxsize=4096)
def _place(key: str) -> tuple[int, int]:
    """Return a number of 64 bits for a key, which is not 0, and the number of its row."""
    tag = int.from_bytes(blake2b(key.encode(errors="surrogatepass"), digest_size=BYTES).digest(), "little") | 1
    return tag, (tag >> 32) % ROWS
