"""Making the user database, without any tables."""

from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, maintenance_connection
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.errors import DatabaseUnreachable, ProvisioningFailed
from tenantapp.settings import Settings

NAME: Final = "the user database"
# https://www.postgresql.org/docs/current/errcodes-appendix.html: duplicate_database, unique_violation
MADE_MEANWHILE: Final = frozenset({"42P04", "23505"})


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
            postgres.close_to_public(connection, str(url.database))
            postgres.limit_database(connection, str(url.database))


def _create_if_missing(url: URL) -> None:
    with maintenance_connection(url.set(database=MAINTENANCE_DATABASE), NAME) as connection:
        found = connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = %s", (url.database,))
        if found.first() is not None:
            return
        try:
            postgres.create_database(connection, str(url.database))
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) not in MADE_MEANWHILE:
                raise
