"""How connections to SQLite files behave."""

import os
import sqlite3
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import Pool

from tenantapp.sql.failures import SqliteCommitInDoubt

USED: Final = "tenantapp_used"  # in a connection's info, once it has been given to somebody
FLEETING: Final = "tenantapp_fleeting"  # likewise: it is closed when it is given back
READ_ONLY: Final = "tenantapp_read_only"
BUSY_TIMEOUT: Final = 5000  # milliseconds a statement waits for another connection's lock


class FileConnection(sqlite3.Connection):
    """The driver's connection, which says of a COMMIT that failed whether it may have been done all the same."""

    def commit(self) -> None:
        """Commit. Raises ``SqliteCommitInDoubt`` where writing or syncing the file failed.

        After any other failure nothing is kept. Here the last page may be in the write-ahead log, and count once the
        log is read again.
        """
        try:
            super().commit()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR:
                raise SqliteCommitInDoubt(str(error)) from error
            raise


CONNECT_ARGUMENTS: Final = {"factory": FileConnection}


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
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
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
