"""Migrating the databases, as a program does it."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.histories import History, head_revision
from tenantapp.databases.histories.targets import Target, tenant_target, user_target
from tenantapp.databases.histories.user_database import make_user_database
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory


def upgrade_user_database(settings: Settings) -> str:
    """Migrate the user database to the newest revision, and return it. The database is made if it is missing.

    Raises ``HistoryError``, ``DatabaseUnreachable``, ``DatabaseBusy``, ``ProvisioningFailed`` and ``MigrationFailed``.
    """
    make_user_database(settings)
    return upgrade(settings, "user", user_target(settings))


def upgrade_tenant_database(fleet: Fleet, place: TenantPlace) -> str:
    """Migrate a tenant's database to the newest revision, note it in the user database, and return it.

    Raises ``HistoryError``, ``DatabaseUnreachable``, ``DatabaseBusy``, ``MigrationFailed``, ``ServerError`` for a
    server that is not in the settings, and ``UserDatabaseUnavailable`` after the migration.
    """
    return upgrade(fleet.settings, "tenant", tenant_target(fleet, place))


def upgrade(settings: Settings, history: History, target: Target) -> str:
    """Migrate any database to the newest revision of a history, and return it."""
    head = head_revision(settings, history)
    upgrade_to(settings, history, target, head)
    return head


def upgrade_to(settings: Settings, history: History, target: Target, revision: str) -> None:
    """Migrate any database up to this revision of a history."""

    def run(config: Config) -> None:
        command.upgrade(config, revision)

    run_command(settings, history, target, run)


def current_revision(database: DBFactory) -> str | None:
    """The revision a database says it has, None when it was never migrated. Raises what the ``DBFactory`` does."""
    with database.begin(read_only=True) as session:
        return MigrationContext.configure(session.connection()).get_current_revision()
