"""An untrusted statement on a SQLite file: an authorizer lets it only read, and a clock stops it.

SQLite checks the clock between two instructions of its virtual machine, but not during the call of a function. So the
length of values is limited, to keep calls short. Functions whose time grows with the product of two lengths have a
further limit.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Any, Final

from tenantapp.fleet.errors import QueryFailed
from tenantapp.fleet.querying.first_rows import Most, Rows, first_rows

STEPS: Final = 1000  # instructions of SQLite's virtual machine between two checks of the clock
LONGEST_VALUE: Final = 512 * 2**10  # bytes; the longest body of a node has 100,000 characters of at most four
LONGEST_SOUGHT: Final = 100  # characters, or bytes, of a pattern, and of a value to search for
SEEKING: Final = {"instr": 2, "replace": 3, "trim": 2, "ltrim": 2, "rtrim": 2}  # and their numbers of arguments
# SQLite's own functions: with such short values, each call is over soon. json_patch is left out, because it searches
# and cannot be bounded. Functions that a program has added are left out too: SQLAlchemy adds regexp, which blocks all
# of Python while it runs. https://www.sqlite.org/lang_corefunc.html and the pages on dates, aggregates, windows,
# mathematics and JSON.
FUNCTIONS: Final = """
    abs char coalesce concat concat_ws format glob hex if ifnull iif instr length like likelihood likely lower ltrim max
    min nullif octet_length printf quote random randomblob replace round rtrim sign soundex sqlite_version substr
    substring trim typeof unhex unicode unistr unlikely upper zeroblob
    date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp
    avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power
    radians sin sinh sqrt tan tanh trunc
    -> ->> json json_array json_array_length json_error_position json_extract json_group_array json_group_object
    json_insert json_object json_pretty json_quote json_remove json_replace json_set json_type json_valid
"""
ALLOWED: Final = frozenset(FUNCTIONS.split())
# SQLite does not check the clock between two calls for the same row either, so the calls in a statement are limited.
DEAR: Final = {"like": 10, "glob": 20}  # how many calls of other functions one call counts as
MOST_CALLS: Final = 400
LONGEST_STATEMENT: Final = 100_000  # bytes
MOST_INSTRUCTIONS: Final = 20_000  # of SQLite's virtual machine, in the program of a statement
READABLE_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)
REFUSED: Final = "not authorized"  # what SQLite says if the authorizer refuses anything but a function
ONLY_READING: Final = "only one statement is allowed, and it can only read"


class Interrupted(Exception):
    """The clock stopped SQLite."""


def read_sqlite(raw: sqlite3.Connection, statement: str, most: Most, deadline: float) -> Rows:
    """Return the first rows. Raises ``Interrupted``, ``QueryFailed`` and the driver's errors."""
    is_past = _past(deadline)
    with closing(sqlite3.connect(":memory:")) as plain:
        for connection in (raw, plain):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_SOUGHT)
        raw.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_STATEMENT)
        raw.setlimit(sqlite3.SQLITE_LIMIT_VDBE_OP, MOST_INSTRUCTIONS)
        raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for name, count in SEEKING.items():
            raw.create_function(name, count, _bounded(plain, name, count, is_past), deterministic=True)
        only_reading = _OnlyReading()
        raw.set_authorizer(only_reading)
        raw.set_progress_handler(is_past, STEPS)
        try:
            cursor = raw.execute(statement)
            if cursor.description is None:
                raise QueryFailed("it gives no rows")
            return first_rows(cursor, cursor, most)
        except sqlite3.Error as error:
            if is_past():
                raise Interrupted from error
            if only_reading.calls > MOST_CALLS:
                raise QueryFailed("it calls too many functions") from error
            if str(error) == REFUSED:
                raise QueryFailed(ONLY_READING) from error
            raise
        except MemoryError as error:
            # SQLite reports a program of too many instructions so.
            raise QueryFailed("it is too long") from error
        finally:
            raw.set_progress_handler(None, 0)
            raw.set_authorizer(None)


def _bounded(plain: sqlite3.Connection, name: str, count: int, is_past: Callable[[], bool]) -> Callable[..., Any]:
    """Return SQLite's own function, which now checks the clock and refuses to search for long values."""
    call = f"SELECT {name}({', '.join('?' * count)})"

    def bounded(*values: Any) -> Any:
        sought = values[1]
        if is_past() or (isinstance(sought, str | bytes) and len(sought) > LONGEST_SOUGHT):
            raise OverflowError  # SQLite reports it as "too big"
        try:
            return plain.execute(call, values).fetchone()[0]
        except sqlite3.Error:
            raise OverflowError from None

    return bounded


def _past(deadline: float) -> Callable[[], bool]:
    return lambda: monotonic() > deadline


class _OnlyReading:
    """The authorizer of one statement, which allows only reading. https://www.sqlite.org/c3ref/c_alter_table.html"""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            return self._function((second or "").lower())
        if action == sqlite3.SQLITE_PRAGMA and first in READABLE_PRAGMAS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
            # SQLite reports this when json_each or pragma_table_info is set up. A real update would need
            # writable_schema.
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def _function(self, name: str) -> int:
        self.calls += DEAR.get(name, 1)
        return sqlite3.SQLITE_OK if name in ALLOWED and self.calls <= MOST_CALLS else sqlite3.SQLITE_DENY
