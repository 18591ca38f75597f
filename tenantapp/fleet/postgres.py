"""The statements that make and remove databases and roles on a PostgreSQL server, over a maintenance connection."""

from typing import Final

from psycopg2.extensions import encrypt_password
from sqlalchemy.engine import Connection

# They bound what one request can do to the others; waitress never ends a thread that hangs.
DATABASE_SETTINGS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}
SCRAM_ITERATIONS_SETTABLE: Final = (16, 0)


def create_database(connection: Connection, database: str, *, owner: str | None = None) -> None:
    """Make an empty database, owned by another role if one is given."""
    owned = f" OWNER {_quoted(connection, owner)}" if owner else ""
    # template0: nothing that somebody left in template1 gets in.
    connection.exec_driver_sql(
        f"CREATE DATABASE {_quoted(connection, database)}{owned} TEMPLATE template0 ENCODING 'UTF8'"
    )


def close_to_public(connection: Connection, database: str) -> None:
    """Let only the owner's role, and those it grants this, connect to a database. PostgreSQL's default is everybody."""
    connection.exec_driver_sql(f"REVOKE CONNECT, TEMPORARY ON DATABASE {_quoted(connection, database)} FROM PUBLIC")


def limit_database(connection: Connection, database: str) -> None:
    """Set the timeouts of whoever connects to the database and asks for no others."""
    for name, value in DATABASE_SETTINGS.items():
        connection.exec_driver_sql(f"ALTER DATABASE {_quoted(connection, database)} SET {name} = '{value}'")


def drop_database(connection: Connection, database: str) -> None:
    """Remove a database, if it is there, and end the connections to it."""
    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {_quoted(connection, database)} WITH (FORCE)")


def end_connections(connection: Connection, database: str) -> None:
    """End all connections to a database but this one. Whoever wants to can come back at once."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    connection.exec_driver_sql(others, (database,))


def create_role(connection: Connection, role: str, password: str) -> None:
    """Make a role that may log in with this password, which the server gets only a SCRAM verifier of (RFC 5803).

    ``password`` is a secret of 256 bits, so that one iteration is enough: there is nothing to guess.
    """
    if (connection.dialect.server_version_info or (0,)) >= SCRAM_ITERATIONS_SETTABLE:
        connection.exec_driver_sql("SET scram_iterations = 1")
    raw = connection.connection.dbapi_connection
    verifier = encrypt_password(password, role, scope=raw, algorithm="scram-sha-256")
    connection.exec_driver_sql(f"CREATE ROLE {_quoted(connection, role)} LOGIN PASSWORD %s", (verifier,))
    # Without being a superuser, only a member of a role can make a database that the role owns.
    connection.exec_driver_sql(f"GRANT {_quoted(connection, role)} TO CURRENT_USER")


def drop_role(connection: Connection, role: str) -> None:
    """Remove a role, if it is there."""
    connection.exec_driver_sql(f"DROP ROLE IF EXISTS {_quoted(connection, role)}")


def _quoted(connection: Connection, identifier: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(identifier)
