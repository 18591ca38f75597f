"""Migrating databases from a program."""

from functools import partial

from alembic import command
from alembic.runtime.migration import MigrationContext

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.histories import head_revision, heads_of, history_digest, script_directory
from tenantapp.databases.histories.oldest_program import Left, first_to_leave
from tenantapp.databases.histories.targets import Target, tenant_target, user_target
from tenantapp.databases.histories.user_database import make_user_database
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory


def upgrade_user_database(settings: Settings) -> str:
    """Migrate the user database to the newest revision, and return the revision. Make the database if it is missing.

    Raises ``HistoryError``, ``DatabaseUnreachable``, ``DatabaseBusy``, ``ProvisioningFailed`` and ``MigrationFailed``.
    """
    make_user_database(settings)
    return upgrade(user_target(settings))


def expand_user_database(settings: Settings) -> tuple[str, Left | None]:
    """Migrate the user database as far as programs of earlier versions can work with it, which may be running.

    Return the revision, and what is left to be run when they run no more. A database without tables gets all of them.
    Raises what ``upgrade_user_database`` raises.
    """
    make_user_database(settings)
    target, head = user_target(settings), head_revision(settings, "user")
    with migration_connection(target.url, target.name) as connection:
        found = next(iter(heads_of(connection)), None)
    script = script_directory(settings, "user")
    if found is None or found not in history_digest(settings, "user").revisions:
        return upgrade(target), None  # one that is not known is refused by Alembic
    if (stop := first_to_leave(script, found, head)) is None:
        return upgrade(target), None
    revision, left = stop
    if revision != found:
        upgrade_to(target, revision)
    return revision, left


def upgrade_tenant_database(fleet: Fleet, place: TenantPlace) -> str:
    """Migrate a tenant database to the newest revision, record it in the user database, and return it.

    Raises ``HistoryError``, ``DatabaseUnreachable``, ``DatabaseBusy``, ``MigrationFailed``, ``ServerError`` if the
    settings do not name the server, and ``UserDatabaseUnavailable`` after the migration.
    """
    return upgrade(tenant_target(fleet, place, record=True))


@checkpoint("database.upgrade")
def upgrade(target: Target) -> str:
    """Migrate any database to the newest revision of its history, and return the revision."""
    head = head_revision(target.settings, target.history)
    upgrade_to(target, head)
    return head


def upgrade_to(target: Target, revision: str) -> None:
    """Migrate any database up to this revision of its history."""
    run_command(target, partial(command.upgrade, revision=revision))


def current_revision(database: DBFactory) -> str | None:
    """Return the revision that a database records, or None if it was never migrated.

    Raises what the ``DBFactory`` raises.
    """
    with database.begin(read_only=True) as session:
        return MigrationContext.configure(session.connection()).get_current_revision()
