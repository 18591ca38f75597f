"""Making and removing databases on a server. What is in them is no matter here."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from tenantapp.fleet import postgres
from tenantapp.fleet.connections import maintenance_connection
from tenantapp.fleet.errors import ProvisioningFailed
from tenantapp.tenancy.servers import PostgresServer, Server, SqliteServer

SQLITE_SUFFIXES = ("-wal", "-shm", "-journal")


class ServerDatabases(ABC):
    """The databases of a server. Their names are made by the program."""

    @abstractmethod
    def create(self, database: str) -> None:
        """Make an empty database that ``server.tenant_url`` leads to. When it fails, ``drop`` removes what it left.

        Raises ``ProvisioningFailed``, ``DatabaseUnreachable`` and ``DatabaseBusy``.
        """

    @abstractmethod
    def drop(self, database: str) -> None:
        """Remove a database and all that belongs to it, whoever is connected. One that is not there is no error.

        Raises ``ProvisioningFailed``, ``DatabaseUnreachable`` and ``DatabaseBusy``.
        """


class PostgresDatabases(ServerDatabases):
    """Each database is owned by a role of the same name, and nobody else may connect to it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def create(self, database: str) -> None:
        with self._connection() as connection:
            postgres.create_role(connection, database, self._server.tenant_password(database))
            postgres.create_database(connection, database, owner=database)
            postgres.close_to_public(connection, database)
            postgres.limit_database(connection, database)

    def drop(self, database: str) -> None:
        with self._connection() as connection:
            postgres.drop_database(connection, database)
            postgres.drop_role(connection, database)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with maintenance_connection(self._server.url, f"server {self._server.name}") as connection:
            yield connection


class SqliteDatabases(ServerDatabases):
    """Each database is a file in the server's directory."""

    def __init__(self, server: SqliteServer) -> None:
        self._server = server

    def create(self, database: str) -> None:
        path = self._server.path(database)
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)

    def drop(self, database: str) -> None:
        path = self._server.path(database)
        with self._translated():
            for file in (path, *(path.with_name(path.name + suffix) for suffix in SQLITE_SUFFIXES)):
                file.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ProvisioningFailed(f"server {self._server.name}", f"{error.strerror}: {error.filename}") from error


def databases_on(server: Server) -> ServerDatabases:
    """What makes and removes the databases of this server."""
    if isinstance(server, PostgresServer):
        return PostgresDatabases(server)
    if isinstance(server, SqliteServer):
        return SqliteDatabases(server)
    raise TypeError(f"no databases can be made on a {type(server).__name__}")
