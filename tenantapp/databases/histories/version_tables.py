"""The table in which Alembic keeps the revision, as it is when many databases are migrated.

Alembic makes the object anew for each database, and SQLAlchemy compiles each new one's statements anew; here one serves
for all. The table in the databases is the same as ever.
"""

from types import new_class
from typing import Any, ClassVar

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import ColumnElement, String, Table, Text, cast
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.operators import OperatorType, eq


class _Revision(String):
    """A VARCHAR that is compared as TEXT.

    PostgreSQL has no "=" for VARCHAR. To find out which of the many there are fits takes a new backend, whose caches of
    the catalog are empty, longer than to add a column.
    """

    cache_ok = True

    class Comparator(String.Comparator[str]):
        def operate(self, op: OperatorType, *other: Any, **options: Any) -> ColumnElement[Any]:
            if op is not eq:
                return super().operate(op, *other, **options)
            return cast(self.expr, Text).operate(op, *other, **options)

    comparator_factory = Comparator


class _KeptVersionTable(DefaultImpl):
    """What Alembic does on an engine, whose class this is mixed into."""

    version_tables: ClassVar[dict[tuple[Any, ...], Table]]

    def version_table_impl(self, **options: Any) -> Table:
        key = tuple(sorted(options.items()))
        if key not in self.version_tables:
            table = self.version_tables[key] = super().version_table_impl(**options)
            revision = table.c.version_num
            if self.dialect.name == "postgresql" and type(revision.type) is String:
                revision.type = _Revision(revision.type.length)
        return self.version_tables[key]


def keep_version_tables(dialect: Dialect) -> None:
    """Have Alembic use the same table for each database of this engine from now on.

    Its class for the engine is derived from, so that one which a builder has registered still counts.
    https://alembic.sqlalchemy.org/en/latest/api/ddl.html
    """
    present = DefaultImpl.get_by_dialect(dialect)
    if not issubclass(present, _KeptVersionTable):
        # It is registered when it is made, for what the attribute says.
        members = {"__dialect__": dialect.name, "version_tables": {}}
        new_class(present.__name__, (_KeptVersionTable, present), exec_body=lambda body: body.update(members))
