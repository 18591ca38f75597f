"""Making the user database, without any tables."""

from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import (
    MAINTENANCE_DATABASE,
    advisory_lock,
    maintenance_connection,
)
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.errors import DatabaseUnreachable, ProvisioningFailed
from tenantapp.settings import Settings

NAME: Final = "the user database"
LOCK: Final = "tenantapp user database"
# One that somebody has closed by hand has privileges.
UNOPENED: Final = "SELECT NOT datallowconn AND datacl IS NULL FROM pg_database WHERE datname = %s"


def make_user_database(settings: Settings) -> None:
    """Make the user database if it is missing: the directory of the SQLite file, or the PostgreSQL database.

    On PostgreSQL, PUBLIC loses the right to connect to it, because every tenant's role belongs to PUBLIC. Raises
    ``DatabaseUnreachable``, ``DatabaseBusy``, ``MigrationFailed`` and ``ProvisioningFailed``.
    """
    url = settings.user_db_url
    if url.get_backend_name() == "postgresql":
        _make_on_postgres(url)
        return
    directory = Path(str(url.database)).absolute().parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProvisioningFailed(NAME, f"{error.strerror}: {error.filename}") from error


def _make_on_postgres(url: URL) -> None:
    try:
        _close_to_public(url)
    except DatabaseUnreachable:
        # Perhaps the database is only missing. The message of the server cannot tell: it is in the server's language.
        _create_if_missing(url)
        _close_to_public(url)


def _close_to_public(url: URL) -> None:
    mine = "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()"
    # Under the lock of a migration: PostgreSQL refuses two changes of a database's privileges at the same time.
    with migration_connection(url, NAME) as connection, connection.begin():
        if connection.exec_driver_sql(mine).scalar():
            postgres.open_to_owner(connection, str(url.database))


def _create_if_missing(url: URL) -> None:
    """Make the database, or go on with one that a killed process has made and not opened."""
    name = str(url.database)
    server = url.set(database=MAINTENANCE_DATABASE)
    # PostgreSQL refuses two changes of a database's privileges at the same time.
    with maintenance_connection(server, NAME) as connection, advisory_lock(connection, LOCK, NAME):
        if not postgres.database_exists(connection, name):
            postgres.create_database(connection, name)
        if connection.exec_driver_sql(UNOPENED, (name,)).scalar():
            postgres.open_to_owner(connection, name)
