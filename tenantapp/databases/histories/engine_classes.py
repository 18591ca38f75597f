"""What we add to Alembic's classes for the engines: one version table for all databases, and who watches a revision.

Alembic makes a new table object for each database, and SQLAlchemy compiles the statements of each new object again.
With one shared object they are compiled once. The table in the databases is the same.
"""

from collections.abc import Iterator
from types import new_class
from typing import TYPE_CHECKING, Any, ClassVar, Final

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Table
from sqlalchemy.engine import Dialect

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

    def prep_table_for_batch(self, batch_impl: "ApplyBatchImpl", table: Table) -> None:
        super().prep_table_for_batch(batch_impl, table)
        watch: Watch | None = self.context_opts.get(WATCH)
        if watch is not None:
            watch.note_batch(table.fullname, _dropped(batch_impl, table))


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
