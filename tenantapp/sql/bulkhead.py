"""Keep threads of a process free from slow databases.

A request is slow if it has waited for databases for more than ``slow`` seconds. Slow requests may hold all threads but
one. If they hold more than half for twice ``slow`` seconds while all threads are at work, others wait for a thread:
from then on they may hold half, until a thread is free. If they hold more than they may, the request that turned slow
last is ended, and a new request is refused if its database is slow. While they hold fewer, no request is ended before
the ``deadline``. Requests to a database that answers in time are never refused.

A watchdog thread checks the requests several times in ``slow`` seconds. It ends after a while without requests.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Token
from dataclasses import dataclass
from time import monotonic
from typing import Final, cast

from tenantapp.sql.breaker import Health
from tenantapp.sql.failures import Cause, Failure
from tenantapp.sql.waits import WaitObserver, Waits, present, report, report_no_longer

log = logging.getLogger(__name__)

SLOW: Final = Failure(Cause.SLOW)
LOOKS: Final = 10  # checks in ``slow`` seconds
CROWDED: Final = 2 * LOOKS  # checks that have found all threads at work, and too many requests slow
REST: Final = 5.0  # seconds without requests after which the watchdog ends


@dataclass(frozen=True, slots=True)
class BulkheadNumbers:
    """The figures of a process. The last three only grow.

    ``limit`` is how many requests may be slow now, ``slow`` how many are. ``refused`` counts the requests that were not
    let in, ``ended`` those that were ended to free a thread, ``overdue`` those without an answer in time.
    """

    limit: int
    slow: int
    refused: int
    ended: int
    overdue: int


class Bulkhead:
    """Watches the requests of a process with ``threads`` threads. Times are in seconds.

    The watchdog ends after ``rest`` without requests.
    """

    def __init__(self, *, threads: int, slow: float, deadline: float, rest: float = REST) -> None:
        self.slow = slow
        self._threads = threads
        self._crowded = 0  # checks that have found more than half of the threads slow, since one was free
        self._deadline = deadline
        self._rest = rest
        self.requests: set[Waits] = set()
        """The waits of the requests that are being served."""
        self.wait_observers: list[WaitObserver] = []
        """Are called after each wait. They are added while the application is put together."""
        self._helpers: set[Waits] = set()
        self._lock = threading.Lock()
        self._watchdog: threading.Thread | None = None
        self._refused = self._ended = self._overdue = 0

    def begin(self) -> Token[Waits | None]:
        """Watch the waits of this thread, which serves a request, until ``finish``."""
        waits = Waits(self, self._deadline)
        with self._lock:
            self.requests.add(waits)
            if self._watchdog is None:
                self._start()
        return report(waits)

    def finish(self, token: Token[Waits | None]) -> None:
        """Stop watching this thread. ``token`` is the result of ``begin``."""
        if (waits := report_no_longer(token)) is not None:
            with self._lock:
                self.requests.discard(waits)

    @contextmanager
    def request(self) -> Iterator[Waits]:
        """Watch the waits of this thread until the block ends. Yield them."""
        token = self.begin()
        try:
            yield cast(Waits, present())
        finally:
            self.finish(token)

    @contextmanager
    def helper(self, request: Waits, deadline: float) -> Iterator[None]:
        """Watch a thread that works for a request until the block ends. It does not count as a request itself."""
        waits = Waits(self, deadline, request)
        with self._lock:
            self._helpers.add(waits)
        token = report(waits)
        try:
            yield
        finally:
            report_no_longer(token)
            with self._lock:
                self._helpers.discard(waits)

    def numbers(self) -> BulkheadNumbers:
        """Return the present figures."""
        with self._lock:
            seen = [waits for waits in self.requests if waits.slow_since or waits.suspect is not None]
            slow = sum(not waits.cut_since for waits in seen)
            return BulkheadNumbers(self._most_slow(), slow, self._refused, self._ended, self._overdue)

    def admit(self, waits: Waits, health: Health) -> None:
        """Let a request use a database. Raises the database's exception if it is slow and too many requests wait."""
        request = waits.parent or waits
        if waits.parent is not None and request.cut_since:
            raise health.unavailable(SLOW)
        if not health.slow:
            return
        with self._lock:
            now = monotonic()
            if sum(self._holds(other, now) for other in self.requests if other is not request) >= self._most_slow():
                self._refused += 1
                raise health.unavailable(SLOW)
            request.suspect = health

    def returned(self, waits: Waits, health: Health, *, sound: bool) -> None:
        """Note that a request has returned its connection to this database."""
        request = waits.parent or waits
        if request.suspect is health:
            request.suspect = None
        now = monotonic()
        if sound and health.slow and not waits.is_slow(now):
            with self._lock:
                health.slow = any(other.waits_for(health, now) for other in (*self.requests, *self._helpers))

    def end_helpers(self, request: Waits) -> None:
        """End the waits of a request's helpers."""
        with self._lock:
            helpers = [waits for waits in self._helpers if waits.parent is request]
        for waits in helpers:
            waits.end(waits.since, Cause.SLOW)

    def _most_slow(self) -> int:
        """Return how many requests may be slow now."""
        return max(1, self._threads // 2 if self._crowded >= CROWDED else self._threads - 1)

    def _holds(self, waits: Waits, now: float) -> bool:
        """Return whether a request counts as slow. A request that was ended does not count: it is about to leave."""
        return not waits.cut_since and (waits.suspect is not None or waits.is_slow(now))

    def _start(self) -> None:
        self._watchdog = threading.Thread(target=self._watch, name="tenantapp-bulkhead", daemon=True)
        self._watchdog.start()

    def _watch(self) -> None:
        pause, rested = self.slow / LOOKS, 0.0
        while True:
            time.sleep(pause)
            with self._lock:
                requests, helpers = list(self.requests), list(self._helpers)
                rested = 0.0 if requests else rested + pause
                if rested > self._rest:
                    self._watchdog = None
                    return
            try:
                self._look(requests, helpers, monotonic())
            except Exception:
                log.exception("The waits of the requests could not be checked.")

    def _look(self, requests: list[Waits], helpers: list[Waits], now: float) -> None:
        for waits in (*requests, *helpers):
            self._look_at(waits, now)
        slow = [waits for waits in requests if not waits.cut_since and waits.is_slow(now)]
        held = sum(self._holds(waits, now) for waits in requests)
        if len(requests) < self._threads:
            self._crowded = 0
        elif held > self._threads // 2:
            self._crowded += 1
        too_many = held - self._most_slow()
        if too_many <= 0:
            return
        # Requests that commit are ended last, because the outcome of a COMMIT that is ended is not known.
        for waits in sorted(slow, key=lambda waits: (waits.committing, -waits.slow_since)):
            if too_many > 0 and waits.end(waits.since, Cause.SLOW):
                self._ended += 1
                too_many -= 1

    def _look_at(self, waits: Waits, now: float) -> None:
        """Note that a thread has turned slow, and end a wait that takes too long."""
        since, awaited, slow = waits.since, waits.awaited, waits.is_slow(now)
        health = awaited.health if since and awaited is not None else None
        patience = waits.deadline
        if health is not None and slow:
            health.slow = health.slow or now - since > waits.brief
            if health.own.is_open or health.server.is_open:
                patience = self.slow  # other requests have found out that the database does not answer
        if slow:
            waits.slow_since = waits.slow_since or now
        if since and now - since > patience and waits.end(since, Cause.SILENT):
            self._overdue += 1
