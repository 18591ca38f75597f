"""The databases that are copied."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import inspect
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.maintenance_engines import reading_connection, schema_of
from tenantapp.databases.histories.histories import heads_of
from tenantapp.fleet.errors import CopyRefused
from tenantapp.private_files import is_regular
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, Servers, SqliteServer, sqlite_url

# While the data is copied, the transaction that holds the snapshot sends nothing.
NO_IDLE_TIMEOUT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"


@dataclass(frozen=True, slots=True)
class Original:
    """A database to copy: its URL, on SQLite its file, and its name in messages.

    On PostgreSQL the server's own role reads it, because the tenant's role cannot log in during a move.
    """

    url: URL
    path: Path | None
    name: str

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one moment. Raises what ``reading_connection`` raises."""
        with reading_connection(self.url, self.name) as connection, connection.begin():
            if self.path is None:
                connection.exec_driver_sql(NO_IDLE_TIMEOUT)
            yield connection


def original_of(servers: Servers, place: TenantPlace) -> Original:
    """Return the database of a tenant. Raises ``ServerError``."""
    server, name = servers[place.server], f"the database of {place.slug}"
    if isinstance(server, SqliteServer):
        return Original(server.tenant_url(place.database), server.path(place.database), name)
    return Original(server.own_url(place.database), None, name)


def foreign_original(server: Server, database: str) -> Original:
    """Return a database that belongs to no tenant, by its name on a PostgreSQL server or the path of a SQLite file.

    Raises ``CopyRefused`` if the path is not a regular file.
    """
    name = f"the database {database}"
    if isinstance(server, SqliteServer):
        if Path(database).exists() and not is_regular(Path(database)):
            raise CopyRefused(f"{database} is not a regular file.")
        # Read-only: not even a left write-ahead log is checkpointed into the file.
        return Original(sqlite_url(Path(database)).update_query_dict({"mode": "ro"}), Path(database), name)
    return Original(server.own_url(database), None, name)


def single_revision(connection: Connection, name: str) -> str:
    """Return the revision of a database. Raises ``CopyRefused`` if it is not at exactly one."""
    heads = heads_of(connection)
    if len(heads) != 1:
        raise CopyRefused(f"{name[0].upper()}{name[1:]} is not at exactly one revision, so it cannot be copied.")
    return heads[0]


def identities_of(connection: Connection) -> list[str]:
    """Return the tenant ids that a database records, in hexadecimal. Empty if it belongs to no tenant yet."""
    schema, name = schema_of(connection), TenantIdentity.__tablename__
    if not inspect(connection).has_table(name, schema):
        return []
    words = name if schema is None else f"{schema}.{name}"
    # Not by the model: the identity of a database that was closed is no UUID.
    rows = connection.exec_driver_sql(f"SELECT tenant_id FROM {words}")  # noqa: S608
    return [str(row.tenant_id).replace("-", "") for row in rows]


def check_identity(connection: Connection, place: TenantPlace) -> None:
    """Raise ``WrongTenantDatabase`` if the database is not this tenant's."""
    if identities_of(connection) != [place.id.hex]:
        raise WrongTenantDatabase(place.slug)
