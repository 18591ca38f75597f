"""What we add to Alembic's classes for the engines: one version table for all databases, and notes of what is done.

Alembic makes a new table object for each database, and SQLAlchemy compiles the statements of each new object again.
With one shared object they are compiled once. The table in the databases is the same.
"""

from collections.abc import Iterable, Iterator
from types import new_class
from typing import TYPE_CHECKING, Any, ClassVar, Final

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Column, String, Table
from sqlalchemy.engine import Dialect

from tenantapp.databases.histories.enums import ENUMS, enum_of, note_enum
from tenantapp.databases.histories.targets import Watch

if TYPE_CHECKING:
    from alembic.operations.batch import ApplyBatchImpl

WATCH: Final = "tenantapp_watch"  # the option of a migration context that has the ``Watch``


class _Extended(DefaultImpl):
    """Alembic's class for an engine is mixed with this one."""

    version_tables: ClassVar[dict[tuple[Any, ...], Table]]

    def version_table_impl(self, **options: Any) -> Table:
        key = tuple(sorted(options.items()))
        if key not in self.version_tables:
            self.version_tables[key] = super().version_table_impl(**options)
        return self.version_tables[key]

    def create_table(self, table: Table, **options: Any) -> None:
        self._prepare_enums(table.columns)
        super().create_table(table, **options)

    def add_column(self, table_name: str, column: Column[Any], **options: Any) -> None:
        self._prepare_enums([column])
        super().add_column(table_name, column, **options)

    def compare_type(self, inspector_column: Column[Any], metadata_column: Column[Any]) -> bool:
        enum, known = enum_of(metadata_column), self.context_opts.get(ENUMS)
        if self.dialect.name == "sqlite" and enum is not None and (known is None or enum.name in known):
            # A text whose length SQLite does not look at. A column that becomes an enumeration has to differ.
            return not isinstance(inspector_column.type, String)
        return super().compare_type(inspector_column, metadata_column)

    def prep_table_for_batch(self, batch_impl: "ApplyBatchImpl", table: Table) -> None:
        super().prep_table_for_batch(batch_impl, table)
        watch: Watch | None = self.context_opts.get(WATCH)
        if watch is not None:
            watch.note_batch(table.fullname, _dropped(batch_impl, table))

    def _prepare_enums(self, columns: Iterable[Column[Any]]) -> None:
        """Note the enumerations of columns, and make the types that PostgreSQL lacks.

        By itself Alembic makes none for a column that is added, and always one for a table, which fails if an earlier
        run has made it.
        """
        for enum in filter(None, map(enum_of, columns)):
            note_enum(self.context_opts.get(ENUMS), str(enum.name), enum.enums)
            if self.dialect.name == "postgresql" and not self.as_sql and self.connection is not None:
                enum.create(self.connection, checkfirst=True)
                # Where SQLAlchemy notes the types that it has made in a run.
                made = f"pg_{enum.dialect_impl(self.dialect).__visit_name__}"
                self.memo.setdefault(made, set()).add((enum.schema, enum.name))


def _dropped(batch: "ApplyBatchImpl", table: Table) -> Iterator[str]:
    """Yield what the operations in this batch drop from a table, of what Alembic knows of it."""
    yield from (f"column {name}" for name in table.columns.keys() - batch.columns.keys())
    yield from (f"index {name}" for name in {index.name for index in table.indexes} - batch.indexes.keys())
    constraints = {constraint.name for constraint in table.constraints if constraint.name}
    yield from (f"constraint {name}" for name in constraints - batch.named_constraints.keys())


def extend_engine_class(dialect: Dialect) -> None:
    """Make Alembic use our additions for all databases of this engine from now on.

    A class derived from Alembic's present class for the engine is registered, so a class that a builder has registered
    still counts. https://alembic.sqlalchemy.org/en/latest/api/ddl.html
    """
    present = DefaultImpl.get_by_dialect(dialect)
    if not issubclass(present, _Extended):
        # Making the class registers it, under the engine of its ``__dialect__``.
        members = {"__dialect__": dialect.name, "version_tables": {}}
        new_class(present.__name__, (_Extended, present), exec_body=lambda body: body.update(members))
