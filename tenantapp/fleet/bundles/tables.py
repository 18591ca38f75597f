"""The tables of a database as they can be carried over: names, columns, kinds, order of rows, counters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine import Connection

from tenantapp.fleet.bundles.kinds import Kind, declared_kind, kind_of
from tenantapp.fleet.errors import NotPortable
from tenantapp.tenancy.models import TenantIdentity

# Each database has its own of these.
OURS: Final = frozenset({"alembic_version", TenantIdentity.__tablename__})
POSTGRES_TABLES: Final = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
"""
# What PostgreSQL keeps that is in no bundle: which table, and why. Partitions are read by way of their table.
NOT_CARRIED: Final = """
SELECT 'the table ' || relname, 'it has row level security' FROM pg_class WHERE relrowsecurity
UNION ALL
SELECT 'the table ' || c.relname, 'it inherits from the table ' || p.relname FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'r'
UNION ALL
SELECT 'the large object ' || min(oid), 'it is no part of a table' FROM pg_largeobject_metadata HAVING count(*) > 0
ORDER BY 1
"""
SQLITE_TABLES: Final = "SELECT type, name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"


@dataclass(frozen=True, slots=True)
class PortableTable:
    """A table, its columns with their kinds (None: no portable form), and the columns that its rows are ordered by.

    Columns that the database computes are left out. ``padded`` are those that it fills up with spaces.
    """

    name: str
    columns: tuple[tuple[str, Kind | None], ...]
    key: tuple[str, ...]
    padded: frozenset[str] = frozenset()

    def kinds(self) -> list[tuple[str, Kind]]:
        """The columns. Raises ``NotPortable`` for the first one without a portable form."""
        for column, kind in self.columns:
            if kind is None:
                raise NotPortable(f"the column {self.name}.{column}", "its type has no portable form")
        return [(column, kind) for column, kind in self.columns if kind is not None]


def not_carried(connection: Connection) -> tuple[str, str] | None:
    """Something in a database that a bundle does not carry, and why, as parts of a sentence; None if it carries all."""
    if connection.dialect.name == "sqlite":
        return None
    found = connection.exec_driver_sql(NOT_CARRIED).first()
    return None if found is None else (found[0], f"{found[1]}, which a bundle does not carry; a backup does")


def portable_tables(connection: Connection, metadata: sa.MetaData) -> list[PortableTable]:
    """The tables that hold a tenant's data, by name. Raises ``NotPortable`` for one that no bundle could hold."""
    inspector = sa.inspect(connection)
    found = []
    for name in sorted(_names(connection)):
        reflected = inspector.get_columns(name)
        columns = tuple(_columns(connection, reflected, metadata.tables.get(name)))
        key = tuple(inspector.get_pk_constraint(name)["constrained_columns"])
        found.append(PortableTable(name, columns, key, _padded(connection, reflected)))
    return found


def counters(connection: Connection, table: PortableTable) -> dict[str, int]:
    """The last number given out of each column that counts by itself and remembers how far it is."""
    if connection.dialect.name == "sqlite":
        return _sqlite_counters(connection, table)
    found: dict[str, int] = {}
    for column, kind in table.columns:
        sequence = sequence_of(connection, table.name, column) if kind == Kind.INTEGER else None
        if sequence is not None:
            asked = f"SELECT last_value, is_called FROM {sequence}"  # noqa: S608 - as the server has written it
            last, called = connection.exec_driver_sql(asked).one()
            found |= {column: last} if called else {}
    return found


def sequence_of(connection: Connection, table: str, column: str) -> str | None:
    """The sequence that a column of a PostgreSQL table takes its numbers from, as it is written in a statement."""
    name: str | None = connection.scalar(
        sa.select(sa.func.pg_get_serial_sequence(as_sent(quoted(connection, table)), column))
    )
    return name


def has_counters(connection: Connection) -> bool:
    """Whether this SQLite file has columns that count by themselves and never give a number twice."""
    return bool(connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").scalar())


def quoted(connection: Connection, identifier: str) -> str:
    """An identifier as it is written in a statement that goes through SQLAlchemy, for which psycopg2 doubles ``%``."""
    return connection.dialect.identifier_preparer.quote_identifier(identifier)


def as_sent(quoted_identifier: str) -> str:
    """The same as the server gets it."""
    return quoted_identifier.replace("%%", "%")


def _names(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        rows = [(kind == "table", name) for kind, name in connection.exec_driver_sql(SQLITE_TABLES)]
    else:
        rows = [(schema == "public", name) for schema, name in connection.exec_driver_sql(POSTGRES_TABLES)]
    for plain, name in rows:
        if name in OURS or name.startswith("sqlite_"):
            continue
        if not plain:
            raise NotPortable(f"the table {name}", "it is a virtual one, or in a schema of its own")
        yield name


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
