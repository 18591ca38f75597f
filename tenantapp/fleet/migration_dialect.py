"""PostgreSQL's dialect for migrations, which need not ask what is known already."""

from typing import Any, Final

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import Connection

DIALECT: Final = "postgresql+tenantapp"  # in a URL
VERSION_TABLE: Final = "alembic_version"
HAS_VERSION_TABLE: Final = "tenantapp_has_version_table"  # in a connection's info


class MigrationDialect(PGDialect_psycopg2):
    """Says the same as its base class."""

    supports_statement_cache = True

    def has_table(self, connection: Connection, table_name: str, schema: str | None = None, **options: Any) -> bool:
        """Whether there is a table or view of this name.

        Alembic asks this of each database first. The join that SQLAlchemy sends for it takes a new backend, whose
        caches of the catalog are empty, longer than to add a column.
        """
        if table_name == VERSION_TABLE and schema is None and connection.info.get(HAS_VERSION_TABLE):
            return True
        return bool(super().has_table(connection, table_name, schema, **options))  # type: ignore[no-untyped-call]


registry.register("postgresql.tenantapp", __name__, MigrationDialect.__name__)
