"""Describe the tables of a database for a bundle: names, columns, kinds, order of rows, counters."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SAWarning

from tenantapp.fleet.bundles.kinds import Kind, declared_kind, kind_of
from tenantapp.fleet.bundles.postgres_types import carried_types
from tenantapp.fleet.errors import NotPortable
from tenantapp.sql.full_text import is_fts_index
from tenantapp.tenancy.models import TenantIdentity

# Every database has its own, so a bundle does not carry them.
PUBLIC: Final = "public"
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

    ``name`` begins with the ``schema``, unless that is ``public``. Computed columns are left out. ``padded`` are the
    columns of type CHAR, which PostgreSQL pads with spaces, and ``unscaled`` those that keep the zeros at the end of a
    decimal. ``others`` are PostgreSQL's types of the columns that have the kind ``OTHER``. ``alone`` says that other
    tables may inherit from it, which have their rows themselves.
    """

    schema: str | None
    bare_name: str
    columns: tuple[tuple[str, Kind | None], ...]
    key: tuple[str, ...]
    padded: frozenset[str] = frozenset()
    unscaled: frozenset[str] = frozenset()
    others: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False

    @property
    def name(self) -> str:
        """Return the name in a bundle."""
        return self.bare_name if self.schema in (None, PUBLIC) else f"{self.schema}.{self.bare_name}"

    def words(self, connection: Connection) -> str:
        """Return the table as a statement names it."""
        schema = "" if self.schema is None else f"{quoted(connection, self.schema)}."
        return schema + quoted(connection, self.bare_name)

    def source(self, connection: Connection) -> str:
        """Return the table as a statement names it, to read or to empty its own rows."""
        return ("ONLY " if self.alone else "") + self.words(connection)

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
    inspector, found = sa.inspect(connection), []
    carried = carried_types(connection) if connection.dialect.name == "postgresql" else {}
    for schema, name, alone in _names(connection):
        reflected = _reflected(inspector, name, schema)
        own = metadata.tables.get(name) if schema in (None, PUBLIC) else None
        columns, others = _columns(connection, reflected, own, carried.get((schema or "", name), {}))
        anything = _of_any_type(connection, name)
        columns = tuple((column, None if column in anything else kind) for column, kind in columns)
        found.append(
            PortableTable(
                schema,
                name,
                columns,
                key=tuple(inspector.get_pk_constraint(name, schema)["constrained_columns"]),
                padded=_padded(connection, reflected),
                unscaled=_unscaled(connection, reflected),
                others=others,
                alone=alone,
            )
        )
    by_name = {table.name: table for table in found}
    if len(by_name) < len(found):
        raise NotPortable("two tables", "one has the name of the other and its schema")
    return [by_name[name] for name in sorted(by_name)]


def counters(connection: Connection, table: PortableTable) -> dict[str, int]:
    """Return the last number issued, by the name of the column, for autoincrement columns that keep it."""
    if connection.dialect.name == "sqlite":
        return _sqlite_counters(connection, table)
    found: dict[str, int] = {}
    for column, kind in table.columns:
        sequence = sequence_of(connection, table, column) if kind == Kind.INTEGER else None
        if sequence is not None:
            asked = f"SELECT last_value, is_called FROM {sequence}"  # noqa: S608 - the server quoted it
            last, called = connection.exec_driver_sql(asked).one()
            found |= {column: last} if called else {}
    return found


def sequence_of(connection: Connection, table: PortableTable, column: str) -> str | None:
    """Return the name of a PostgreSQL column's sequence, quoted for a statement, or None if it has none."""
    name: str | None = connection.scalar(
        sa.select(sa.func.pg_get_serial_sequence(as_sent(table.words(connection)), column))
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


def _names(connection: Connection) -> Iterator[tuple[str | None, str, bool]]:
    """Yield for each table its schema on PostgreSQL, its name, and whether it is read alone."""
    if connection.dialect.name == "sqlite":
        for kind, name, sql in connection.exec_driver_sql(SQLITE_TABLES).all():
            # An index of words is made again from the words.
            if name in OURS or name.startswith("sqlite_") or is_fts_index(name, sql):
                continue
            if kind != "table":
                raise NotPortable(f"the table {name}", "it is virtual")
            yield None, name, False
    else:
        for schema, name, alone in connection.exec_driver_sql(POSTGRES_TABLES).all():
            if schema != PUBLIC or name not in OURS:
                yield schema, name, alone


def _reflected(inspector: sa.Inspector, table: str, schema: str | None) -> Any:
    with warnings.catch_warnings():
        # Such a column is refused, or its values are text.
        warnings.filterwarnings("ignore", "Did not recognize type", SAWarning)
        return inspector.get_columns(table, schema)


def _columns(
    connection: Connection, columns: Any, model: sa.Table | None, carried: Mapping[str, str]
) -> tuple[tuple[tuple[str, Kind | None], ...], dict[str, str]]:
    """Return the columns with their kinds, and the types of those that have the kind ``OTHER``."""
    kinds = dict(_kinds(connection, columns, model))
    others = {name: carried[name] for name, kind in kinds.items() if kind is None and name in carried}
    return tuple((kinds | dict.fromkeys(others, Kind.OTHER)).items()), others


def _of_any_type(connection: Connection, table: str) -> frozenset[str]:
    """Return the columns that keep each value as it is given: a number in one row, and its digits as text in another.

    https://www.sqlite.org/stricttables.html
    """
    if connection.dialect.name != "sqlite":
        return frozenset()
    found = connection.exec_driver_sql("SELECT name FROM pragma_table_xinfo(?) WHERE upper(type) = 'ANY'", (table,))
    return frozenset(found.scalars())


def _kinds(connection: Connection, columns: Any, model: sa.Table | None) -> Iterator[tuple[str, Kind | None]]:
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


def _unscaled(connection: Connection, columns: Any) -> frozenset[str]:
    if connection.dialect.name == "sqlite":
        return frozenset()
    numbers = [column for column in columns if isinstance(column["type"], sa.Numeric)]
    return frozenset(column["name"] for column in numbers if column["type"].scale is None)


def _sqlite_counters(connection: Connection, table: PortableTable) -> dict[str, int]:
    if len(table.key) != 1 or not has_counters(connection):
        return {}
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).scalar()
    return {} if last is None else {table.key[0]: last}
