"""Connections for changing the structure of databases, for which nobody else does so meanwhile."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import create_engine, event, func
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.pool import NullPool

from tenantapp.databases.connections.maintenance_engines import (
    ADVISORY_LOCK,
    LOCK_TIMEOUT,
    MIGRATION_WAIT,
    STATEMENT_TIMEOUT,
    take_advisory_lock,
    translated,
    with_timeouts,
)
from tenantapp.databases.errors import MigrationFailed
from tenantapp.operations.errors import FleetError
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a migration may wait and work, in seconds: for a lock, in a statement, and for another migration."""

    lock: float = LOCK_TIMEOUT
    statement: float = STATEMENT_TIMEOUT
    wait: float = MIGRATION_WAIT


USUAL_LIMITS: Final = Limits()


# What an engine that all databases of a server share is to connect to, and how.
_wanted: ContextVar[tuple[URL, Limits]] = ContextVar("wanted")


@contextmanager
def migration_connection(
    url: URL,
    name: str,
    limits: Limits = USUAL_LIMITS,
    failure: Callable[[str, str], FleetError] = MigrationFailed,
) -> Iterator[Connection]:
    """A connection that nobody else migrates this database through meanwhile. ``name`` is for the messages.

    PostgreSQL: holds an advisory lock until it is closed. SQLite: its transactions begin with the write lock, and
    foreign keys are not enforced, because a table is altered by making it anew; see ``check_foreign_keys``.
    Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and, for what fails in the block, ``failure``.
    """
    _wanted.set((url, limits))
    with translated(name, failure), migration_engine(url).connect() as connection:
        if url.get_backend_name() == "postgresql":
            take_advisory_lock(connection, name, limits.wait, func.pg_try_advisory_lock(ADVISORY_LOCK))
        yield connection


def migration_engine(url: URL) -> Engine:
    """The engine that ``migration_connection`` makes its connections with, for all databases of this one's server."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine()
    # Not by the URL: to find out whether one is the same as another, SQLAlchemy writes it down.
    return _server_engine(url.host, url.port, tuple(url.query.items()))


def check_foreign_keys(
    connection: Connection, name: str, failure: Callable[[str, str], FleetError] = MigrationFailed
) -> None:
    """Make up for what SQLite did not enforce during a migration. Raises ``failure``."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise failure(name, f"a row of {broken[0]} refers to a row of {broken[2]} that is not there")


@cache
def _server_engine(host: str | None, port: int | None, query: tuple[tuple[str, Any], ...]) -> Engine:
    """What a dialect asks a server first, and the statements it has compiled, serve for all databases of the server."""
    address = URL.create("postgresql+psycopg2", host=host, port=port, query=dict(query))
    engine = create_engine(address, poolclass=NullPool, hide_parameters=True, use_native_hstore=False)
    event.listen(engine, "do_connect", _connect)
    return engine


@cache
def _sqlite_engine() -> Engine:
    engine = create_engine("sqlite+pysqlite://", poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _connect(dialect: Dialect, *_: object) -> Any:
    """Listener on ``do_connect``: connect to the database that is wanted."""
    url, limits = _wanted.get()
    if url.get_backend_name() == "sqlite":
        arguments, keywords = dialect.create_connect_args(url)
        return dialect.connect(*arguments, timeout=limits.wait, **keywords)
    return _driver_connect(dialect, url, limits)


def _driver_connect(dialect: Dialect, url: URL, limits: Limits) -> Any:
    _, keywords = dialect.create_connect_args(url)
    options = with_timeouts(keywords.pop("options", ""), limits.lock, limits.statement)
    return dialect.connect(**(CONNECT_ARGUMENTS | dict(keywords) | {"options": options}))


def _on_sqlite_connect(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")
