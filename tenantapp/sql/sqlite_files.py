"""Connect to SQLite files, report waits, begin transactions, and notice files that were replaced."""

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

from tenantapp.sql.commit_counts import count_commit
from tenantapp.sql.failures import SqliteCommitInDoubt
from tenantapp.sql.waits import TENANT_DATABASES, report_rows, watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health

Result = TypeVar("Result")
LOOKS: Final = 3  # at a new connection's file that is being written to
USED: Final = "tenantapp_used"  # in a connection's info: it has been checked out before
FLEETING: Final = "tenantapp_fleeting"  # in a connection's info: it is closed when it is returned
READ_ONLY: Final = "tenantapp_read_only"
BUSY_TIMEOUT: Final = 5.0  # seconds a statement waits for another connection's lock
# The longest single wait of SQLite, in seconds. SQLite cannot be interrupted while it waits, so we let it wait again.
BUSY_SLICE: Final = 0.1


class _Cursor(sqlite3.Cursor):
    """Reports the wait for each statement, and waits for locks. Counts the rows that a statement wrote."""

    connection: "FileConnection"
    is_counted = False
    statement: str | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute a statement. If the database is locked, the statement has done nothing and is tried again."""
        self.statement = sql
        return watched(self.connection, _patiently, super().execute, self.connection, sql, parameters, statement=sql)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        self.statement = sql
        return watched(self.connection, super().executemany, sql, parameters, statement=sql)

    def __next__(self) -> Any:
        return self._fetched(super().__next__)

    def fetchone(self) -> Any:
        return self._fetched(super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        return self._fetched(super().fetchmany, self.arraysize if size is None else size)

    def fetchall(self) -> Any:
        return self._fetched(super().fetchall)

    def _fetched(self, fetch: Callable[..., Result], *arguments: Any) -> Result:
        # SQLite looks for rows when they are fetched, so this is a part of the statement's time.
        return watched(self.connection, fetch, *arguments, statement=self.statement, fetching=True)

    def close(self) -> None:
        """Close the cursor. With RETURNING, the driver does not know the number of rows before all are fetched."""
        if self.rowcount > 0 and not self.is_counted:
            self.connection.rows += self.rowcount
            self.is_counted = True
        super().close()


class FileConnection(sqlite3.Connection):
    """The driver's connection. It reports waits, and knows whether a failed COMMIT may have been kept."""

    health: "Health | None" = None
    spends_on: int = TENANT_DATABASES
    cut_off = False
    """Whether a wait was ended from outside. The connection is not used again."""
    verify: Callable[[Any], None] | None = None
    """Raises if the file does not hold what this connection is for."""
    rows = 0
    """The rows that the transaction has written so far."""
    system = "sqlite"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Nothing was read from the file yet.
        self.path: str = super().execute("PRAGMA database_list").fetchone()[2]
        self.state = _state(self.path)
        self._changes = 0  # rows that were changed until the last transaction ended

    def cursor(self, factory: Any = _Cursor) -> Any:
        """Return a cursor that reports waits."""
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute a statement on a cursor that reports waits. The driver would use its own cursor."""
        cursor = self.cursor()
        try:
            return cursor.execute(sql, parameters)
        except BaseException:
            let_go(cursor)
            raise

    def commit(self) -> None:
        """Commit. Raises ``SqliteCommitInDoubt`` if writing or syncing the file failed.

        In this case the last page may be in the write-ahead log, and the commit counts when the log is read again.
        After any other failure nothing is kept. Raises ``CommitsLost`` if the file lacks commits that were made before.
        """
        has_changed = self.in_transaction and self.total_changes != self._changes
        counted = count_commit(self, self.path) if has_changed and self.path else None
        try:
            watched(_Commit(self.health, self.spends_on), super().commit, committing=True)
            if counted is not None:
                counted.confirm()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR:
                raise SqliteCommitInDoubt(str(error)) from error
            raise
        finally:
            if counted is not None:
                counted.close()
        self._changes = self.total_changes
        if self.rows:
            report_rows(self)

    def rollback(self) -> None:
        """Roll back."""
        self.rows = 0
        super().rollback()
        self._changes = self.total_changes

    def cut(self) -> None:
        """Interrupt the statement that runs, or that waits for a lock."""
        self.cut_off = True
        self.interrupt()


class _Commit:
    """The wait of a thread that commits. It waits for the disk, not for a lock, and is not interrupted."""

    system = "sqlite"

    def __init__(self, health: "Health | None", spends_on: int) -> None:
        self.health, self.spends_on = health, spends_on

    def cut(self) -> None:
        """Do nothing."""


def _patiently(execute: Callable[..., Result], connection: Any, sql: str, parameters: Any) -> Result:
    """Execute a statement, again and again while others hold the lock, unless the wait is ended from outside."""
    started = asked = monotonic()
    while True:
        try:
            return execute(sql, parameters)
        except sqlite3.OperationalError as error:
            # If SQLite did not wait, another attempt is useless: two transactions would wait for each other.
            waited = monotonic() - asked > BUSY_SLICE / 2
            over = connection.cut_off or monotonic() - started > BUSY_TIMEOUT
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not waited or over:
                raise
            asked = monotonic()


CONNECT_ARGUMENTS: Final = {"factory": FileConnection, "timeout": BUSY_SLICE}


def listen_on_pool(pool: Pool | Engine) -> None:
    """Add the listeners that set up connections and drop those whose file was removed, replaced or written to."""
    event.listen(pool, "connect", _on_connect)
    event.listen(pool, "checkout", _on_checkout)
    event.listen(pool, "checkin", _on_checkin)


def listen_on_engine(engine: Engine) -> None:
    """Add the listener that begins transactions."""
    event.listen(engine, "begin", _begin)


def let_go(cursor: Any) -> None:
    """Close a SQLite cursor whose connection is about to be closed. Ignore cursors of other engines.

    SQLite keeps the files of a closed connection open until its last cursor is gone, and a traceback may hold a cursor.
    """
    if isinstance(cursor, sqlite3.Cursor):
        with suppress(sqlite3.Error):
            cursor.close()


def _on_connect(connection: FileConnection, record: Any) -> None:
    try:
        _set_up(connection, record)
    except BaseException:
        connection.close()  # the pool would leave it to the search for garbage, with its files
        raise


def _set_up(connection: FileConnection, record: Any) -> None:
    # With None the driver begins no transactions itself, so ``_begin`` decides when and how they begin.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that has returned survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous = FULL")
    # A quarter of the default: a process may keep a thousand connections, and the operating system caches the file too.
    connection.execute("PRAGMA cache_size = -512")
    if connection.state is None:
        connection.state = _state(connection.path)  # the file was made just now
    record.info[FLEETING] = not _may_be_written(connection.path)


def _on_checkout(connection: FileConnection, record: Any, proxy: Any) -> None:
    """Drop a connection whose file was removed, replaced or written to since the connection was made.

    A connection to a removed file still works, but its commits are lost. A connection to a file that was overwritten
    reads some pages from the new file, and others from its cache. SQLite itself writes to the file only at a
    checkpoint, about every thousand pages. A checkpoint therefore also causes a new connection.
    """
    if _state(connection.path) != connection.state:
        if record.info.get(USED):
            raise InvalidatePoolError("the database file was removed, replaced or written to")
        _look_again(connection)
    record.info[USED] = True


def _look_again(connection: FileConnection) -> None:
    """Let a new connection forget what it has read of a file that was written to meanwhile, and verify it again.

    Most often this was a checkpoint of another process. Raises ``sqlite3.OperationalError`` if it is another file now,
    or one that does not come to rest, and what ``verify`` raises.
    """
    for _ in range(LOOKS):
        state = _state(connection.path)
        if state is None or connection.state is None or state[:2] != connection.state[:2]:
            break
        connection.execute("PRAGMA shrink_memory")  # all pages that it has cached
        if connection.verify is not None:
            connection.verify(connection)
        connection.state = state
        if _state(connection.path) == state:
            return
    raise sqlite3.OperationalError("the database file is being replaced")


def _on_checkin(connection: sqlite3.Connection | None, record: Any) -> None:
    if connection is None:
        return
    # If a COMMIT fails, SQLite keeps the transaction open, but SQLAlchemy considers it ended.
    if connection.in_transaction:
        connection.rollback()
    if record.info.get(FLEETING):
        record.close()


def _state(path: str) -> tuple[int, int, int] | None:
    """Return which file this is and when it was written to, or None if there is no file."""
    try:
        status = os.stat(path)  # called at every check-out; a Path would cost more than the call
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _may_be_written(path: str) -> bool:
    """Return whether this process may write to a database file and to the files that SQLite keeps beside it.

    A connection that has opened a file as read-only stays read-only, even when the file is writable again. All
    connections of a process share the index of the write-ahead log, in the mode in which the first one opened it. So
    read-only connections are not kept.
    """
    effective = os.access in os.supports_effective_ids
    files = (path, f"{path}-wal", f"{path}-shm")
    return all(os.access(file, os.W_OK, effective_ids=effective) for file in files if os.path.exists(file))


def _begin(connection: Connection) -> None:
    """Begin a transaction. If it may write, take the write lock at once: a later upgrade from reading could fail."""
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
