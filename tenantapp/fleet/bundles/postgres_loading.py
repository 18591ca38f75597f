"""Load rows into PostgreSQL by COPY, without foreign keys and triggers, which are there again at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg2
from sqlalchemy.engine import Connection

from tenantapp.databases.privileges.giving import everything_allowed
from tenantapp.fleet.bundles.kinds import Kind
from tenantapp.fleet.bundles.manifest import WITH_VIEWS, BundledTable, Manifest
from tenantapp.fleet.bundles.postgres_sequences import set_sequences
from tenantapp.fleet.bundles.postgres_views import refresh_views
from tenantapp.fleet.bundles.tables import PortableTable, as_sent, quoted, sequence_of
from tenantapp.fleet.bundles.values import TO_POSTGRES, convert

CHUNK: Final = 2**18  # bytes to send at once
# https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
NULL: Final = "\\N"
FOREIGN_KEYS: Final = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    || coalesce(format('; COMMENT ON CONSTRAINT %I ON %s IS ', conname, conrelid::regclass)
        || quote_literal(obj_description(oid, 'pg_constraint')), '')
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY conrelid, conname
"""
TRIGGERS: Final = """
SELECT format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname),
    format('ALTER TABLE ONLY %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,
        CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' END, t.tgname)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid AND c.relkind IN ('r', 'p')
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY t.tgrelid, t.tgname
"""


@contextmanager
def constraints_later(connection: Connection, name: str) -> Iterator[None]:
    """Drop foreign keys, disable triggers and allow the owner everything for the block. Adding the keys checks them.

    Rows may refer to each other in a circle, so no order would satisfy the foreign keys. Triggers have fired for these
    rows already. Each gets back its mode: one that is enabled ``ALWAYS`` would fire whatever role replicates.
    """
    found = [tuple(row) for asked in (TRIGGERS, FOREIGN_KEYS) for row in connection.exec_driver_sql(_escaped(asked))]
    with everything_allowed(connection, name):
        for off, _ in found:
            connection.exec_driver_sql(_escaped(off))
        yield
        # In reverse order: a trigger must not fire while a foreign key is added.
        for _, on in reversed(found):
            connection.exec_driver_sql(_escaped(on))


def empty(connection: Connection, tables: Sequence[PortableTable]) -> None:
    """Remove the rows that the migrations have inserted. A rule may keep DELETE from it."""
    for table in tables:
        connection.exec_driver_sql(f"TRUNCATE {table.source(connection)}")


def load_rows(
    connection: Connection,
    target: PortableTable,
    table: BundledTable,
    rows: Iterable[list[Any]],
    progress: Callable[[int], None],
) -> None:
    """Load a table's rows. Raises what ``convert`` raises for a value that does not fit its column."""
    names = ", ".join(quoted(connection, column.name) for column in table.columns)
    columns = f" ({names})" if names else ""
    raw: Any = connection.connection.dbapi_connection
    lines = _Lines(_lines(table, rows), progress)
    try:
        with raw.cursor() as cursor:
            cursor.copy_expert(as_sent(f"COPY {target.words(connection)}{columns} FROM STDIN"), lines)
    except psycopg2.Error:
        if lines.error is not None:
            # psycopg2 ends the COPY, and its error does not have the reason.
            raise lines.error from None
        raise


def finish(connection: Connection, tables: Sequence[PortableTable], manifest: Manifest) -> None:
    """Set the sequences, and compute the materialized views. Raises ``ValueError`` for sequences that do not fit."""
    if not manifest.sequences:
        by_name = {table.name: table for table in tables}
        for bundled in manifest.tables:
            set_counters(connection, by_name[bundled.name], bundled)
    else:
        set_sequences(connection, manifest.sequences)
    refresh_views(connection, manifest.materialized_views if manifest.version >= WITH_VIEWS else None)


def set_counters(connection: Connection, target: PortableTable, table: BundledTable) -> None:
    """Restart the autoincrement columns after the last number issued, and after the highest number in the table."""
    for column in table.columns:
        sequence = sequence_of(connection, target, column.name) if column.type == Kind.INTEGER else None
        if sequence is not None:
            highest = f"SELECT max({quoted(connection, column.name)}) FROM {target.words(connection)}"  # noqa: S608
            last = max(connection.exec_driver_sql(highest).scalar() or 0, table.counters.get(column.name, 0))
            if last > 0:
                connection.exec_driver_sql("SELECT setval(%s, %s)", (sequence, last))


def _lines(table: BundledTable, rows: Iterable[list[Any]]) -> Iterator[bytes]:
    converters = [TO_POSTGRES[column.type] for column in table.columns]
    # Backslashes are doubled, also that of \x before bytes, because COPY removes one.
    for row in rows:
        values = convert(converters, row)
        yield ("\t".join(NULL if v is None else v.translate(ESCAPES) for v in values) + "\n").encode()


class _Lines:
    """The file that COPY reads from."""

    def __init__(self, lines: Iterator[bytes], progress: Callable[[int], None]) -> None:
        self._lines = lines
        self._progress = progress
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            batch = list(self._batch())
            self._progress(len(batch))
        except BaseException as error:
            self.error = error
            raise
        return b"".join(batch)

    def _batch(self) -> Iterator[bytes]:
        """Yield about ``CHUNK`` bytes of rows, or one larger row."""
        size = 0
        for line in self._lines:
            yield line
            size += len(line)
            if size >= CHUNK:
                return


def _escaped(statement: str) -> str:
    return statement.replace("%", "%%")
