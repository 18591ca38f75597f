"""What the requests of this process wait for right now, and how one of these waits is ended from outside.

The driver's connections (``postgres_connections``, ``sqlite_files``) report when a thread begins to wait for them and
when it has got its answer. Threads that serve no request, as those of commands and workers, report nothing.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar, Token
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from tenantapp.sql.failures import Cause, Failure

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health
    from tenantapp.sql.bulkhead import Bulkhead

Result = TypeVar("Result")
BRIEF: Final = 0.1  # of ``connections.slow``: a shorter wait is a healthy database's, and is not added up


class Awaited(Protocol):
    """What a thread waits for: an answer on a connection, a connection that is being made, a place for one."""

    @property
    def health(self) -> "Health | None":
        """The database that keeps the thread waiting, if it is one."""

    def cut(self) -> None:
        """End the wait, from another thread. Returns at once; the waiting thread gets an error, or what came first."""


class Waits:
    """The waits of one thread that works for a request."""

    __slots__ = (
        *("_lock", "awaited", "brief", "bulkhead", "committing", "cut_since", "deadline", "ended"),
        *("parent", "since", "slow_since", "suspect", "waited"),
    )

    def __init__(self, bulkhead: "Bulkhead", deadline: float, parent: "Waits | None" = None) -> None:
        self.bulkhead = bulkhead
        self.deadline = deadline
        """The longest single wait, in seconds."""
        self.parent = parent
        """Those of the thread that serves the request, if this one only helps it."""
        self.brief = bulkhead.slow * BRIEF
        self._lock = Lock()
        self.awaited: Awaited | None = None
        self.since = 0.0
        """When the present wait began, on the monotonic clock; 0: there is none."""
        self.waited = 0.0
        """The seconds of the waits that are over, without brief ones."""
        self.committing = False
        self.slow_since = 0.0
        """When the request was first seen to have waited for too long; 0: it has not."""
        self.suspect: Health | None = None
        """The slow database that the request was let in to. It counts as slow itself until that has answered."""
        self.ended: Cause | None = None
        """Why the wait was ended that was ended last, until the error has been told."""
        self.cut_since = 0.0
        """The beginning of the wait that was ended last; 0: none was."""

    def enter(self, awaited: Awaited, *, committing: bool = False) -> None:
        """Report that the thread begins to wait."""
        self.awaited = awaited
        self.committing = committing
        self.since = monotonic()

    def leave(self) -> None:
        """Report that the wait is over."""
        with self._lock:
            took = monotonic() - self.since
            self.since = 0.0
        if took > self.brief:
            self.waited += took

    def seconds(self, now: float) -> float:
        """How long the request has waited up to now, in all."""
        since = self.since
        return self.waited + (now - since if since else 0.0)

    def is_slow(self, now: float) -> bool:
        """Whether the request has waited for longer than ``connections.slow``."""
        return self.seconds(now) > self.bulkhead.slow

    def waits_for(self, health: "Health", now: float) -> bool:
        """Whether this database keeps the thread waiting right now, after it has waited for too long."""
        awaited = self.awaited
        return bool(self.since) and awaited is not None and awaited.health is health and self.is_slow(now)

    def end(self, since: float, cause: Cause) -> bool:
        """End the wait that began then, unless it is over. Whether it was ended.

        A COMMIT is not noted as ended: the error that follows must not say that nothing was done.
        """
        with self._lock:
            over = not since or self.since != since
            if over or self.cut_since == since or self.awaited is None:
                return False
            self.cut_since = since
            self.ended = None if self.committing else cause
            self.awaited.cut()
            return True


_present: Final[ContextVar[Waits | None]] = ContextVar("tenantapp_waits", default=None)
present: Final = _present.get
"""The waits of this thread; None if it does not work for a request."""


def was_ended() -> bool:
    """Whether the wait of this thread that has just failed was ended from outside."""
    waits = present()
    return waits is not None and waits.ended is not None


def take_ended() -> Failure | None:
    """Why the wait of this thread has failed, if it was ended from outside. Told once."""
    waits = present()
    if waits is None or waits.ended is None:
        return None
    ended, waits.ended = waits.ended, None
    return Failure(ended, spoiled=True)


def watched(awaited: Awaited, call: Callable[..., Result], *arguments: Any, committing: bool = False) -> Result:
    """Call the driver, and report the wait if this thread works for a request."""
    waits = present()
    if waits is None:
        return call(*arguments)
    waits.enter(awaited, committing=committing)
    try:
        return call(*arguments)
    finally:
        waits.leave()


def report(waits: Waits) -> Token[Waits | None]:
    """Let the waits of this thread be reported here."""
    return _present.set(waits)


def report_no_longer(token: Token[Waits | None]) -> Waits | None:
    """Report them where they were reported before. Those of up to now."""
    waits = present()
    _present.reset(token)
    return waits


class Helpers:
    """The threads that work for a request, which waits for them.

    The request counts as one that waits; each helper has ``deadline`` seconds for a single answer. To end the wait of
    the request is to end those of its helpers.
    """

    health: "Health | None" = None

    def __init__(self, deadline: float) -> None:
        self._parent = present()
        self._deadline = deadline

    @contextmanager
    def helping(self) -> Iterator[None]:
        """What the thread waits for in this block, it waits for on behalf of the request."""
        if self._parent is None:
            yield
            return
        with self._parent.bulkhead.helper(self._parent, self._deadline):
            yield

    def result(self, future: "Future[Result]") -> Result:
        """The result of a helper's work, once it is there."""
        return watched(self, future.result)

    def cut(self) -> None:
        """End the waits of the helpers that wait right now; those that come to ask are refused."""
        if self._parent is not None:
            self._parent.bulkhead.end_helpers(self._parent)
