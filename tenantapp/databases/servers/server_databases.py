"""The databases of a server, for its engine."""

from tenantapp.databases.servers.base import ServerDatabases
from tenantapp.databases.servers.postgres_databases import PostgresDatabases
from tenantapp.databases.servers.sqlite_databases import SqliteDatabases
from tenantapp.tenancy.servers import PostgresServer, Server, SqliteServer


def databases_on(server: Server) -> ServerDatabases:
    """Return the object that makes and removes the databases of this server."""
    if isinstance(server, PostgresServer):
        return PostgresDatabases(server)
    if isinstance(server, SqliteServer):
        return SqliteDatabases(server)
    raise TypeError(f"no databases can be made on a {type(server).__name__}")
