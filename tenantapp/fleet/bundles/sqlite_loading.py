"""Load rows into SQLite. Connections for migrations do not enforce foreign keys, which are checked at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from sqlalchemy.engine import Connection

from tenantapp.databases.connections.migration_connections import check_foreign_keys
from tenantapp.fleet.bundles.manifest import BundledTable, Manifest
from tenantapp.fleet.bundles.tables import PortableTable, has_counters, quoted
from tenantapp.fleet.bundles.values import TO_SQLITE, Converter, convert
from tenantapp.fleet.errors import LoadFailed
from tenantapp.sql.full_text import fts_name, is_fts_index, rebuild_statement

BATCH: Final = 100  # rows in memory at once
BATCH_SIZE: Final = 2**20  # characters or bytes of rows in memory at once, or one row


@contextmanager
def constraints_later(connection: Connection, name: str) -> Iterator[None]:
    """Drop the triggers for the block, because they have fired for these rows already. Then check the foreign keys.

    ``name`` is the name of the database in messages. Raises ``LoadFailed``.
    """
    asked = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    triggers = [tuple(row) for row in connection.exec_driver_sql(asked)]
    for trigger, _ in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {quoted(connection, trigger)}")
    yield
    for _, statement in triggers:
        connection.exec_driver_sql(statement)
    for index, statement in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").all():
        if is_fts_index(index, statement):
            connection.exec_driver_sql(rebuild_statement(index.removesuffix(fts_name(""))))
    check_foreign_keys(connection, name, LoadFailed)


def empty(connection: Connection, tables: Sequence[PortableTable]) -> None:
    """Remove the rows that the migrations have inserted."""
    for table in tables:
        connection.exec_driver_sql(f"DELETE FROM {table.source(connection)}")  # noqa: S608


def load_rows(
    connection: Connection,
    target: PortableTable,
    table: BundledTable,
    rows: Iterable[list[Any]],
    progress: Callable[[int], None],
) -> None:
    """Load a table's rows. Raises what ``convert`` raises for a value that does not fit its column."""
    converters = [TO_SQLITE[column.type] for column in table.columns]
    names = ", ".join(quoted(connection, column.name) for column in table.columns)
    places = ", ".join("?" * len(table.columns))
    insert = f"INSERT INTO {target.words(connection)} ({names}) VALUES ({places})"  # noqa: S608
    waiting = iter(rows)
    while batch := list(_batch(converters, waiting)):
        connection.exec_driver_sql(insert, batch)
        progress(len(batch))


def _batch(converters: list[Converter], rows: Iterator[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield up to ``BATCH`` rows, and not many more characters than ``BATCH_SIZE``."""
    size = 0
    for row in islice(rows, BATCH):
        values = tuple(convert(converters, row))
        yield values
        size += sum(len(value) for value in values if isinstance(value, str | bytes))
        if size >= BATCH_SIZE:
            return


def finish(connection: Connection, tables: Sequence[PortableTable], manifest: Manifest) -> None:
    """Set the counters of the tables."""
    for table in manifest.tables:
        set_counters(connection, table)


def set_counters(connection: Connection, table: BundledTable) -> None:
    """Restart the autoincrement after the last number issued. SQLite itself respects the numbers in the table."""
    if not table.counters or not has_counters(connection):
        return
    (last,) = table.counters.values()
    updated = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
    if connection.exec_driver_sql(updated, (last, table.name)).rowcount == 0:
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last))
