"""Whether the models and the migrations of the tenants' databases agree."""

import warnings
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext

from tenantapp.databases.histories.full_text import include_object
from tenantapp.databases.histories.histories import tenant_metadata


class MigrationsDiffer(AssertionError):
    """The models are not what the migrations make. The text has what a revision would do."""


def check_migrations(installation: Any) -> None:
    """Compare the models with the database of the first tenant. Raises ``MigrationsDiffer``."""
    registry = installation.registry
    with registry.tenant_dbs.begin(installation.local_access(), read_only=True) as session, warnings.catch_warnings():
        # SQLAlchemy does not read indexes on expressions from SQLite, and nobody compares them.
        warnings.filterwarnings("ignore", ".*expression-based index")
        context = MigrationContext.configure(session.connection(), opts={"include_object": include_object})
        found = produce_migrations(context, tenant_metadata(registry.app_settings)).upgrade_ops
    if found is not None and not found.is_empty():
        raise MigrationsDiffer(
            "The models are not what the migrations make. Run `tenantapp revision tenant -m TEXT`, which writes:\n"
            + render_python_code(found)
        )
