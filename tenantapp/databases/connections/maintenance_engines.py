"""Connections for making, removing and reading databases: never shared, never waiting forever.

One engine serves all databases of a PostgreSQL server.
"""

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

import psycopg2.errors
from sqlalchemy import ColumnElement, create_engine, event, func, select
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from tenantapp.databases.errors import DatabaseBusy, DatabaseUnreachable, ProvisioningFailed, ReadingFailed
from tenantapp.operations.errors import FleetError
from tenantapp.operations.outcomes import first_line
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS

LOCK_TIMEOUT: Final = 10  # seconds a statement waits for a lock; whoever comes after it waits as well
STATEMENT_TIMEOUT: Final = 1800  # seconds a statement of a migration may take
MAINTENANCE_DATABASE: Final = "postgres"
ENGINES: Final = 32
# The database that is to be connected to, and the engines that keep a connection.
_wanted: ContextVar[str] = ContextVar("wanted")
_kept: ContextVar[Callable[[URL], Engine] | None] = ContextVar("kept", default=None)


def maintenance_engine(url: URL) -> Engine:
    """An engine in autocommit whose next connection leads to the database of the URL, or else to ``postgres``."""
    database, address = url.database or MAINTENANCE_DATABASE, url.set(database="")
    kept = _kept.get()
    _wanted.set(database)
    # Nobody could copy or remove another database that a connection is kept to.
    return kept(address) if kept and database == MAINTENANCE_DATABASE else _engine(address)


@contextmanager
def maintenance_kept() -> Iterator[None]:
    """In this thread, keep a connection to each server for the maintenance that follows, until the block ends."""
    engines: dict[URL, Engine] = {}

    def kept(address: URL) -> Engine:
        if address not in engines:
            engines[address] = _make(address, poolclass=QueuePool, pool_size=1, pool_pre_ping=True)
        return engines[address]

    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        for engine in engines.values():
            engine.dispose()


def _make(address: URL, **pool: Any) -> Engine:
    engine = create_engine(
        address,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args=CONNECT_ARGUMENTS,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        **pool,
    )
    event.listen(engine, "do_connect", _connect_to_wanted)
    return engine


@lru_cache(ENGINES)
def _engine(address: URL) -> Engine:
    # For all databases of a server: a dialect asks for four things before its first connection.
    return _make(address, poolclass=NullPool)


def _connect_to_wanted(dialect: Dialect, record: object, arguments: object, keywords: dict[str, Any]) -> None:
    """Listener on ``do_connect``."""
    keywords["dbname"] = _wanted.get()
    # They take the place of the shorter ones that a tenant database sets for the application; here, they need no
    # round trip of their own.
    keywords["options"] = with_timeouts(keywords.get("options", ""), LOCK_TIMEOUT, STATEMENT_TIMEOUT)


def with_timeouts(options: str, lock: float, statement: float) -> str:
    """What a connection to PostgreSQL is begun with, and how long it may wait for a lock and work, in seconds."""
    timeouts = {
        "lock_timeout": lock,
        "statement_timeout": statement,
        "idle_in_transaction_session_timeout": statement,
    }
    return " ".join([options, *(f"-c {name}={seconds * 1000:.0f}" for name, seconds in timeouts.items())])


MIGRATION_WAIT: Final = 60.0  # seconds to wait while another process migrates the same database
# Advisory locks belong to one database, so that one key does for all.
ADVISORY_LOCK: Final = 7_310_594_271
POLL_INTERVAL: Final = 0.1  # seconds


@contextmanager
def maintenance_connection(url: URL, name: str) -> Iterator[Connection]:
    """A connection in autocommit for making and removing databases of a PostgreSQL server.

    It leads to the database of the URL, or else to ``postgres``. Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and
    ``ProvisioningFailed``.
    """
    with translated(name, ProvisioningFailed), maintenance_engine(url).connect() as connection:
        yield connection


@contextmanager
def reading_connection(url: URL, name: str) -> Iterator[Connection]:
    """A connection that reads one moment of a database, however long that takes, and that cannot write.

    PostgreSQL: nobody migrates the database meanwhile. A table that is made anew would be empty at our moment.
    Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and, for what fails in the block, ``ReadingFailed``.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _on_sqlite_read)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    else:
        engine = _reading_engine(url)
    with translated(name, ReadingFailed), engine.connect() as connection:
        if url.get_backend_name() != "sqlite":
            _set_timeouts(connection, LOCK_TIMEOUT, STATEMENT_TIMEOUT)
            take_advisory_lock(connection, name, MIGRATION_WAIT, func.pg_try_advisory_lock_shared(ADVISORY_LOCK))
        yield connection.execution_options(postgresql_readonly=True)


@contextmanager
def advisory_lock(connection: Connection, purpose: str, name: str) -> Iterator[None]:
    """Keep others who ask for the same purpose on the same PostgreSQL database out of the block.

    Raises ``DatabaseBusy`` after a while.
    """
    key = zlib.crc32(purpose.encode())
    take_advisory_lock(connection, name, MIGRATION_WAIT, func.pg_try_advisory_lock(key))
    try:
        yield
    finally:
        connection.scalar(select(func.pg_advisory_unlock(key)))


@lru_cache(ENGINES)
def _reading_engine(url: URL) -> Engine:
    # Remembered for what it knows of the server; it keeps no connection.
    return create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args=CONNECT_ARGUMENTS,
        isolation_level="REPEATABLE READ",
    )


def _on_sqlite_read(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT * 1000:.0f}")
    connection.execute("PRAGMA query_only = ON")


def _set_timeouts(connection: Connection, lock: int, statement: int) -> None:
    # They take the place of the shorter ones that a tenant database sets for the application.
    connection.exec_driver_sql(
        f"SET lock_timeout = '{lock}s'; SET statement_timeout = '{statement}s';"
        f" SET idle_in_transaction_session_timeout = '{statement}s'"
    )
    connection.commit()


def take_advisory_lock(connection: Connection, name: str, wait: float, lock: ColumnElement[bool]) -> None:
    """Take a lock on a PostgreSQL database, by one of the functions that try to, within so many seconds.

    It is kept until the connection is closed. ``name`` is for the message. Raises ``DatabaseBusy``.
    """
    # Asked for again and again: a statement that waited in pg_advisory_lock would hold a snapshot, for which a
    # CREATE INDEX CONCURRENTLY of the one who has the lock waits in turn.
    deadline = time.monotonic() + wait
    while not connection.scalar(select(lock)):
        connection.commit()
        if time.monotonic() > deadline:
            raise DatabaseBusy(name)
        time.sleep(POLL_INTERVAL)
    connection.commit()


@contextmanager
def translated(name: str, failure: Callable[[str, str], FleetError]) -> Iterator[None]:
    """What fails in the block, as ours: ``DatabaseBusy``, ``DatabaseUnreachable``, or else ``failure``."""
    try:
        yield
    except DBAPIError as error:
        reason = first_line(error.orig)
        if is_busy(error.orig):
            raise DatabaseBusy(name) from error
        if error.statement is None or error.connection_invalidated:
            raise DatabaseUnreachable(name, reason) from error
        raise failure(name, reason) from error


def is_busy(original: BaseException | None) -> bool:
    """Whether somebody else held a lock for too long."""
    if isinstance(original, sqlite3.Error):
        return getattr(original, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(original, psycopg2.errors.LockNotAvailable | psycopg2.errors.DeadlockDetected)
