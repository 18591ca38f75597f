"""One statement of somebody else's on a SQLite file: an authorizer lets it read, a clock stops it."""

import sqlite3
from collections.abc import Callable
from time import monotonic
from typing import Final

from tenantapp.fleet.errors import QueryFailed
from tenantapp.fleet.first_rows import Most, Rows, first_rows

STEPS: Final = 20_000  # instructions of SQLite's machine between two looks at the clock
LONGEST_VALUE: Final = 64 * 2**20  # bytes
READABLE_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)


class Interrupted(Exception):
    """SQLite was stopped by the clock."""


def read_sqlite(raw: sqlite3.Connection, statement: str, most: Most, deadline: float) -> Rows:
    """The first rows. Raises ``Interrupted``, ``QueryFailed`` and the driver's errors."""
    raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    raw.set_authorizer(_only_reading)
    raw.set_progress_handler(_past(deadline), STEPS)
    try:
        cursor = raw.execute(statement)
        if cursor.description is None:
            raise QueryFailed("it gives no rows")
        return first_rows(cursor, cursor, most)
    except sqlite3.OperationalError as error:
        # Those of the driver itself have no code: that a text is none, for instance.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise Interrupted from error
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
