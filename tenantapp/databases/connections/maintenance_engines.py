"""Connections for making, removing and reading databases. No two callers share one, and none waits forever.

One engine serves all databases of a PostgreSQL server.
"""

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from threading import Lock
from typing import Any, Final

import psycopg2.errors
from sqlalchemy import ColumnElement, create_engine, event, func, select
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.util import LRUCache

from tenantapp.databases.errors import DatabaseBusy, DatabaseUnreachable, ProvisioningFailed, ReadingFailed
from tenantapp.operations.errors import FleetError
from tenantapp.operations.outcomes import first_line
from tenantapp.sql.commit_counts import check_or_close
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS
from tenantapp.sql.role_passwords import connect_as_role

LOCK_TIMEOUT: Final = 10  # seconds a statement waits for a lock; later statements queue behind it
STATEMENT_TIMEOUT: Final = 1800  # seconds a statement of a migration may take
MAINTENANCE_DATABASE: Final = "postgres"
ENGINES: Final = 32  # servers
COMPILED_STATEMENTS: Final = 500
# Structures, copies and comparisons must not depend on how a server, a database or a role is configured. With
# row_security off, PostgreSQL raises an error where a policy would hide rows. A tenant owns the schema public of its
# database: with public on the path, even behind pg_catalog, a function or operator there whose types fit better would
# be called in place of PostgreSQL's, with the rights of the server's role (CVE-2018-1058).
PINNED: Final = {
    # An owner may also name a role for its database, its own: then our session would begin as the tenant.
    "role": "none",
    "search_path": "pg_catalog",
    "row_security": "off",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "client_min_messages": "warning",  # see sql.postgres_connections.check_replicated
    "extra_float_digits": "3",
    # How text becomes values and statements. An owner may set these for a database, in its history too.
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "xmloption": "content",
    "backslash_quote": "safe_encoding",
    "client_encoding": "UTF8",
    # How definitions are printed, and whether an index returns all rows.
    "quote_all_identifiers": "off",
    "gin_fuzzy_search_limit": "0",
}
PUBLIC: Final = "public"  # the schema of our tables
# A view in place of one of our tables calls the tenant's functions as whoever reads it (CVE-2024-7348). Servers that do
# not know the setting lack that mending of PostgreSQL's as well. Materialized views are read nevertheless.
RESTRICTED: Final = """
SELECT set_config('restrict_nonsystem_relation_kind', 'view, foreign-table', false)
WHERE current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL
"""
KNOWN: Final = ("citext", "hstore")  # types of extensions that SQLAlchemy knows
# The database that the next connection leads to, and the function that returns the kept engine of a server.
_wanted: ContextVar[str] = ContextVar("wanted")
_kept: ContextVar[Callable[[URL], Engine] | None] = ContextVar("kept", default=None)


def maintenance_engine(url: URL) -> Engine:
    """Return an autocommit engine whose next connection leads to the database of the URL, or else to ``postgres``."""
    database, address = url.database or MAINTENANCE_DATABASE, url.set(database="")
    kept = _kept.get()
    _wanted.set(database)
    # Only for ``postgres``: a kept connection to another database would prevent copying or removing that database.
    return kept(address) if kept and database == MAINTENANCE_DATABASE else _engine(address)


@contextmanager
def maintenance_kept() -> Iterator[None]:
    """Keep one connection to each server, for the maintenance that this thread does until the block ends."""
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
    event.listen(engine, "connect", _restrict_in_others)
    return engine


@lru_cache(ENGINES)
def _engine(address: URL) -> Engine:
    # One engine for all databases of a server: before its first connection, a dialect asks the server four things.
    return _make(address, poolclass=NullPool)


def _connect_to_wanted(dialect: Dialect, record: object, arguments: object, keywords: dict[str, Any]) -> None:
    """Connect to the database that ``maintenance_engine`` was called for. Listener on ``do_connect``."""
    keywords["dbname"] = _wanted.get()
    # These settings replace what a server, a database or a role sets for the application. As connection options they
    # cost no round trip.
    keywords["options"] = pinned_options(keywords.get("options", ""), LOCK_TIMEOUT, STATEMENT_TIMEOUT)


