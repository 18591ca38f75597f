"""Run an untrusted statement read-only on one database, with limits on rows, memory and time.

PostgreSQL: the transaction is READ ONLY and never committed. The statement is sent as a value, and the server opens it
as a cursor. A cursor accepts only one statement, and only one that gives rows, so the statement cannot go on with
``COMMIT``. SQLite: an authorizer allows only reading, in addition to ``query_only``; see ``read_only_sqlite``. On both
engines the connection is closed afterwards, so nothing that the statement has set or locked remains.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import psycopg2
from psycopg2 import errors as postgres
from sqlalchemy.orm import Session

from tenantapp.fleet.errors import QueryFailed
from tenantapp.fleet.querying.first_rows import Most, Rows, first_rows
from tenantapp.fleet.querying.postgres_values import tell_exactly
from tenantapp.fleet.querying.read_only_sqlite import ONLY_READING, Interrupted, read_sqlite
from tenantapp.operations.outcomes import first_line
from tenantapp.sql.failures import Cause
from tenantapp.sql.waits import take_ended

# What the drivers raise for a value that Python cannot express, such as JSON that is nested too deeply.
NOT_A_VALUE: Final = (ValueError, ArithmeticError, RecursionError)
BATCH: Final = 20  # rows that the driver holds at once, whatever their size
# https://www.postgresql.org/docs/current/plpgsql-cursors.html: OPEN FOR EXECUTE refuses more than one statement.
OPEN: Final = """
DO $open$
DECLARE rows refcursor := 'tenantapp_rows';
BEGIN OPEN rows FOR EXECUTE current_setting('tenantapp.statement'); END
$open$
"""
ENDED: Final = {
    Cause.SLOW: "it was slow, and too many requests waited already",
    Cause.SILENT: "the database did not answer in time",
    Cause.QUOTA: "all connections that it may have are in use",
}
LONGEST_REASON: Final = 500  # characters; an error may quote the whole value


def read_rows(session: Session, statement: str, most: Most) -> Rows:
    """Return the first rows of a statement, within the limits. The session must be read-only; it is used up.

    Raises ``QueryFailed``, and what the database's ``DBFactory`` raises if it does not answer.
    """
    connection = session.connection()
    raw: Any = connection.connection.dbapi_connection
    read = read_sqlite if connection.dialect.name == "sqlite" else _read_postgres
    try:
        with _unless_ended():
            return read(raw, statement, most, monotonic() + most.seconds)
    except (postgres.QueryCanceled, Interrupted) as error:
        raise QueryFailed(f"it took longer than {most.seconds:.3g} seconds") from error
    except (postgres.InvalidCursorDefinition, postgres.ReadOnlySqlTransaction) as error:
        raise QueryFailed(ONLY_READING) from error
    except (psycopg2.Error, sqlite3.Error, sqlite3.Warning, *NOT_A_VALUE) as error:
        raise QueryFailed(first_line(error)[:LONGEST_REASON]) from error
    finally:
        connection.invalidate()


@contextmanager
def _unless_ended() -> Iterator[None]:
    """Say so if it was not the statement that failed: its wait was ended from outside."""
    try:
        yield
    except (psycopg2.Error, sqlite3.Error) as error:
        if (ended := take_ended()) is None:
            raise
        raise QueryFailed(ENDED[ended.cause]) from error


def _read_postgres(raw: Any, statement: str, most: Most, deadline: float) -> Rows:
    tell_exactly(raw)
    with raw.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true),"
            " set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '3', true),"
            " set_config('tenantapp.statement', %s, true)",
            (statement,),
        )
        _limit_time(cursor, deadline)
        cursor.execute(OPEN)
        return first_rows(cursor, _fetched(cursor, min(BATCH, most.rows + 1), deadline), most)


def _fetched(cursor: Any, batch: int, deadline: float) -> Iterator[tuple[Any, ...]]:
    while True:
        # Set it again each time: the statement itself may have changed the limit.
        _limit_time(cursor, deadline)
        cursor.execute("FETCH FORWARD %s FROM tenantapp_rows", (batch,))
        yield from cursor
        if cursor.rowcount < batch:
            return


def _limit_time(cursor: Any, deadline: float) -> None:
    # 0 would mean no limit.
    left = max(1, int((deadline - monotonic()) * 1000))
    cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(left),))
