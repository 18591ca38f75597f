"""The databases that copies are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.fleet.errors import CopyRefused
from tenantapp.private_files import is_regular
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, Servers, SqliteServer, sqlite_url

# The copying outlives our part of it, in which nothing is asked.
NO_IDLE_TIMEOUT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
IDENTITIES: Final = text(f"SELECT tenant_id FROM {TenantIdentity.__tablename__}")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Original:
    """A database to be copied: how to connect to it, its file on SQLite, and what it is called in messages.

    On PostgreSQL it is read by the server's own role: the tenant's is kept out while the tenant is moved.
    """

    url: URL
    path: Path | None
    name: str

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment, however long that takes. Raises what ``reading_connection`` does."""
        with reading_connection(self.url, self.name) as connection, connection.begin():
            if self.path is None:
                connection.exec_driver_sql(NO_IDLE_TIMEOUT)
            yield connection


def original_of(servers: Servers, place: TenantPlace) -> Original:
    """The database of a tenant. Raises ``ServerError``."""
    server, name = servers[place.server], f"the database of {place.slug}"
    if isinstance(server, SqliteServer):
        return Original(server.tenant_url(place.database), server.path(place.database), name)
    return Original(server.own_url(place.database), None, name)


def foreign_original(server: Server, database: str) -> Original:
    """A database that is no tenant's: its name on a PostgreSQL server, or the path of a SQLite file.

    Raises ``CopyRefused`` for a FIFO and whatever else is no file.
    """
    name = f"the database {database}"
    if isinstance(server, SqliteServer):
        if Path(database).exists() and not is_regular(Path(database)):
            raise CopyRefused(f"{database} is not a regular file.")
        # Read-only: not even the write-ahead log that somebody has left is brought in.
        return Original(sqlite_url(Path(database)).update_query_dict({"mode": "ro"}), Path(database), name)
    return Original(server.own_url(database), None, name)


def heads_of(connection: Connection) -> tuple[str, ...]:
    """The revisions that a database says it is at; none if it was never migrated."""
    return tuple(MigrationContext.configure(connection).get_current_heads())


def single_revision(connection: Connection, name: str) -> str:
    """The revision of a database. Raises ``CopyRefused`` if it is not at one."""
    heads = heads_of(connection)
    if len(heads) != 1:
        raise CopyRefused(f"{name[0].upper()}{name[1:]} is not at one revision, and so it cannot be copied.")
    return heads[0]


def identities_of(connection: Connection) -> list[str]:
    """The ids of the tenants whose data a database says it holds, in hexadecimal; none if it is nobody's yet."""
    if not inspect(connection).has_table(TenantIdentity.__tablename__):
        return []
    return [str(row.tenant_id).replace("-", "") for row in connection.execute(IDENTITIES)]


def check_identity(connection: Connection, place: TenantPlace) -> None:
    """Raise ``WrongTenantDatabase`` if it is not this tenant's."""
    if identities_of(connection) != [place.id.hex]:
        raise WrongTenantDatabase(place.slug)
