"""What a SQLite file holds. Rows are read one after the other, in the order in which they are stored."""

import hashlib
import io
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from sqlalchemy.engine import Connection

from tenantapp.databases.contents.rows import Rows
from tenantapp.databases.errors import ReadingFailed

# What has pages of its own: also the tables behind a virtual one, and sqlite_sequence.
TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage <> 0 ORDER BY name"
# Without what is computed whenever it is read, which is 2 here.
COLUMNS: Final = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden IN (0, 3) ORDER BY cid"
ROW_IDS: Final = ("rowid", "_rowid_", "oid")
BATCH: Final = 500  # rows held at once


def read_sqlite(connection: Connection, name: str, progress: Callable[[int], None]) -> dict[str, Rows]:
    """Each table, within the transaction. Raises ``ReadingFailed``."""
    driver: Any = connection.connection.driver_connection
    try:
        tables = [table for (table,) in driver.execute(TABLES)]
        return {table: _rows(driver, table, progress) for table in tables}
    except sqlite3.Error as error:
        raise ReadingFailed(name, str(error)) from error


def _rows(driver: sqlite3.Connection, table: str, progress: Callable[[int], None]) -> Rows:
    digest, count = hashlib.sha256(), 0
    # NOT INDEXED: an index that covers the columns would be read in place of the table, with the mistakes it may have.
    asked = f"SELECT {', '.join(_columns(driver, table))} FROM {_quoted(table)} NOT INDEXED"  # noqa: S608
    with _texts_as_bytes(driver), closing(driver.execute(asked)) as cursor:
        while batch := cursor.fetchmany(BATCH):
            digest.update(_exactly(batch))
            count += len(batch)
            progress(len(batch))
    return Rows(count, digest.hexdigest())


def _columns(driver: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns, with the number of the row where there is one. Tables behind a virtual one refer to it."""
    names = [name for (name,) in driver.execute(COLUMNS, (table,))]
    taken = {name.lower() for name in names}
    row_id = next((word for word in ROW_IDS if word not in taken and _has(driver, table, word)), None)
    return [*([row_id] if row_id else []), *map(_quoted, names)]


def _has(driver: sqlite3.Connection, table: str, word: str) -> bool:
    try:
        driver.execute(f"SELECT {word} FROM {_quoted(table)} LIMIT 0").close()  # noqa: S608
    except sqlite3.OperationalError:
        return False  # WITHOUT ROWID
    return True


@contextmanager
def _texts_as_bytes(driver: sqlite3.Connection) -> Iterator[None]:
    """Text that is no UTF-8 is compared as well; as a ``bytearray`` it is no BLOB of the same bytes."""
    driver.text_factory = bytearray
    try:
        yield
    finally:
        driver.text_factory = str


def _exactly(rows: list[tuple[Any, ...]]) -> memoryview:
    """Values with their types, in a form that depends on them alone. It is never read again."""
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=5)
    pickler.fast = True  # whether two values are one object is nothing to us
    pickler.dump(rows)
    return written.getbuffer()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
