"""How connections to SQLite files behave."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import Pool

from tenantapp.sql.failures import SqliteCommitInDoubt
from tenantapp.sql.waits import watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health

Result = TypeVar("Result")
USED: Final = "tenantapp_used"  # in a connection's info, once it has been given to somebody
FLEETING: Final = "tenantapp_fleeting"  # likewise: it is closed when it is given back
READ_ONLY: Final = "tenantapp_read_only"
BUSY_TIMEOUT: Final = 5.0  # seconds a statement waits for another connection's lock
# The longest that SQLite itself waits, in seconds: it cannot be interrupted meanwhile, so it is asked again.
BUSY_SLICE: Final = 0.1


class _Cursor(sqlite3.Cursor):
    """Reports how long each statement takes, and waits for locks."""

    connection: "FileConnection"

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute a statement. One that finds the database locked has done nothing, and is tried again."""
        return watched(self.connection, _patiently, super().execute, self.connection, sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        return watched(self.connection, super().executemany, sql, parameters)

    def __next__(self) -> Any:
        return watched(self.connection, super().__next__)

    def fetchone(self) -> Any:
        return watched(self.connection, super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        return watched(self.connection, super().fetchmany, self.arraysize if size is None else size)

    def fetchall(self) -> Any:
        return watched(self.connection, super().fetchall)


class FileConnection(sqlite3.Connection):
    """The driver's connection, which reports what requests wait for, and says whether a failed COMMIT may be done."""

    health: "Health | None" = None
    cut_off = False
    """Whether a wait for it was ended from outside: it is not used again."""

    def cursor(self, factory: Any = _Cursor) -> Any:
        """A cursor that reports."""
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute on a cursor of ours; the driver would take one of its own."""
        return self.cursor().execute(sql, parameters)

    def commit(self) -> None:
        """Commit. Raises ``SqliteCommitInDoubt`` where writing or syncing the file failed.

        After any other failure nothing is kept. Here the last page may be in the write-ahead log, and count once the
        log is read again.
        """
        try:
            watched(_Commit(self.health), super().commit, committing=True)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR:
                raise SqliteCommitInDoubt(str(error)) from error
            raise

    def cut(self) -> None:
        """Interrupt the statement that runs, or that waits for a lock."""
        self.cut_off = True
        self.interrupt()


class _Commit:
    """What a thread waits for that commits: the disk, and no lock. Nobody interrupts it."""

    def __init__(self, health: "Health | None") -> None:
        self.health = health

    def cut(self) -> None:
        """Do nothing."""


def _patiently(execute: Callable[..., Result], connection: Any, sql: str, parameters: Any) -> Result:
    """Execute; while others hold the lock, again and again, unless the wait is ended from outside."""
    started = asked = monotonic()
    while True:
        try:
            return execute(sql, parameters)
        except sqlite3.OperationalError as error:
            # Where SQLite has not waited itself, it would be in vain: two transactions would wait for each other.
            waited = monotonic() - asked > BUSY_SLICE / 2
            over = connection.cut_off or monotonic() - started > BUSY_TIMEOUT
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not waited or over:
                raise
            asked = monotonic()


CONNECT_ARGUMENTS: Final = {"factory": FileConnection, "timeout": BUSY_SLICE}


def listen_on_pool(pool: Pool | Engine) -> None:
    """Set up each connection, and never use one whose file is not there any more."""
    event.listen(pool, "connect", _on_connect)
    event.listen(pool, "checkout", _on_checkout)
    event.listen(pool, "checkin", _on_checkin)


def listen_on_engine(engine: Engine) -> None:
    """Let transactions begin in the way ``_begin`` says."""
    event.listen(engine, "begin", _begin)


def let_go(cursor: Any) -> None:
    """Close a cursor whose connection is about to be closed; nothing happens for one of another engine.

    SQLite keeps the files of a closed connection open until its last cursor is gone, and a traceback may have that.
    """
    if isinstance(cursor, sqlite3.Cursor):
        with suppress(sqlite3.Error):
            cursor.close()


def _on_connect(connection: sqlite3.Connection, record: Any) -> None:
    # None: the driver begins no transaction of its own, so that ours begin at the statement we chose.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that was answered survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous = FULL")
    # A quarter of the default: a process may keep a thousand connections, and the operating system caches the file too.
    connection.execute("PRAGMA cache_size = -512")
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    record.info["file"] = path, _state(path)
    record.info[FLEETING] = not _may_be_written(path)


def _on_checkout(connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
    """Use no connection whose file is another one than when it was made.

    A connection to a file that was removed goes on working, and what it commits is gone. One to a file that another
    was copied over reads some pages of the one and, from its cache, some of the other. SQLite itself writes to the
    file only at a checkpoint, every thousand pages or so; after one, too, a new connection is made.
    """
    path, state = record.info["file"]
    if _state(path) != state:
        if record.info.get(USED):
            raise InvalidatePoolError("the database file was removed, replaced or written to")
        raise sqlite3.OperationalError("the database file is being replaced")
    record.info[USED] = True


def _on_checkin(connection: sqlite3.Connection | None, record: Any) -> None:
    if connection is None:
        return
    # Where a COMMIT fails SQLite keeps the transaction open, and SQLAlchemy takes it for ended.
    if connection.in_transaction:
        connection.rollback()
    if record.info.get(FLEETING):
        record.close()


def _state(path: str) -> tuple[int, int, int] | None:
    """Which file this is, and when it was written to; None if there is none."""
    try:
        status = os.stat(path)  # for every connection taken; a Path would cost more than the call
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _may_be_written(path: str) -> bool:
    """Whether this process may write to a database and to what SQLite keeps beside it.

    A connection that has opened one of them for reading alone goes on so when that is over; and all connections of a
    process share the index of the write-ahead log as the first of them has opened it. So none of these is kept.
    """
    effective = os.access in os.supports_effective_ids
    files = (path, f"{path}-wal", f"{path}-shm")
    return all(os.access(file, os.W_OK, effective_ids=effective) for file in files if os.path.exists(file))


def _begin(connection: Connection) -> None:
    """A transaction that may write takes the write lock at once: a later upgrade from reading could fail."""
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
