"""End the waits for PostgreSQL servers that have fallen silent, on threads that serve no request.

Commands and workers send statements that may take long, so a long wait is no failure. After ``quiet`` seconds, a thread
asks the same server on a connection of its own whether it is there: it asks for TLS, which needs no password. If the
server has answered nothing for ``silent`` seconds, all waits for it are ended by shutting their sockets. A wait also
ends after ``most`` seconds, because a single process of a server may have stopped, and the wait of a COMMIT after
``commit`` seconds, because a synchronous standby may never confirm it.

The waits of requests have a shorter deadline: see ``bulkhead``.
"""

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

import psycopg2

from tenantapp.sql.failures import NoAnswer

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Address = tuple[socket.AddressFamily, Any]
"""The family and the address of a server, as the operating system has them."""
# https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
TLS_REQUEST: Final = bytes.fromhex("0000000804d2162f")
UNREACHABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ENOENT})
LONGEST_STATEMENT: Final = 1800.0  # seconds; the statement_timeout of maintenance and migrations
MARGIN: Final = 60.0  # seconds in which a server that ends a statement by itself may do so


@dataclass(frozen=True, slots=True)
class Times:
    """Times in seconds.

    After ``quiet``, a wait is long enough to ask. A server has ``answer`` to say something. One that has not for
    ``silent`` has fallen silent. One that has answered is asked again after ``again``. ``commit`` is the longest wait
    for a COMMIT. ``rest`` is how long the thread stays without waits.
    """

    quiet: float = 10.0
    answer: float = 3.0
    silent: float = 12.0
    again: float = 30.0
    commit: float = 300.0
    rest: float = 5.0


class Awaited(Protocol):
    """A connection, or a program that has one."""

    def server(self) -> Address | None:
        """Return the address of the server, or None if it is not known."""

    def cut(self) -> None:
        """End the wait, from another thread, and return at once."""


class _Wait:
    """One wait. ``ended`` is the reason, if it was ended from outside."""

    __slots__ = ("awaited", "ended", "ends", "since")

    def __init__(self, awaited: Awaited, most: float) -> None:
        self.awaited = awaited
        self.since = monotonic()
        self.ends = self.since + most
        self.ended = ""


_most: Final[ContextVar[float]] = ContextVar("tenantapp_longest_wait", default=LONGEST_STATEMENT + MARGIN)


@contextmanager
def statements_take(seconds: float) -> Iterator[None]:
    """Let statements of this thread take so long until the block ends, if that is more than usual."""
    token = _most.set(max(_most.get(), seconds + MARGIN))
    try:
        yield
    finally:
        _most.reset(token)


class SilenceWatch:
    """Knows what the threads of this process wait for, and ends the waits for silent servers."""

    def __init__(self, times: Times) -> None:
        self.times = times
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a process that was forked, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._waits: set[_Wait] = set()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._silent_since: dict[Address, float] = {}
        self._next_ask: dict[Address, float] = {}

    def wait_for(
        self, awaited: Awaited, call: Callable[..., Result], *arguments: Any, committing: bool = False
    ) -> Result:
        """Call the driver and return its result. Raises ``NoAnswer`` if the wait was ended."""
        with self.waiting(awaited, self.times.commit if committing else _most.get()) as wait:
            try:
                return call(*arguments)
            except psycopg2.Error as error:
                if not wait.ended or error.pgcode is not None:
                    raise
                raise NoAnswer(wait.ended) from error

    @contextmanager
    def waiting(self, awaited: Awaited, most: float) -> Iterator[_Wait]:
        """Watch a wait of at most ``most`` seconds until the block ends."""
        wait = _Wait(awaited, most)
        with self._lock:
            self._waits.add(wait)
            if self._thread is None:
                self._start()
        try:
            yield wait
        finally:
            with self._lock:
                self._waits.discard(wait)

    def stop(self) -> None:
        """End the thread, unless somebody waits. It begins again with the next wait."""
        with self._lock:
            if self._waits:
                return
            thread, self._thread = self._thread, None
            self._over.set()
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=[self._over], name="tenantapp-silence", daemon=True)
        self._thread.start()

    def _watch(self, over: threading.Event) -> None:
        pause, rested = self.times.quiet / 5, 0.0
        while not over.wait(pause):
            with self._lock:
                rested = 0.0 if self._waits else rested + pause
                if rested > self.times.rest:
                    self._thread = None
                    return
                waits = list(self._waits)
            try:
                self._look(waits)
            except Exception:
                log.exception("The waits for databases could not be checked.")

    def _look(self, waits: list[_Wait]) -> None:
        now = monotonic()
        servers: dict[Address, list[_Wait]] = {}
        for wait in waits:
            if now > wait.ends:
                self._end(wait, f"there was no answer within {wait.ends - wait.since:.0f} seconds")
            elif now - wait.since > self.times.quiet and (server := self._server(wait)) is not None:
                servers.setdefault(server, []).append(wait)
        # That a server was asked in vain says nothing once nobody waits for it.
        self._silent_since = {server: at for server, at in self._silent_since.items() if server in servers}
        for server, waiting in servers.items():
            if self._is_silent(server):
                for wait in waiting:
                    self._end(wait, "the server has fallen silent: it answers no other connection either")

    def _server(self, wait: _Wait) -> Address | None:
        with self._lock:
            return wait.awaited.server() if wait in self._waits else None

    def _is_silent(self, server: Address) -> bool:
        now = monotonic()
        if now < self._next_ask.get(server, 0.0):
            return False
        if answers(server, self.times.answer):
            self._silent_since.pop(server, None)
            self._next_ask[server] = now + self.times.again
            return False
        return monotonic() - self._silent_since.setdefault(server, now) > self.times.silent

    def _end(self, wait: _Wait, reason: str) -> None:
        with self._lock:
            if wait in self._waits and not wait.ended:
                wait.ended = reason
                wait.awaited.cut()


def address_of(descriptor: int) -> Address | None:
    """Return the address of the server at the other end of a socket, or None if it is not connected."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as copied:
            return socket.AddressFamily(copied.family), copied.getpeername()
    except OSError:
        return None


def answers(server: Address, seconds: float) -> bool:
    """Return whether a server says anything on a new connection. Each step may take so many seconds.

    Raises ``OSError`` if this machine is what keeps it from being asked: it has no file or port left, for instance.
    """
    family, address = server
    try:
        with socket.socket(family) as asking:
            asking.settimeout(seconds)
            asking.connect(address)
            asking.sendall(TLS_REQUEST)
            return bool(asking.recv(1))
    except (TimeoutError, ConnectionError, BlockingIOError):
        return False
    except OSError as error:
        if error.errno in UNREACHABLE:
            return False
        raise


watch: Final = SilenceWatch(Times())
os.register_at_fork(after_in_child=watch.forget)
