"""Work in a thread of its own, beside what the process does, until it is told to stop or the process ends."""

import atexit
import logging
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self

from sqlalchemy.exc import DBAPIError, TimeoutError

from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
DATABASE_ERRORS: Final = (SqlError, TenancyError, DBAPIError, TimeoutError)
PAUSE_WHEN_DOWN: Final = 10.0  # seconds after an error, such as that the user database does not answer
STOP_WAIT: Final = 5.0  # seconds


class Background:
    """A daemon thread that calls ``run`` with the event that asks it to stop.

    As a context manager it works until the block ends.
    """

    def __init__(self, name: str, run: Callable[[Event], None], stop_wait: float = STOP_WAIT) -> None:
        self._name, self._run, self._stop_wait = name, run, stop_wait
        self._stop = Event()
        self._thread: Thread | None = None
        self._lock = Lock()

    def start(self) -> None:
        """Start the thread, if it was not started already, also by another thread."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, args=(self._stop,), name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self.stop)

    def ask_to_stop(self) -> None:
        """Ask the thread to end, without waiting for it."""
        self._stop.set()

    def stop(self) -> None:
        """Ask the thread to end, and wait for it for ``stop_wait`` seconds."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(self._stop_wait)
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Startable(Protocol):
    """What can be started, once."""

    def start(self) -> None:
        """Start."""


class ServingThreads:
    """What a process does beside serving: it starts when the process begins to serve, and ends with it.

    An application that is made by a command, or in a master process, is not served, and starts nothing.
    """

    def __init__(self) -> None:
        self._threads: list[Startable] = []
        self._lock = Lock()
        self.started = False

    def add(self, threads: Startable) -> None:
        """Let this start with the others."""
        self._threads.append(threads)

    def start(self) -> None:
        """Start all, unless they were started already."""
        with self._lock:
            if self.started:
                return
            self.started = True
        for threads in self._threads:
            threads.start()


def repeat(stop: Event, works: Mapping[str, Callable[[], bool]], every: float) -> None:
    """Call each work over and over, and ``every`` seconds after it has returned false, until ``stop`` is set.

    An error is logged, and that work is tried again later; the others go on meanwhile. The key of a work says what is
    not done while it fails.
    """
    due = dict.fromkeys(works, 0.0)
    while not stop.is_set():
        for cannot, work in works.items():
            if monotonic() >= due[cannot]:
                due[cannot] = monotonic() + _pause_after(work, every, cannot)
        stop.wait(max(0.0, min(due.values()) - monotonic()))


def _pause_after(work: Callable[[], bool], every: float, cannot: str) -> float:
    try:
        return 0.0 if work() else every
    except DATABASE_ERRORS as error:
        # No tables yet, or the database is down; either may change.
        log.warning("%s: %s", cannot, error)
    except Exception:
        log.exception("%s", cannot)
    return PAUSE_WHEN_DOWN
