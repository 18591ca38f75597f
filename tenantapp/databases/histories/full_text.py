"""Full text in migrations: operations that a revision calls, and that autogenerate writes into one.

    op.create_full_text("nodes", ["title", "body"])
    op.drop_full_text("nodes")

The table of the words, ``nodes_words``, is made and dropped by the usual operations. These are about its index, which
is another thing on each engine, and about the words of the rows that are there already.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority
from sqlalchemy import MetaData
from sqlalchemy.engine import Connection

from tenantapp.sql.full_text import create_statements, drop_statements, fts_name, index_name
from tenantapp.tenancy.searching import fill_words, words_name, words_tables

SHADOWS: Final = ("", "_config", "_content", "_data", "_docsize", "_idx")  # of an FTS5 table
# The tables that have an index of words, by what create_statements calls it.
FOUND: Final = {
    "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'i' AND pg_table_is_visible(oid)",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'",
}


@Operations.register_operation("create_full_text")
class CreateFullText(MigrateOperation):
    """Index the words of a table, and write those of its rows. ``columns`` have the texts."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self.table, self.columns = table, list(columns)

    @classmethod
    def create_full_text(cls, operations: Operations, table: str, columns: Sequence[str]) -> None:
        """Do it in a migration."""
        operations.invoke(cls(table, columns))

    def reverse(self) -> MigrateOperation:
        """Return the operation of the downgrade."""
        return DropFullText(self.table, self.columns)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the difference as ``alembic check`` prints it."""
        return ("create_full_text", self.table, self.columns)


@Operations.register_operation("drop_full_text")
class DropFullText(MigrateOperation):
    """Remove the index of the words of a table. ``columns`` had the texts, as far as is known."""

    def __init__(self, table: str, columns: Sequence[str] = ()) -> None:
        self.table, self.columns = table, list(columns)

    @classmethod
    def drop_full_text(cls, operations: Operations, table: str) -> None:
        """Do it in a migration."""
        operations.invoke(cls(table))

    def reverse(self) -> MigrateOperation:
        """Return the operation of the downgrade."""
        return CreateFullText(self.table, self.columns)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the difference as ``alembic check`` prints it."""
        return ("drop_full_text", self.table)


@Operations.implementation_for(CreateFullText)
def _create(operations: Operations, operation: CreateFullText) -> None:
    context, words = operations.get_context(), words_name(operation.table)
    for statement in create_statements(words, context.dialect.name):
        operations.execute(statement)
    if not context.as_sql:
        fill_words(operations.get_bind(), operation.table, operation.columns)


@Operations.implementation_for(DropFullText)
def _drop(operations: Operations, operation: DropFullText) -> None:
    for statement in drop_statements(words_name(operation.table), operations.get_context().dialect.name):
        operations.execute(statement)


@renderers.dispatch_for(CreateFullText)
def _render_create(context: AutogenContext, operation: CreateFullText) -> str:
    return f"op.create_full_text({operation.table!r}, {operation.columns!r})"


@renderers.dispatch_for(DropFullText)
def _render_drop(context: AutogenContext, operation: DropFullText) -> str:
    return f"op.drop_full_text({operation.table!r})"


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, schemas: Any) -> None:
    metadata, connection = context.metadata, context.connection
    if not isinstance(metadata, MetaData) or connection is None:
        return
    wanted, found = words_tables(metadata), set(_indexed(connection))
    for name in sorted(found - wanted.keys()):
        # Before the table of the words is dropped. A downgrade runs in reverse.
        upgrade.ops.insert(0, DropFullText(name))
    for name in sorted(wanted.keys() - found):
        upgrade.ops.append(CreateFullText(name, wanted[name]))


def include_object(object_: Any, name: str | None, kind: str, reflected: bool, compared_to: Any) -> bool:
    """Return whether autogenerate looks at an object: not at the indexes of words, which models do not declare."""
    if not reflected or compared_to is not None or name is None:
        return True
    if kind == "index":
        return name != index_name(str(object_.table.name)) or not str(object_.table.name).endswith(words_name(""))
    return kind != "table" or not name.endswith(tuple(fts_name(words_name("")) + shadow for shadow in SHADOWS))


def _indexed(connection: Connection) -> Iterator[str]:
    """Yield the names of the tables whose words are indexed."""
    postgres = connection.dialect.name == "postgresql"
    before, after = index_name(f"|{words_name('')}").split("|") if postgres else ("", fts_name(words_name("")))
    for name in connection.exec_driver_sql(FOUND[connection.dialect.name]).scalars():
        if name.startswith(before) and name.endswith(after):
            yield name.removeprefix(before).removesuffix(after)