def pinned_options(options: str, lock: float, statement: float, **other: str) -> str:
    """Return PostgreSQL connection options with the settings of all connections of the fleet, and timeouts in seconds.

    ``lock`` limits the wait for a lock, ``statement`` a statement and an idle transaction. ``other`` settings take the
    place of those that are pinned.
    """
    timeouts = {
        "lock_timeout": lock,
        "statement_timeout": statement,
        "idle_in_transaction_session_timeout": statement,
    }
    settings = PINNED | other | {name: f"{seconds * 1000:.0f}" for name, seconds in timeouts.items()}
    return " ".join([options, *(f"-c {name}={value}" for name, value in settings.items())])


MIGRATION_WAIT: Final = 60.0  # seconds to wait while another process migrates the same database
# Advisory locks belong to one database, so the same key serves for every database.
ADVISORY_LOCK: Final = 7_310_594_271
POLL_INTERVAL: Final = 0.1  # seconds


@contextmanager
def maintenance_connection(url: URL, name: str) -> Iterator[Connection]:
    """Yield an autocommit connection for making and removing databases of a PostgreSQL server.

    It leads to the database of the URL, or else to ``postgres``. Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and
    ``ProvisioningFailed``.
    """
    with translated(name, ProvisioningFailed), maintenance_engine(url).connect() as connection:
        yield connection


@contextmanager
def reading_connection(url: URL, name: str) -> Iterator[Connection]:
    """Yield a connection that reads a database as of one moment and cannot write.

    On PostgreSQL it sees every row of a table, or reading the table fails, and views are not read. It keeps migrations
    out, because a table that a migration rebuilds looks empty to older transactions. Only ``pg_catalog`` is on the
    path: models are read in ``public``, and other statements name the schema, see ``schema_of``. Raises
    ``DatabaseUnreachable``, ``DatabaseBusy`` and, for what fails in the block, ``ReadingFailed``.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _on_sqlite_read)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    else:
        with translated(name, ReadingFailed):
            engine = _reading_engine(url)
    with translated(name, ReadingFailed), engine.connect() as connection:
        if url.get_backend_name() != "sqlite":
            take_advisory_lock(connection, name, MIGRATION_WAIT, func.pg_try_advisory_lock_shared(ADVISORY_LOCK))
            connection.execution_options(postgresql_readonly=True, schema_translate_map={None: PUBLIC})
        yield connection


def schema_of(connection: Connection) -> str | None:
    """Return the schema of our tables, or None on SQLite, which has none."""
    return PUBLIC if connection.dialect.name == "postgresql" else None


@contextmanager
def advisory_lock(connection: Connection, purpose: str, name: str) -> Iterator[None]:
    """Hold a lock until the block ends. Only one process at a time holds it, for each purpose and PostgreSQL database.

    Raises ``DatabaseBusy`` if the lock is not free within a minute.
    """
    key = zlib.crc32(purpose.encode())
    take_advisory_lock(connection, name, MIGRATION_WAIT, func.pg_try_advisory_lock(key))
    try:
        yield
    finally:
        connection.scalar(select(func.pg_advisory_unlock(key)))


class _ReadingEngines:
    """The engines for reading the databases of one server. They share what SQLAlchemy learns of it and compiles.

    So only the first of them asks the server four things, and a statement is compiled once for all. None keeps a
    connection.
    """

    def __init__(self, address: URL) -> None:
        self._template = create_engine(
            address,
            poolclass=NullPool,
            hide_parameters=True,
            use_native_hstore=False,
            connect_args=CONNECT_ARGUMENTS,
            isolation_level="REPEATABLE READ",
        )
        event.listen(self._template, "connect", _restrict)
        # Of extensions in public, as the server writes them if that is not on the path.
        known: Any = self._template.dialect
        known.ischema_names = known.ischema_names | {f"{PUBLIC}.{name}": known.ischema_names[name] for name in KNOWN}
        self._compiled: LRUCache[Any, Any] = LRUCache(COMPILED_STATEMENTS)
        self._lock, self._asked = Lock(), False

    def engine(self, url: URL) -> Engine:
        """Return the engine of one database and role. It connects nowhere else, also after a connection was lost.

        Raises ``DBAPIError``.
        """
        template = self._template
        connect = partial(_connect_to_read, template.dialect, url)
        pool = NullPool(connect, dialect=template.dialect, _dispatch=template.pool.dispatch)
        options = {"compiled_cache": self._compiled}
        engine = Engine(pool, template.dialect, url, execution_options=options, hide_parameters=True)
        # The first connection asks the server. The pools of two threads would not wait for each other.
        with self._lock:
            if not self._asked:
                engine.connect().close()
                self._asked = True
        return engine


@lru_cache(ENGINES)
def _reading_engines(address: URL) -> _ReadingEngines:
    return _ReadingEngines(address)


def _reading_engine(url: URL) -> Engine:
    address = URL.create(url.drivername, host=url.host, port=url.port, query=url.query)
    return _reading_engines(address).engine(url)


def _connect_to_read(dialect: Dialect, url: URL) -> Any:
    """Connect with pinned settings."""
    arguments, keywords = dialect.create_connect_args(url)
    pinned = {"options": pinned_options(keywords.get("options", ""), LOCK_TIMEOUT, STATEMENT_TIMEOUT)}
    # The password as it is: the dialect makes a plain string of it.
    given = {} if url.password is None else {"password": url.password}
    connect = partial(dialect.connect, *arguments)
    return connect_as_role(connect, {**keywords, **CONNECT_ARGUMENTS, **pinned, **given})


def _restrict_in_others(connection: Any, record: object) -> None:
    """Restrict what is read in the databases of tenants. Listener on ``connect``."""
    if _wanted.get() != MAINTENANCE_DATABASE:
        _restrict(connection, record)


def _restrict(connection: Any, record: object) -> None:
    """Let nothing be read that calls functions of a tenant's. Listener on ``connect``."""
    before, connection.autocommit = connection.autocommit, True
    with connection.cursor() as cursor:
        cursor.execute(RESTRICTED)
    connection.autocommit = before


