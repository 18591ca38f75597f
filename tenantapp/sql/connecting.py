"""How a connection is made, so that a server that does not answer costs a request no more than it can bear.

libpq cannot be interrupted while it connects, and its ``connect_timeout`` does not bound the look-up of a name. So a
request lets another thread connect. It may leave; the other thread closes what it gets, and until then the connection
counts in the budget.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg2

from tenantapp.sql.breaker import Health
from tenantapp.sql.budget import ConnectionBudget
from tenantapp.sql.failures import Cause
from tenantapp.sql.postgres_connections import CONNECT_TIMEOUT
from tenantapp.sql.waits import Waits, present, watched

Connect = Callable[[], Any]


def connect_to_sqlite(connect: Connect, health: Health) -> Any:
    """Open a file. The connection knows whose health it tells about."""
    connection = connect()
    connection.health = health
    return connection


def connect_to_postgres(connect: Connect, health: Health, budget: ConnectionBudget) -> Any:
    """Connect, and note whether the server has answered. Raises the driver's errors."""
    waits = present()
    connection = connect() if waits is None else _attempt(_Attempt(connect, health, budget), waits)
    connection.health = health
    return connection


class _Attempt:
    """A connection that is made in a thread of its own. The budget has a place for it."""

    def __init__(self, connect: Connect, health: Health, budget: ConnectionBudget) -> None:
        self.health = health
        self.outcome: Future[Any] = Future()
        self._connect = connect
        self._budget = budget

    def result(self) -> Any:
        """Start, and wait for the connection. Raises the driver's errors."""
        threading.Thread(target=self._run, name="tenantapp-connecting", daemon=True).start()
        return self.outcome.result()

    def cut(self) -> None:
        """Let the request go. The place that it gives back is not free yet."""
        error = psycopg2.OperationalError("nobody waited any longer for the connection")
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
    """Note what a failed attempt says of the server. One that was ended for others' sake says nothing."""
    if waits.ended == Cause.SLOW:
        health.still_silent()
    elif waits.ended == Cause.SILENT:
        health.silent()
    elif "FATAL" in str(error) or took < min(waits.bulkhead.slow, CONNECT_TIMEOUT / 2):
        # A server that has a reason to refuse us says so at once, and so does its machine.
        health.answered()
    else:
        health.silent()
