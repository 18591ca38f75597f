"""Keep the roles of tenants out of all databases of a PostgreSQL server but their own.

PostgreSQL lets every role connect to ``postgres``, to ``template1`` and to each database of other users, and make
temporary tables there. Others may rely on that, so nothing is closed without being asked for.
https://www.postgresql.org/docs/current/ddl-priv.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, maintenance_connection
from tenantapp.databases.servers.base import TENANT_PREFIX
from tenantapp.databases.servers.postgres_databases import PREFIXES
from tenantapp.tenancy.servers import PostgresServer


@dataclass(frozen=True, slots=True)
class Openness:
    """What is open on a server, and the statements that close it.

    ``databases`` are those to which tenants' roles may connect, although they do not own them. ``ours`` are those among
    them that tenantapp has made. ``other_limits`` are the roles of this installation that may have another number of
    connections than ``tenancy.connection_limit``.
    """

    databases: tuple[str, ...]
    statements: tuple[str, ...]
    other_limits: tuple[str, ...]

    @property
    def ours(self) -> tuple[str, ...]:
        return tuple(name for name in self.databases if name.startswith(PREFIXES))


def openness(server: PostgresServer, mark: str, user_db: URL) -> Openness:
    """Return what is open on a server. ``mark`` is that of the installation, ``user_db`` the URL of its user database.

    Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and ``ProvisioningFailed``.
    """
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        return _openness(connection, server, mark, user_db)


def harden(server: PostgresServer, mark: str, user_db: URL) -> Openness:
    """Close what is open on a server, and return what still is, because our role there may not close it.

    Raises what ``openness`` raises.
    """
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        found = _openness(connection, server, mark, user_db)
        for statement in found.statements:
            _attempt(connection, statement)
        for role in found.other_limits:
            postgres.limit_role(connection, role, server.connection_limit)
        return _openness(connection, server, mark, user_db)


def _openness(connection: Connection, server: PostgresServer, mark: str, user_db: URL) -> Openness:
    open_to = postgres.open_databases(connection, *PREFIXES)
    statements = _grants(connection, open_to, _others(connection, server, user_db))
    for database, role in open_to:
        grantee = "PUBLIC" if role is None else postgres.quoted(connection, role)
        name = postgres.quoted(connection, database)
        statements.append(f"REVOKE CONNECT, CREATE, TEMPORARY ON DATABASE {name} FROM {grantee}")
    databases = tuple(dict.fromkeys(database for database, _ in open_to))
    limits = postgres.other_limits(connection, mark, server.connection_limit, TENANT_PREFIX)
    return Openness(databases, tuple(statements), tuple(limits))


def _others(connection: Connection, server: PostgresServer, user_db: URL) -> list[str]:
    """Return our own roles on the server, which connect to the maintenance database."""
    roles = {str(connection.exec_driver_sql("SELECT current_user").scalar_one())}
    if user_db.username and (user_db.host, user_db.port, user_db.query) == _address(server.url):
        roles.add(user_db.username)
    return sorted(roles)


def _address(url: URL) -> tuple[object, ...]:
    return url.host, url.port, url.query


def _grants(connection: Connection, open_to: Sequence[tuple[str, str | None]], roles: Sequence[str]) -> list[str]:
    """Return the statements that let our own roles connect to the maintenance database without PUBLIC's right."""
    if (MAINTENANCE_DATABASE, None) not in open_to:
        return []
    name = postgres.quoted(connection, MAINTENANCE_DATABASE)
    return [f"GRANT CONNECT ON DATABASE {name} TO {postgres.quoted(connection, role)}" for role in roles]


def _attempt(connection: Connection, statement: str) -> None:
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        # What our role may not close is found open afterwards. A grant that fails must not be followed by its revoke.
        if statement.startswith("GRANT"):
            raise
