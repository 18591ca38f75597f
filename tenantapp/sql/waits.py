"""Know what the requests of this process wait for now, and end such a wait from another thread.

The driver's connections (``postgres_connections``, ``sqlite_files``) report when a thread begins to wait and when it
has got its answer. Threads that serve no request, such as those of commands and workers, report nothing.
"""

import logging
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

log = logging.getLogger(__name__)
Result = TypeVar("Result")
BRIEF: Final = 0.1  # part of ``connections.slow``; shorter waits are normal and are not added up
# What requests spend their waits on: the index in ``Waits.spent``.
CONNECTING: Final = 0  # a place in a budget, and making a connection
USER_DATABASE: Final = 1
TENANT_DATABASES: Final = 2


class Awaited(Protocol):
    """What a thread waits for: an answer on a connection, a connection that is being made, a place for one."""

    @property
    def health(self) -> "Health | None":
        """Return the database that the thread waits for, or None if it waits for something else."""

    @property
    def spends_on(self) -> int:
        """Return what the time of the wait is spent on: ``CONNECTING``, or a database."""

    def cut(self) -> None:
        """End the wait, from another thread, and return at once.

        The waiting thread gets an error, unless its answer came first.
        """


class WritesRows(Protocol):
    """A connection of a driver. ``rows`` are those that its transaction has inserted, updated and deleted so far."""

    rows: int

    @property
    def spends_on(self) -> int:
        """Return which databases the connection leads to."""


class Waits:
    """The waits of one thread that works for a request."""

    __slots__ = (
        *("_lock", "awaited", "brief", "bulkhead", "committing", "cut_since", "deadline", "ended", "executed"),
        *("failed", "fetching", "parent", "rows", "since", "slow_since", "spent", "statement", "suspect", "waited"),
    )

    def __init__(self, bulkhead: "Bulkhead", deadline: float, parent: "Waits | None" = None) -> None:
        self.bulkhead = bulkhead
        self.deadline = deadline
        """The longest single wait, in seconds."""
        self.parent = parent
        """The waits of the thread that serves the request, if this thread only helps it."""
        self.brief = bulkhead.slow * BRIEF
        self._lock = Lock()
        self.awaited: Awaited | None = None
        self.since = 0.0
        """When the present wait began, on the monotonic clock; 0 if there is none."""
        self.waited = 0.0
        """The seconds of all finished waits, without brief ones."""
        self.spent = [0.0, 0.0, 0.0]
        """The seconds of all finished waits, by what they were spent on."""
        self.rows = 0
        """The rows that committed transactions on tenant databases have inserted, updated and deleted."""
        self.committing = False
        self.statement: object = None
        """The statement of the present wait, as the driver gets it; None if there is none."""
        self.fetching = False
        """Whether the present wait is for more rows of the statement, which was executed before."""
        self.failed: tuple[str, str | None] | None = None
        """The class of the error that the present wait ended with, and the SQLSTATE if there is one."""
        self.executed = 0.0
        """The seconds that the last statement has taken up to now."""
        self.slow_since = 0.0
        """When the request was first seen to be slow, on the monotonic clock; 0 if it is not slow."""
        self.suspect: Health | None = None
        """The slow database that the request was let in to. The request counts as slow until the database answers."""
        self.ended: Cause | None = None
        """Why the last wait was ended from outside. It is cleared when the error is reported."""
        self.cut_since = 0.0
        """When the last wait that was ended from outside had begun; 0 if there was none."""

    def enter(
        self, awaited: Awaited, *, committing: bool = False, statement: object = None, fetching: bool = False
    ) -> None:
        """Report that the thread begins to wait."""
        self.awaited = awaited
        self.committing = committing
        self.statement = statement
        self.fetching = fetching
        self.failed = None
        self.since = monotonic()

    def leave(self) -> None:
        """Report that the wait is over."""
        with self._lock:
            took = monotonic() - self.since
            self.since = 0.0
        if self.awaited is not None:
            self.spent[self.awaited.spends_on] += took
        if took > self.brief:
            self.waited += took
        if self.bulkhead.wait_observers:
            self._tell(took)

    def _tell(self, took: float) -> None:
        self.executed = self.executed + took if self.fetching else took
        for observer in self.bulkhead.wait_observers:
            try:
                observer(self, took)
            except Exception:
                log.exception("A wait could not be counted.")

    def seconds(self, now: float) -> float:
        """Return how long the request has waited up to ``now`` in all, in seconds."""
        since = self.since
        return self.waited + (now - since if since else 0.0)

    def is_slow(self, now: float) -> bool:
        """Return whether the request has waited longer than ``connections.slow``."""
        return self.seconds(now) > self.bulkhead.slow

    def waits_for(self, health: "Health", now: float) -> bool:
        """Return whether the thread waits for this database now and is slow."""
        awaited = self.awaited
        return bool(self.since) and awaited is not None and awaited.health is health and self.is_slow(now)

    def end(self, since: float, cause: Cause) -> bool:
        """End the wait that began at ``since``, unless it is over. Return whether it was ended.

        A COMMIT is not noted as ended, because the error that follows must not say that nothing was done.
        """
        with self._lock:
            over = not since or self.since != since
            if over or self.cut_since == since or self.awaited is None:
                return False
            self.cut_since = since
            self.ended = None if self.committing else cause
            self.awaited.cut()
            return True


