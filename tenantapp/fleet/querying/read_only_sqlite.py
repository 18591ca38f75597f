"""One statement of somebody else's on a SQLite file: an authorizer lets it read, a clock stops it.

SQLite looks at the clock between two instructions of its machine, and not within a call of a function. So values are
short enough for a call to be over soon, and the functions whose time goes with the product of two lengths are bounded.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Any, Final

from tenantapp.fleet.errors import QueryFailed
from tenantapp.fleet.querying.first_rows import Most, Rows, first_rows

STEPS: Final = 1000  # instructions of SQLite's machine between two looks at the clock
LONGEST_VALUE: Final = 512 * 2**10  # bytes; the longest body of a node has 100,000 characters of at most four
LONGEST_SOUGHT: Final = 100  # characters, or bytes, of a pattern, and of what is looked for in a value
SEEKING: Final = {"instr": 2, "replace": 3, "trim": 2, "ltrim": 2, "rtrim": 2}  # and how many arguments they have
REFUSED: Final = frozenset({"load_extension", "fts3_tokenizer", "json_patch"})  # the last seeks, and cannot be bounded
READABLE_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)


class Interrupted(Exception):
    """SQLite was stopped by the clock."""


def read_sqlite(raw: sqlite3.Connection, statement: str, most: Most, deadline: float) -> Rows:
    """The first rows. Raises ``Interrupted``, ``QueryFailed`` and the driver's errors."""
    is_past = _past(deadline)
    with closing(sqlite3.connect(":memory:")) as plain:
        for connection in (raw, plain):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_SOUGHT)
        for name, count in SEEKING.items():
            raw.create_function(name, count, _bounded(plain, name, count, is_past), deterministic=True)
        raw.set_authorizer(_only_reading)
        raw.set_progress_handler(is_past, STEPS)
        try:
            cursor = raw.execute(statement)
            if cursor.description is None:
                raise QueryFailed("it gives no rows")
            return first_rows(cursor, cursor, most)
        except sqlite3.Error as error:
            if is_past():
                raise Interrupted from error
            raise
        finally:
            raw.set_progress_handler(None, 0)
            raw.set_authorizer(None)


def _bounded(plain: sqlite3.Connection, name: str, count: int, is_past: Callable[[], bool]) -> Callable[..., Any]:
    """SQLite's own function, which looks at the clock and seeks nothing long."""
    call = f"SELECT {name}({', '.join('?' * count)})"

    def bounded(*values: Any) -> Any:
        sought = values[1]
        if is_past() or (isinstance(sought, str | bytes) and len(sought) > LONGEST_SOUGHT):
            raise OverflowError  # which SQLite calls too big
        try:
            return plain.execute(call, values).fetchone()[0]
        except sqlite3.Error:
            raise OverflowError from None

    return bounded


def _past(deadline: float) -> Callable[[], bool]:
    return lambda: monotonic() > deadline


def _only_reading(action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
    """https://www.sqlite.org/c3ref/c_alter_table.html"""
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second not in REFUSED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in READABLE_PRAGMAS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        # What SQLite says when json_each or pragma_table_info come into being; a real one needs writable_schema.
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
