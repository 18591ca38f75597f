"""Make connections, without letting a request wait too long for a server that does not answer.

libpq cannot be interrupted while it connects, and its ``connect_timeout`` does not limit the time of a name look-up. So
a request lets another thread connect. If the request leaves, the other thread closes the connection that it gets. Until
then the connection counts in the budget.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import psycopg2

from tenantapp.sql.breaker import Health
from tenantapp.sql.budget import ConnectionBudget
from tenantapp.sql.commit_counts import check_or_close
from tenantapp.sql.failures import Cause
from tenantapp.sql.postgres_connections import CONNECT_TIMEOUT
from tenantapp.sql.waits import CONNECTING, Waits, present, watched

Connect = Callable[[], Any]


def connect_to_sqlite(connect: Connect, health: Health) -> Any:
    """Open a SQLite file. The connection knows the health of its database.

    Raises the driver's errors, and ``CommitsLost`` if the file lacks commits.
    """
    connection = _known(connect(), health)
    if connection.path:
        check_or_close(connection, connection.path)
    return connection


def connect_to_postgres(connect: Connect, health: Health, budget: ConnectionBudget) -> Any:
    """Connect to PostgreSQL, and note whether the server has answered. Raises the driver's errors."""
    waits = present()
    connection = connect() if waits is None else _attempt(_Attempt(connect, health, budget), waits)
    return _known(connection, health)


def _known(connection: Any, health: Health) -> Any:
    connection.health, connection.spends_on = health, health.spends_on
    return connection


class _Attempt:
    """A connection that is being made in a thread of its own. It has a place in the budget."""

    spends_on: Final = CONNECTING

    def __init__(self, connect: Connect, health: Health, budget: ConnectionBudget) -> None:
        self.health = health
        self.outcome: Future[Any] = Future()
        self._connect = connect
        self._budget = budget

    def result(self) -> Any:
        """Start the thread, and wait for the connection. Raises the driver's errors."""
        threading.Thread(target=self._run, name="tenantapp-connecting", daemon=True).start()
        return self.outcome.result()

    def cut(self) -> None:
        """Let the request leave. It frees its place, but the connection still needs one."""
        error = psycopg2.OperationalError("the wait for the connection was ended")
        self._budget.hold()
        try:
            self.outcome.set_exception(error)
        except InvalidStateError:
            self._budget.let_go()

    def _run(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:
            with self._told():
                self.outcome.set_exception(error)
            return
        with self._told(connection.close):
            self.outcome.set_result(connection)

    @contextmanager
    def _told(self, otherwise: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Tell the request, or clean up if it has left."""
        try:
            yield
        except InvalidStateError:
            otherwise()
            self._budget.let_go()


def _attempt(attempt: _Attempt, waits: Waits) -> Any:
    started = monotonic()
    try:
        connection = watched(attempt, attempt.result)
    except psycopg2.OperationalError as error:
        _note_failure(attempt.health, waits, error, monotonic() - started)
        raise
    attempt.health.answered()
    return connection


def _note_failure(health: Health, waits: Waits, error: psycopg2.OperationalError, took: float) -> None:
    """Note what a failed attempt says about the server. An attempt that was ended to free a thread says nothing."""
    if waits.ended == Cause.SLOW:
        health.still_silent()
    elif waits.ended == Cause.SILENT:
        health.silent()
    elif "FATAL" in str(error) or took < min(waits.bulkhead.slow, CONNECT_TIMEOUT / 2):
        # A server that refuses the connection, or a machine without a server, answers at once.
        health.answered()
    else:
        health.silent()
