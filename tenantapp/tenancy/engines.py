"""Engines, set up the same way wherever one is made."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg2.extensions
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError

READ_ONLY: Final = "tenantapp_read_only"
CONNECT_TIMEOUT: Final = 3  # seconds until a server that does not answer counts as down
BUSY_TIMEOUT: Final = 5000  # milliseconds a SQLite statement waits for another connection's lock
POOL_SIZE: Final = 2  # connections kept open per database
POOL_OVERFLOW: Final = 8  # further ones while they are needed

# What a SQLite file that cannot be used answers (https://www.sqlite.org/rescode.html); its other operational errors,
# "no such table" among them, are mistakes in the statement.
SQLITE_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def make_engine(
    url: URL,
    *,
    unavailable: Callable[[], Exception],
    verify: Callable[[Any], None] | None = None,
    autocommit: bool = False,
    pool_timeout: float,
) -> Engine:
    """Make the engine of one database. Nothing connects yet.

    ``unavailable`` makes the exception raised, in place of the driver's, when the database does not answer.
    ``verify`` gets each new DBAPI connection, and raises to have it closed instead of used.
    With ``autocommit`` every statement stands alone; otherwise transactions begin as ``_begin_on_sqlite`` says.
    ``pool_timeout`` is the longest wait for a free connection, in seconds.
    """
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True} if autocommit else {}
    sqlite = url.drivername.startswith("sqlite")
    if not sqlite:
        options |= {"use_native_hstore": False, "connect_args": {"connect_timeout": CONNECT_TIMEOUT}}
        # The reader of access retries by itself; everyone else must not meet a connection that died in the pool.
        options |= {"pool_pre_ping": not autocommit}
    engine = create_engine(
        url, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW, pool_timeout=pool_timeout, hide_parameters=True, **options
    )
    if sqlite:
        _set_up_sqlite(engine, autocommit)
    if verify is not None:
        event.listen(engine, "connect", lambda connection, record: verify(connection))
    event.listen(engine, "handle_error", lambda context: unavailable() if _is_unavailable(context) else None)
    return engine


def _set_up_sqlite(engine: Engine, autocommit: bool) -> None:
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "checkout", _on_sqlite_checkout)
    event.listen(engine, "checkin", _on_sqlite_checkin)
    if not autocommit:
        event.listen(engine, "begin", _begin_on_sqlite)


def _on_sqlite_connect(connection: sqlite3.Connection, record: Any) -> None:
    # None: the driver begins no transaction of its own, so that ours begin at the statement we chose.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that was answered survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous = FULL")
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    record.info["file"] = _file_identity(path)


def _on_sqlite_checkout(connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
    # A connection to a file that was removed or replaced goes on working, and what it commits is gone.
    path, device, inode = record.info["file"]
    if _file_identity(path) != (path, device, inode):
        raise InvalidatePoolError("the database file was removed or replaced")


def _on_sqlite_checkin(connection: sqlite3.Connection | None, record: Any) -> None:
    # Where a COMMIT fails SQLite keeps the transaction open, and SQLAlchemy takes it for ended.
    if connection is not None and connection.in_transaction:
        connection.rollback()


def _file_identity(path: str) -> tuple[str, int, int]:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return path, 0, 0
    return path, status.st_dev, status.st_ino


def _begin_on_sqlite(connection: Connection) -> None:
    """A transaction that may write takes the write lock at once: a later upgrade from reading could fail."""
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _is_unavailable(context: ExceptionContext) -> bool:
    """Whether a database failed, rather than a statement."""
    if context.is_pre_ping:
        return False
    original = context.original_exception
    if context.is_disconnect or (context.connection is None and isinstance(original, sqlite3.Error | psycopg2.Error)):
        return True
    if isinstance(original, sqlite3.Error):
        # The low byte is the primary result code.
        return (getattr(original, "sqlite_errorcode", 0) or 0) & 0xFF in SQLITE_UNAVAILABLE
    # A transaction rolled back by a conflict with another one is tried again, so it stays what it is.
    if isinstance(original, psycopg2.extensions.TransactionRollbackError):
        return False
    return isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError)
