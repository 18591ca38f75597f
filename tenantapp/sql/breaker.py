"""Refuse requests at once while a server or a database does not answer.

A breaker opens after an attempt to connect has taken seconds without success. A server that refuses a connection counts
as answering: the refusal takes no time, and may concern one tenant alone (its database is gone, its role is limited).
"""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

from tenantapp.sql.failures import Cause, Failure
from tenantapp.sql.waits import TENANT_DATABASES, present

Unavailable = Callable[[Failure], Exception]
"""Makes the exception for a database that has failed."""
SILENT: Final = Failure(Cause.SILENT)
PROBE_TAKES: Final = 15.0  # seconds after which a probe without a result is forgotten


class Breaker:
    """Open while nothing answers. Every ``pause`` seconds it lets one request through as a probe.

    It opens when ``needed`` databases did not answer and no other database has answered in between.
    """

    def __init__(self, pause: float, needed: int = 1) -> None:
        self._pause = pause
        self._needed = needed
        self._silent: set[object] = set()
        self._next_probe = 0.0
        self._lock = Lock()
        self._silent_at = self._back_at = 0.0
        self.touched = False
        """Whether an answer would change the state."""
        self.is_open = False

    def is_due(self) -> bool:
        """Return whether the next request would be let through."""
        return not self.is_open or monotonic() >= self._next_probe

    def recovers_with(self, server: "Breaker") -> None:
        """Let the next request through if the server has answered again since this database was silent."""
        with self._lock:
            if self._silent_at < server._back_at:
                self._silent_at, self._next_probe = server._back_at, 0.0

    def lets_through(self) -> bool:
        """Return whether this request may try."""
        if not self.is_open:
            return True
        with self._lock:
            now = monotonic()
            if self.is_open and now < self._next_probe:
                return False
            # The request that is let through reports its result, which sets the time again.
            self._next_probe = now + PROBE_TAKES
            return True

    def silent(self, database: object) -> None:
        """Note that this database did not answer."""
        with self._lock:
            self._silent.add(database)
            self.touched = True
            self.is_open = self.is_open or len(self._silent) >= self._needed
            self._silent_at = monotonic()
            self._next_probe = self._silent_at + self._pause

    def answered(self) -> None:
        """Note that there was an answer."""
        if self.touched:
            with self._lock:
                if self.is_open:
                    self._back_at = monotonic()
                self._silent.clear()
                self.touched = self.is_open = False


class Health:
    """How one database has answered recently, as far as this process knows.

    ``unavailable`` makes the exception that is raised while the database does not answer. ``server`` is the breaker
    that all databases of the server share. ``pause`` is the time between two probes, in seconds. ``spends_on`` is what
    requests spend their time on when they wait for the database, see ``waits``.
    """

    __slots__ = ("own", "server", "slow", "spends_on", "unavailable")

    def __init__(
        self, unavailable: Unavailable, server: Breaker, pause: float, spends_on: int = TENANT_DATABASES
    ) -> None:
        self.unavailable = unavailable
        self.spends_on = spends_on
        self.server = server
        self.own = Breaker(pause)
        self.slow = False
        """Whether a request has waited for the database too long, and none has been served in time since."""

    @property
    def troubled(self) -> bool:
        """Return whether an answer would change the state."""
        return self.slow or self.own.touched or self.server.touched

    def admit(self) -> None:
        """Let a request ask for a connection, or raise the exception that ``unavailable`` makes."""
        waits = present()
        if waits is None:
            return
        if (self.own.is_open or self.server.is_open) and not self._may_probe():
            raise self.unavailable(SILENT)
        waits.bulkhead.admit(waits, self)

    def answered(self) -> None:
        """Note that there was an answer of any kind."""
        self.own.answered()
        self.server.answered()

    def silent(self) -> None:
        """Note that a connection could not be made because nobody answered."""
        self.own.silent(self)
        self.server.silent(self)

    def still_silent(self) -> None:
        """Note that a request got no answer. If the request was a probe, the database is still silent."""
        if self.own.is_open or self.server.is_open:
            self.silent()

    def returned(self, *, sound: bool) -> None:
        """Note that a request has returned a connection, which is sound or can no longer be used."""
        if sound:
            self.answered()
        else:
            self.still_silent()
        if (waits := present()) is not None:
            waits.bulkhead.returned(waits, self, sound=sound)

    def _may_probe(self) -> bool:
        self.own.recovers_with(self.server)
        # In this order, so that a request which its own database's breaker refuses does not use the server's probe.
        return self.own.is_due() and self.server.lets_through() and self.own.lets_through()
