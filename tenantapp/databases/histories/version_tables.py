"""The table in which Alembic keeps the revision, as it is when many databases are migrated.

Alembic makes the object anew for each database, and SQLAlchemy compiles each new one's statements anew; here one serves
for all. The table in the databases is the same as ever.
"""

from types import new_class
from typing import Any, ClassVar

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Table
from sqlalchemy.engine import Dialect


class _KeptVersionTable(DefaultImpl):
    """What Alembic does on an engine, whose class this is mixed into."""

    version_tables: ClassVar[dict[tuple[Any, ...], Table]]

    def version_table_impl(self, **options: Any) -> Table:
        key = tuple(sorted(options.items()))
        if key not in self.version_tables:
            self.version_tables[key] = super().version_table_impl(**options)
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
