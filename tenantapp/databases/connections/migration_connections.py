"""Connections for changing the structure of databases, which keep other migrations out."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import create_engine, event, func
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.pool import NullPool

from tenantapp.databases.connections.maintenance_engines import (
    ADVISORY_LOCK,
    LOCK_TIMEOUT,
    MIGRATION_WAIT,
    PUBLIC,
    STATEMENT_TIMEOUT,
    pinned_options,
    take_advisory_lock,
    translated,
)
from tenantapp.databases.errors import MigrationFailed
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import FleetError
from tenantapp.sql.commit_counts import check_or_close, count_commit, is_counted
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS
from tenantapp.sql.role_passwords import connect_as_role
from tenantapp.sql.silence import statements_take


class _Begun(NamedTuple):
    """What tells whether a transaction on a SQLite file changes something."""

    user_version: int
    schema_version: int
    changes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a migration may wait for a lock, run a statement, and wait for another migration, in seconds."""

    lock: float = LOCK_TIMEOUT
    statement: float = STATEMENT_TIMEOUT
    wait: float = MIGRATION_WAIT


USUAL_LIMITS: Final = Limits()


# The database and the limits of the next connection of an engine, which all databases of a server share.
_wanted: ContextVar[tuple[URL, Limits]] = ContextVar("wanted")


@contextmanager
def migration_connection(
    url: URL,
    name: str,
    limits: Limits = USUAL_LIMITS,
    failure: Callable[[str, str], FleetError] = MigrationFailed,
) -> Iterator[Connection]:
    """Yield a connection for migrating this database. It keeps other migrations of the database out.

    ``name`` is for the messages. On PostgreSQL the connection holds an advisory lock until it is closed. On SQLite its
    transactions begin with the write lock. Foreign keys are not enforced there, because altering a table means
    rebuilding it; see ``check_foreign_keys``. Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and, for what fails in
    the block, ``failure``.
    """
    _wanted.set((url, limits))
    with statements_take(limits.statement), translated(name, failure), migration_engine(url).connect() as connection:
        if url.get_backend_name() == "postgresql":
            take_advisory_lock(connection, name, limits.wait, func.pg_try_advisory_lock(ADVISORY_LOCK))
        yield connection


def migration_engine(url: URL) -> Engine:
    """Return the engine that ``migration_connection`` uses: one for all databases of the server of this URL."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine()
    # The URL is not the cache key, because SQLAlchemy renders URLs as text to compare them.
    return _server_engine(url.host, url.port, tuple(url.query.items()))


@checkpoint("migration.check")
def check_foreign_keys(
    connection: Connection, name: str, failure: Callable[[str, str], FleetError] = MigrationFailed
) -> None:
    """Check the foreign keys that SQLite did not enforce during a migration. Raises ``failure``."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise failure(name, f"a row of {broken[0]} refers to a row of {broken[2]} that is not there")


@cache
def _server_engine(host: str | None, port: int | None, query: tuple[tuple[str, Any], ...]) -> Engine:
    """Return the engine of a server. Its databases share what the dialect asks first, and the compiled statements."""
    address = URL.create("postgresql+psycopg2", host=host, port=port, query=dict(query))
    engine = create_engine(address, poolclass=NullPool, hide_parameters=True, use_native_hstore=False)
    event.listen(engine, "do_connect", _connect)
    return engine


@cache
def _sqlite_engine() -> Engine:
    engine = create_engine("sqlite+pysqlite://", poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _begin)
    return engine


class _CountedConnection(sqlite3.Connection):
    """The driver's connection. Its commits are counted if those of the file are, and a revision cannot change that."""

    path = ""
    begun: _Begun | None = None

    def has_begun(self) -> None:
        """Note what the file is like at the beginning of a transaction."""
        self.begun = self._now()

    def commit(self) -> None:
        """Commit. Raises ``CommitsLost`` and ``sqlite3.Error``."""
        counts = self.in_transaction and self.begun not in (None, self._now()) and is_counted(self.path)
        counted = count_commit(self, self.path, self.begun.user_version) if counts and self.begun else None
        try:
            super().commit()
            if counted is not None:
                counted.confirm()
        finally:
            if counted is not None:
                counted.close()

    def _now(self) -> "_Begun":
        version, schema = (self.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "schema_version"))
        return _Begun(version, schema, self.total_changes)


def _opened(connection: Any) -> Any:
    connection.path = connection.execute("PRAGMA database_list").fetchone()[2]
    check_or_close(connection, connection.path, alone=True)
    return connection


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    driver: Any = connection.connection.dbapi_connection
    driver.has_begun()


def _connect(dialect: Dialect, *_: object) -> Any:
    """Connect to the database that ``migration_connection`` was called for. Listener on ``do_connect``."""
    url, limits = _wanted.get()
    if url.get_backend_name() == "sqlite":
        arguments, keywords = dialect.create_connect_args(url)
        return _opened(dialect.connect(*arguments, timeout=limits.wait, factory=_CountedConnection, **keywords))
    return _driver_connect(dialect, url, limits)


def _driver_connect(dialect: Dialect, url: URL, limits: Limits) -> Any:
    _, keywords = dialect.create_connect_args(url)
    # Revisions and models name the tables without a schema. The role is that of the owner of what is called.
    options = pinned_options(keywords.pop("options", ""), limits.lock, limits.statement, search_path=PUBLIC)
    given = CONNECT_ARGUMENTS | dict(keywords) | {"options": options}
    return connect_as_role(dialect.connect, given if url.password is None else given | {"password": url.password})


def _on_sqlite_connect(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")
