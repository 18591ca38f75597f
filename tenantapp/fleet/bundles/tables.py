"""Describe the tables of a database for a bundle: names, columns, kinds, order of rows, counters."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SAWarning

from tenantapp.fleet.bundles.kinds import Kind, declared_kind, kind_of
from tenantapp.fleet.errors import NotPortable
from tenantapp.sql.full_text import is_fts_index
from tenantapp.tenancy.models import TenantIdentity

# Every database has its own, so a bundle does not carry them.
OURS: Final = frozenset({"alembic_version", TenantIdentity.__tablename__})
POSTGRES_TABLES: Final = """
SELECT n.nspname, c.relname, c.relkind = 'r' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
"""
# What a bundle does not carry, and why. Partitions are read through their partitioned table.
NOT_CARRIED: Final = """
SELECT 'the table ' || relname, 'it has row level security' FROM pg_class WHERE relrowsecurity
UNION ALL
SELECT 'the large object ' || min(oid), 'it is no part of a table' FROM pg_largeobject_metadata HAVING count(*) > 0
ORDER BY 1
"""
SQLITE_TABLES: Final = """
SELECT l.type, l.name, m.sql FROM pragma_table_list l LEFT JOIN sqlite_master m ON m.name = l.name
WHERE l.schema = 'main' AND l.type IN ('table', 'virtual')
"""


@dataclass(frozen=True, slots=True)
class PortableTable:
    """A table: its columns with their kinds (None: no portable form), and the columns that order its rows.

    Computed columns are left out. ``padded`` are the columns of type CHAR, which PostgreSQL pads with spaces. ``alone``
    says that other tables may inherit from it, which have their rows themselves.
    """

    name: str
    columns: tuple[tuple[str, Kind | None], ...]
    key: tuple[str, ...]
    padded: frozenset[str] = frozenset()
    alone: bool = False

    def source(self, connection: Connection) -> str:
        """Return the table as a statement names it, to read or to empty its own rows."""
        return ("ONLY " if self.alone else "") + quoted(connection, self.name)

    def kinds(self) -> list[tuple[str, Kind]]:
        """Return the columns and their kinds. Raises ``NotPortable`` for the first column without a portable form."""
        for column, kind in self.columns:
            if kind is None:
                raise NotPortable(f"the column {self.name}.{column}", "its type has no portable form")
        return [(column, kind) for column, kind in self.columns if kind is not None]


def not_carried(connection: Connection) -> tuple[str, str] | None:
    """Return something that a bundle does not carry and why, two parts of a sentence, or None if it carries all."""
    if connection.dialect.name == "sqlite":
        return None
    found = connection.exec_driver_sql(NOT_CARRIED).first()
    return None if found is None else (found[0], f"{found[1]}, which a bundle does not carry; a backup does")


def portable_tables(connection: Connection, metadata: sa.MetaData) -> list[PortableTable]:
    """Return the tables with a tenant's data, by name. Raises ``NotPortable`` for a table that a bundle cannot hold."""
    inspector = sa.inspect(connection)
    found = []
    for name, alone in sorted(_names(connection)):
        reflected = _reflected(inspector, name)
        columns = tuple(_columns(connection, reflected, metadata.tables.get(name)))
        key = tuple(inspector.get_pk_constraint(name)["constrained_columns"])
        found.append(PortableTable(name, columns, key, _padded(connection, reflected), alone))
    return found


def counters(connection: Connection, table: PortableTable) -> dict[str, int]:
    """Return the last number issued, by the name of the column, for autoincrement columns that keep it."""
    if connection.dialect.name == "sqlite":
        return _sqlite_counters(connection, table)
    found: dict[str, int] = {}
    for column, kind in table.columns:
        sequence = sequence_of(connection, table.name, column) if kind == Kind.INTEGER else None
        if sequence is not None:
            asked = f"SELECT last_value, is_called FROM {sequence}"  # noqa: S608 - the server quoted it
            last, called = connection.exec_driver_sql(asked).one()
            found |= {column: last} if called else {}
    return found


def sequence_of(connection: Connection, table: str, column: str) -> str | None:
    """Return the name of a PostgreSQL column's sequence, quoted for a statement, or None if it has none."""
    name: str | None = connection.scalar(
        sa.select(sa.func.pg_get_serial_sequence(as_sent(quoted(connection, table)), column))
    )
    return name


def has_counters(connection: Connection) -> bool:
    """Return whether this SQLite file has AUTOINCREMENT columns."""
    return bool(connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").scalar())


def quoted(connection: Connection, identifier: str) -> str:
    """Return an identifier quoted for a statement that SQLAlchemy sends. On psycopg2 this doubles ``%``."""
    return connection.dialect.identifier_preparer.quote_identifier(identifier)


def as_sent(quoted_identifier: str) -> str:
    """Return a quoted identifier as the server gets it, with ``%`` not doubled."""
    return quoted_identifier.replace("%%", "%")


def _names(connection: Connection) -> Iterator[tuple[str, bool]]:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(SQLITE_TABLES).all()
        # An index of words is made again from the words.
        rows = [(kind == "table", name, False) for kind, name, sql in found if not is_fts_index(name, sql)]
    else:
        tables = connection.exec_driver_sql(POSTGRES_TABLES)
        rows = [(schema == "public", name, alone) for schema, name, alone in tables]
    for plain, name, alone in rows:
        if name in OURS or name.startswith("sqlite_"):
            continue
        if not plain:
            raise NotPortable(f"the table {name}", "it is virtual, or in a schema other than public")
        yield name, alone


def _reflected(inspector: sa.Inspector, table: str) -> Any:
    with warnings.catch_warnings():
        # Such a column is refused, or left to the server.
        warnings.filterwarnings("ignore", "Did not recognize type", SAWarning)
        return inspector.get_columns(table)


def _columns(connection: Connection, columns: Any, model: sa.Table | None) -> Iterator[tuple[str, Kind | None]]:
    dialect = connection.dialect
    for column in columns:
        if "computed" in column:
            continue
        kind = column["type"]
        if isinstance(kind, DOMAIN):
            kind = kind.data_type
        if dialect.name == "sqlite":
            ours = None if model is None else model.columns.get(column["name"])
            yield column["name"], declared_kind(ours, kind, dialect)
        else:
            yield column["name"], kind_of(kind, dialect)


def _padded(connection: Connection, columns: Any) -> frozenset[str]:
    if connection.dialect.name == "sqlite":
        return frozenset()
    return frozenset(column["name"] for column in columns if isinstance(column["type"], sa.CHAR))


def _sqlite_counters(connection: Connection, table: PortableTable) -> dict[str, int]:
    if len(table.key) != 1 or not has_counters(connection):
        return {}
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).scalar()
    return {} if last is None else {table.key[0]: last}
