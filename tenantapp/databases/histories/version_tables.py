"""Alembic's version table, as one object for many databases.

Alembic makes a new table object for each database, and SQLAlchemy compiles the statements of each new object again.
With one shared object they are compiled once. The table in the databases is the same.
"""

from types import new_class
from typing import Any, ClassVar

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Table
from sqlalchemy.engine import Dialect


class _KeptVersionTable(DefaultImpl):
    """Keeps the version table of an engine. It is mixed into Alembic's class for the engine."""

    version_tables: ClassVar[dict[tuple[Any, ...], Table]]

    def version_table_impl(self, **options: Any) -> Table:
        key = tuple(sorted(options.items()))
        if key not in self.version_tables:
            self.version_tables[key] = super().version_table_impl(**options)
        return self.version_tables[key]


def keep_version_tables(dialect: Dialect) -> None:
    """Make Alembic use the same table object for all databases of this engine from now on.

    A class derived from Alembic's present class for the engine is registered, so a class that a builder has registered
    still counts. https://alembic.sqlalchemy.org/en/latest/api/ddl.html
    """
    present = DefaultImpl.get_by_dialect(dialect)
    if not issubclass(present, _KeptVersionTable):
        # Making the class registers it, under the engine of its ``__dialect__``.
        members = {"__dialect__": dialect.name, "version_tables": {}}
        new_class(present.__name__, (_KeptVersionTable, present), exec_body=lambda body: body.update(members))
