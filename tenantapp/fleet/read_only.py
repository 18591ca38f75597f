"""One statement of somebody else's, on one database, in a way that it can only read, and only for so long.

PostgreSQL: the transaction is READ ONLY and never committed. The statement travels as a value and is opened as a cursor
by the server, which takes one statement that gives rows and no other: it cannot be followed by ``COMMIT``.
SQLite: an authorizer allows reading and nothing else, on top of ``query_only``.
On both the connection is closed afterwards, so that nothing the statement has set, or locked, stays with it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import psycopg2
from psycopg2 import errors as postgres
from sqlalchemy.orm import Session

from tenantapp.fleet.errors import QueryFailed

# What the drivers raise for a value that Python has no form for: a year after 9999, an interval of a billion days, and
# JSON that is nested too deeply.
NOT_A_VALUE: Final = (ValueError, ArithmeticError, RecursionError)
BATCH: Final = 200  # rows fetched at once
SQLITE_STEPS: Final = 20_000  # instructions of SQLite's machine between two looks at the clock
SQLITE_LONGEST_VALUE: Final = 64 * 2**20  # bytes
PREPARE: Final = "SELECT set_config('timezone', 'UTC', true), set_config('tenantapp.statement', %s, true)"
# https://www.postgresql.org/docs/current/plpgsql-cursors.html: OPEN FOR EXECUTE refuses more than one statement.
OPEN: Final = """
DO $open$
DECLARE rows refcursor := 'tenantapp_rows';
BEGIN OPEN rows FOR EXECUTE current_setting('tenantapp.statement'); END
$open$
"""
READABLE_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a statement gave, as the driver has it. ``truncated``: there were more rows than asked for."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    truncated: bool


def read_rows(session: Session, statement: str, *, limit: int, timeout: float) -> Rows:
    """The first ``limit`` rows of a statement, within ``timeout`` seconds. The session is read-only, and used up by it.

    Raises ``QueryFailed``, and what the database's ``DBFactory`` raises when it does not answer.
    """
    connection = session.connection()
    raw: Any = connection.connection.dbapi_connection
    read = _read_sqlite if connection.dialect.name == "sqlite" else _read_postgres
    try:
        return read(raw, statement, limit, monotonic() + timeout)
    except (postgres.QueryCanceled, _Interrupted) as error:
        raise QueryFailed(f"it took longer than {timeout:g} seconds") from error
    except (psycopg2.Error, sqlite3.Error, sqlite3.Warning, *NOT_A_VALUE) as error:
        raise QueryFailed(_reason(error)) from error
    finally:
        connection.invalidate()


class _Interrupted(Exception):
    """SQLite was stopped by the clock."""


def _read_postgres(raw: Any, statement: str, limit: int, deadline: float) -> Rows:
    rows: list[tuple[Any, ...]] = []
    with raw.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('timezone', 'UTC', true), set_config('tenantapp.statement', %s, true)", (statement,)
        )
        _limit_time(cursor, deadline)
        cursor.execute(OPEN)
        while True:
            # Again each time: the statement itself may have set another limit.
            _limit_time(cursor, deadline)
            cursor.execute("FETCH FORWARD %s FROM tenantapp_rows", (min(BATCH, limit + 1 - len(rows)),))
            columns = tuple(column.name for column in cursor.description)
            batch = cursor.fetchall()
            rows += batch
            if not batch or len(rows) > limit:
                return Rows(columns, rows[:limit], len(rows) > limit)


def _limit_time(cursor: Any, deadline: float) -> None:
    # 0 would be no limit at all.
    left = max(1, int((deadline - monotonic()) * 1000))
    cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(left),))


def _read_sqlite(raw: sqlite3.Connection, statement: str, limit: int, deadline: float) -> Rows:
    raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, SQLITE_LONGEST_VALUE)
    raw.set_authorizer(_only_reading)
    raw.set_progress_handler(_past(deadline), SQLITE_STEPS)
    try:
        cursor = raw.execute(statement)
        if cursor.description is None:
            raise QueryFailed("it gives no rows")
        rows = cursor.fetchmany(limit + 1)
        return Rows(tuple(column[0] for column in cursor.description), rows[:limit], len(rows) > limit)
    except sqlite3.OperationalError as error:
        # Those of the driver itself have no code: that a text is none, for instance.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise _Interrupted from error
        raise
    finally:
        raw.set_progress_handler(None, 0)
        raw.set_authorizer(None)


def _past(deadline: float) -> Callable[[], bool]:
    return lambda: monotonic() > deadline


def _only_reading(action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
    """https://www.sqlite.org/c3ref/c_alter_table.html"""
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second not in ("load_extension", "fts3_tokenizer"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in READABLE_PRAGMAS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        # What SQLite says when json_each or pragma_table_info come into being; a real one needs writable_schema.
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
