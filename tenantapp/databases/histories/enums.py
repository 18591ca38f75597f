"""Enumerations in migrations: operations that a revision calls, and that autogenerate writes into one.

    enums.create_enum("color", ["red", "green"])
    enums.set_enum_values("color", ["red", "yellow", "green"])
    enums.drop_enum("color")

PostgreSQL has a type for each ``sa.Enum`` that is native, and Alembic sees neither a new type nor a new value. On
SQLite an enumeration is a text, and there is nothing to do. So a database cannot tell its values there: the run of the
history notes them in ``Enums``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from alembic import op
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.util import CommandError, DispatchPriority
from sqlalchemy import ARRAY, Column, Enum, MetaData, text
from sqlalchemy.engine import Connection

Enums = dict[str, list[str]]
"""The values of each enumeration, in their order."""
ENUMS: Final = "tenantapp_enums"  # the option of a migration context that has the ``Enums`` of the run
IMPORT: Final = "from tenantapp.databases.histories import enums"
FOUND: Final = """
SELECT typname, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_type t JOIN pg_enum ON enumtypid = t.oid
WHERE pg_type_is_visible(t.oid) AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
GROUP BY typname
"""
# The columns of a type and of its arrays: table, column, the suffix of the type, and the default.
USES: Final = """
SELECT attrelid::regclass::text, quote_ident(attname), CASE atttypid WHEN t.typarray THEN '[]' ELSE '' END,
    pg_get_expr(adbin, adrelid)
FROM pg_type t JOIN pg_attribute ON atttypid IN (t.oid, t.typarray) AND NOT attisdropped
JOIN pg_class c ON c.oid = attrelid AND relkind IN ('r', 'p') AND NOT relispartition
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE t.oid = to_regtype(:name)
"""


class _EnumOperation(MigrateOperation):
    """What the operations have in common. ``values`` are those of the enumeration afterwards, and ``was`` before."""

    name: str

    def __init__(self, enum: str, values: Sequence[str], was: Sequence[str] = ()) -> None:
        self.enum, self.values, self.was = enum, list(values), list(was)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the difference as ``alembic check`` prints it."""
        return (self.name, self.enum, self.values)


class CreateEnum(_EnumOperation):
    """The type of an enumeration is made, unless it is there."""

    name = "create_enum"

    def reverse(self) -> MigrateOperation:
        """Return the operation of the downgrade."""
        return DropEnum(self.enum, (), self.values)


class DropEnum(_EnumOperation):
    """The type of an enumeration is removed."""

    name = "drop_enum"

    def reverse(self) -> MigrateOperation:
        """Return the operation of the downgrade."""
        return CreateEnum(self.enum, self.was)


class SetEnumValues(_EnumOperation):
    """An enumeration gets these values."""

    name = "set_enum_values"

    def reverse(self) -> MigrateOperation:
        """Return the operation of the downgrade."""
        return SetEnumValues(self.enum, self.was, self.values)


def create_enum(enum: str, values: Sequence[str]) -> None:
    """Make the type of an enumeration in a migration, unless it is there."""
    op.invoke(CreateEnum(enum, values))


def drop_enum(enum: str) -> None:
    """Remove the type of an enumeration in a migration, once no column has it any more."""
    op.invoke(DropEnum(enum, ()))


def set_enum_values(enum: str, values: Sequence[str]) -> None:
    """Give an enumeration these values in a migration.

    If some are removed or reordered, a new type replaces the old one in all columns.
    """
    op.invoke(SetEnumValues(enum, values))


@Operations.implementation_for(CreateEnum)
@Operations.implementation_for(SetEnumValues)
@Operations.implementation_for(DropEnum)
def _carry_out(operations: Operations, operation: _EnumOperation) -> None:
    context = operations.get_context()
    note_enum(context.opts.get(ENUMS), operation.enum, operation.values)
    if context.as_sql and isinstance(operation, SetEnumValues):
        raise CommandError("set_enum_values has to ask the database for the values that it has.")
    if context.dialect.name == "postgresql":
        found = None if context.as_sql else _enums_in(operations.get_bind()).get(operation.enum)
        for statement in _statements(operations.get_bind(), operation, found):
            operations.execute(text(statement.replace(":", "\\:")))