WaitObserver = Callable[[Waits, float], None]
"""Is called with the waits of a thread, and the seconds that its last wait took. It holds up the thread."""

_present: Final[ContextVar[Waits | None]] = ContextVar("tenantapp_waits", default=None)
present: Final = _present.get
"""Returns the waits of this thread, or None if it does not work for a request."""


def was_ended() -> bool:
    """Return whether the wait of this thread that has just failed was ended from outside."""
    waits = present()
    return waits is not None and waits.ended is not None


def take_ended() -> Failure | None:
    """Return the failure of this thread's wait if it was ended from outside, once. Return None otherwise."""
    waits = present()
    if waits is None or waits.ended is None:
        return None
    ended, waits.ended = waits.ended, None
    return Failure(ended, spoiled=True)


def watched(
    awaited: Awaited,
    call: Callable[..., Result],
    *arguments: Any,
    committing: bool = False,
    statement: object = None,
    fetching: bool = False,
) -> Result:
    """Call the driver and return its result. Report the wait if this thread works for a request."""
    waits = present()
    if waits is None:
        return call(*arguments)
    waits.enter(awaited, committing=committing, statement=statement, fetching=fetching)
    try:
        return call(*arguments)
    except BaseException as error:
        # Not the error itself: its traceback would keep the cursor, and with it a file.
        waits.failed = type(error).__name__, getattr(error, "pgcode", None)
        raise
    finally:
        waits.leave()


def report_rows(committed: WritesRows) -> None:
    """Report the rows of the transaction that a connection has just committed, if this thread works for a request."""
    waits = present()
    if waits is not None and committed.spends_on == TENANT_DATABASES:
        waits.rows += committed.rows
    committed.rows = 0


@contextmanager
def rows_not_counted(connection: WritesRows) -> Iterator[None]:
    """Leave out the rows that the block writes on this connection of the driver: they are the core's own records."""
    before = connection.rows
    try:
        yield
    finally:
        connection.rows = before


def report(waits: Waits) -> Token[Waits | None]:
    """Report the waits of this thread to ``waits``. Return the token for ``report_no_longer``."""
    return _present.set(waits)


def report_no_longer(token: Token[Waits | None]) -> Waits | None:
    """Report the waits of this thread as before ``report``. Return those that were reported since."""
    waits = present()
    _present.reset(token)
    return waits


class Helpers:
    """The threads that work for a request while the request waits for them.

    Each helper may wait ``deadline`` seconds for a single answer. If the wait of the request is ended, the waits of its
    helpers are ended.
    """

    health: "Health | None" = None
    spends_on: Final = TENANT_DATABASES

    def __init__(self, deadline: float) -> None:
        self._parent = present()
        self._deadline = deadline

    @contextmanager
    def helping(self) -> Iterator[None]:
        """Count the waits of this thread until the block ends as waits for the request."""
        if self._parent is None:
            yield
            return
        with self._parent.bulkhead.helper(self._parent, self._deadline):
            yield

    def result(self, future: "Future[Result]") -> Result:
        """Wait for the result of a helper's work and return it."""
        return watched(self, future.result)

    def cut(self) -> None:
        """End the present waits of the helpers. Their further requests for connections are refused."""
        if self._parent is not None:
            self._parent.bulkhead.end_helpers(self._parent)