def _on_sqlite_read(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT * 1000:.0f}")
    connection.execute("PRAGMA query_only = ON")
    if path := connection.execute("PRAGMA database_list").fetchone()[2]:
        check_or_close(connection, path, alone=True)


def take_advisory_lock(connection: Connection, name: str, wait: float, lock: ColumnElement[bool]) -> None:
    """Take a lock on a PostgreSQL database, by polling for at most ``wait`` seconds.

    ``lock`` is a call of one of the functions named ``pg_try_advisory_lock...``. The lock is held until the connection
    is closed. ``name`` is for the message. Raises ``DatabaseBusy``.
    """
    # Poll, since a statement that waits in pg_advisory_lock holds a snapshot. If the process that has the lock runs
    # CREATE INDEX CONCURRENTLY, it would wait for that snapshot in turn.
    deadline = time.monotonic() + wait
    while not connection.scalar(select(lock)):
        connection.commit()
        if time.monotonic() > deadline:
            raise DatabaseBusy(name)
        time.sleep(POLL_INTERVAL)
    connection.commit()


@contextmanager
def translated(name: str, failure: Callable[[str, str], FleetError]) -> Iterator[None]:
    """Translate driver errors of the block into ``DatabaseBusy``, ``DatabaseUnreachable``, or else ``failure``."""
    try:
        yield
    except DBAPIError as error:
        reason = first_line(error.orig)
        if is_busy(error.orig):
            raise DatabaseBusy(name) from error
        if error.connection_invalidated or (error.statement is None and not _is_of_a_value(error.orig)):
            raise DatabaseUnreachable(name, reason) from error
        raise failure(name, reason) from error


def _is_of_a_value(original: BaseException | None) -> bool:
    """Return whether an error without a statement came with the rows of one: in connecting, there is no such code."""
    if isinstance(original, sqlite3.Error):
        return not hasattr(original, "sqlite_errorcode")  # the driver's own: a text that is not UTF-8
    return getattr(original, "pgcode", None) is not None


def is_busy(original: BaseException | None) -> bool:
    """Return whether an error means that somebody else held a lock for too long."""
    if isinstance(original, sqlite3.Error):
        return getattr(original, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(original, psycopg2.errors.LockNotAvailable | psycopg2.errors.DeadlockDetected)