@renderers.dispatch_for(CreateEnum)
@renderers.dispatch_for(SetEnumValues)
@renderers.dispatch_for(DropEnum)
def _render(context: AutogenContext, operation: _EnumOperation) -> str:
    context.imports.add(IMPORT)
    values = f", {operation.values!r}" if operation.values else ""
    return f"enums.{operation.name}({operation.enum!r}{values})"


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, schemas: Any) -> None:
    metadata, connection = context.metadata, context.connection
    if not isinstance(metadata, MetaData) or connection is None:
        return
    is_postgres = connection.dialect.name == "postgresql"
    found = _enums_in(connection) if is_postgres else context.opts.get(ENUMS)
    if found is None:
        return
    wanted: Enums = {}
    for table in metadata.tables.values():
        for column in table.columns:
            enum = enum_of(column)
            if enum is not None:
                note_enum(wanted, str(enum.name), enum.enums)
    # Types come before the columns that have them, and go after them. A downgrade runs in reverse.
    for name in sorted(wanted.keys() - found.keys(), reverse=True):
        upgrade.ops.insert(0, CreateEnum(name, wanted[name]))
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name] != found[name]:
            upgrade.ops.insert(0, SetEnumValues(name, wanted[name], found[name]))
    # Not those that a revision has made in SQL, for something else than a model.
    for name in sorted((found.keys() & (context.opts.get(ENUMS) or {}).keys()) - wanted.keys()):
        upgrade.ops.append(DropEnum(name, (), found[name]))


def enum_of(column: Column[Any]) -> Enum | None:
    """Return the enumeration for which PostgreSQL needs a type, if the column has one."""
    kind = column.type.item_type if isinstance(column.type, ARRAY) else column.type
    return kind if isinstance(kind, Enum) and kind.native_enum and kind.name and kind.schema is None else None


def note_enum(enums: Enums | None, name: str, values: Sequence[str]) -> None:
    """Note the values that an enumeration has from now on. Without values it is gone."""
    if enums is not None:
        enums.pop(name, None)
        if values:
            enums[name] = list(values)


def _enums_in(connection: Connection) -> Enums:
    return {name: list(values) for name, values in connection.exec_driver_sql(FOUND)}


def _statements(connection: Connection, operation: _EnumOperation, found: list[str] | None) -> Iterator[str]:
    name, values = connection.dialect.identifier_preparer.quote(operation.enum), operation.values
    if isinstance(operation, DropEnum):
        yield f"DROP TYPE IF EXISTS {name}"
    elif found is None:
        yield f"CREATE TYPE {name} AS ENUM ({', '.join(map(_literal, values))})"
    elif isinstance(operation, SetEnumValues) and found == [value for value in values if value in found]:
        for number, value in enumerate(values):
            if value not in found:
                place = f"AFTER {_literal(values[number - 1])}" if number else f"BEFORE {_literal(found[0])}"
                yield f"ALTER TYPE {name} ADD VALUE {_literal(value)} {place}"
    elif isinstance(operation, SetEnumValues):
        yield from _replacing(connection, name, values)


def _replacing(connection: Connection, name: str, values: Sequence[str]) -> Iterator[str]:
    """Yield statements that put a new type in the place of the old one. They fail if a row has a value that is gone."""
    uses = connection.execute(text(USES), {"name": name}).all()
    old = connection.dialect.identifier_preparer.quote(f"{name.strip(chr(34))}_old")
    yield f"ALTER TYPE {name} RENAME TO {old}"
    yield f"CREATE TYPE {name} AS ENUM ({', '.join(map(_literal, values))})"
    for table, column, suffix, default in uses:
        if default is not None:
            yield f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT"
        using = f"{column}::text{suffix}::{name}{suffix}"
        yield f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {name}{suffix} USING {using}"
        if default is not None:
            yield f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}"
    yield f"DROP TYPE {old}"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
