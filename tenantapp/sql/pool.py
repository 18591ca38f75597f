"""A pool of connections to one database, within the budget of its server or a budget of its own."""

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg2
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from tenantapp.sql.breaker import Health
from tenantapp.sql.budget import BudgetNumbers, ConnectionBudget
from tenantapp.sql.open_files import too_few_files_left
from tenantapp.sql.postgres_connections import is_full

# Seconds before the next attempts: the server counts a closed connection until its backend has ended.
BACKEND_EXIT: Final = (0.02, 0.1, 0.3)


def use_monotonic_clock(connection: Any, record: Any) -> None:
    """Note by the monotonic clock when a connection was made (listener on ``connect``).

    SQLAlchemy compares this with the time since which the pool's connections are invalid. By the system's clock, a step
    back would make it replace every connection each time that one is taken, until the clock has caught up.
    """
    record.starttime += time.monotonic() - time.time()


class BudgetedPool(Pool):
    """A pool that takes a place in the budget for each connection. The budget also manages its idle connections.

    Without ``keep``, each connection is closed when it is returned. This is for a PgBouncer, which is itself the pool:
    an idle connection would only take a place there.
    """

    def __init__(
        self, creator: Callable[[], Any], budget: ConnectionBudget, health: Health, keep: bool = True, **options: Any
    ) -> None:
        # Not keyword-only: create_engine() of SQLAlchemy passes only the arguments that it finds by name and position.
        super().__init__(creator, **options)
        self._budget = budget
        self.health = health
        self._keep = keep
        self.in_use = 0
        self.most: int | None = None
        self.idle: list[ConnectionPoolEntry] = []
        self._disposed = False

    def numbers(self) -> BudgetNumbers:
        """Return the present figures of the budget."""
        return self._budget.numbers()

    def set_most(self, most: int | None) -> None:
        """Change how many connections there may be; None: as many as the budget allows."""
        self._budget.set_most(self, most)

    def _do_get(self) -> ConnectionPoolEntry:
        self.health.admit()
        entry = self._budget.take(self)
        if entry is not None:
            return entry
        try:
            return self._connect()
        except BaseException:
            self._budget.free(self)
            raise

    def _invalidate(self, connection: Any, exception: BaseException | None = None, _checkin: bool = True) -> None:
        before = self._invalidate_time
        super()._invalidate(connection, exception, _checkin)
        if self._invalidate_time != before:
            self._invalidate_time = time.monotonic()

    def _connect(self) -> ConnectionPoolEntry:
        """Return a new connection. If the server is full, close an idle connection of this process and try again.

        A SQLite server is full if the process can open no more files.
        """
        for pause in BACKEND_EXIT:
            try:
                return self._create_connection()
            except (psycopg2.OperationalError, sqlite3.OperationalError) as error:
                first = pause == BACKEND_EXIT[0]
                if not _is_full(error) or (first and not self._budget.close_idle()):
                    raise
            time.sleep(pause)
        return self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        connection: Any = record.dbapi_connection
        sound = connection is not None and not connection.cut_off
        if connection is not None and (self._disposed or not self._keep or not sound):
            # The engine of a disposed pool is forgotten, so nobody would use its idle connections.
            record.close()
        if self.health.troubled:
            self.health.returned(sound=sound)
        self._budget.give_back(self, record)

    def sibling(self, creator: Callable[..., Any], health: Health) -> "BudgetedPool":
        """Return a pool for another database of the same server, with the same budget, dialect and listeners."""
        return BudgetedPool(
            creator,
            budget=self._budget,
            health=health,
            keep=self._keep,
            reset_on_return=self._reset_on_return,
            dialect=self._dialect,
            _dispatch=self.dispatch,
        )

    def recreate(self) -> "BudgetedPool":
        made = self.sibling(self._creator, self.health)
        made.most = self.most
        return made

    def dispose(self) -> None:
        self._disposed = True
        while self._budget.close_idle(self):
            pass

    def checkedout(self) -> int:
        """Return how many connections are in use."""
        return self.in_use

    def status(self) -> str:
        return f"in use: {self.in_use}, idle: {len(self.idle)}"


def _is_full(error: psycopg2.OperationalError | sqlite3.OperationalError) -> bool:
    if isinstance(error, psycopg2.OperationalError):
        return is_full(error)
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN and too_few_files_left()
