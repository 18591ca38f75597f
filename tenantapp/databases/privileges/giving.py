"""Give a database the privileges and settings that it should have."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.connections.postgres import close_to_public, quoted
from tenantapp.databases.errors import PrivilegesNotCarried, RolesMissing
from tenantapp.databases.privileges.catalogue import find_targets, read_privileges
from tenantapp.databases.privileges.statements import FROM_OWNER, NotUnderstood, check, roles_named, statements_for
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import FleetError
from tenantapp.tenancy.servers import PostgresServer, Server

MISSING: Final = "SELECT unnest(%s::text[]) EXCEPT SELECT rolname FROM pg_roles ORDER BY 1"
SEARCH_PATH: Final = "search_path"


def check_given_again(privileges: Mapping[str, str], server: Server, name: str) -> None:
    """Raise ``PrivilegesNotCarried`` if something cannot be given again, and ``RolesMissing`` if a server lacks roles.

    SQLite has no privileges, so nothing is checked there. ``name`` is what the database is called that has the
    privileges. Also raises what ``maintenance_connection`` raises.
    """
    if not isinstance(server, PostgresServer):
        return
    check_carried(privileges, name)
    roles = roles_named(privileges)
    if not roles:
        return
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        missing = connection.exec_driver_sql(MISSING, (sorted(roles),)).scalars().all()
    if missing:
        raise RolesMissing(server.name, missing, name)


def check_carried(privileges: Mapping[str, str], name: str) -> None:
    """Raise ``PrivilegesNotCarried`` if something cannot be given again. ``name`` is what the database is called."""
    try:
        check(privileges)
    except NotUnderstood as error:
        raise PrivilegesNotCarried(name, str(error)) from error


@checkpoint("privileges.give")
def give_privileges(
    url: URL, name: str, privileges: Mapping[str, str], failure: Callable[[str, str], FleetError]
) -> None:
    """Give a database these privileges and settings, as its owner, in one transaction. It may be called again.

    Only what a database has that PostgreSQL does not make by itself is given. Nothing is taken away but the right of
    PUBLIC to connect, whatever the privileges or the contents of the database say. Raises ``PrivilegesNotCarried``,
    ``failure``, and what ``migration_connection`` raises.
    """
    with migration_connection(url, name, failure=failure) as connection, connection.begin():
        give(connection, privileges, str(url.username), name)
        close_to_public(connection)


def give(
    connection: Connection, privileges: Mapping[str, str], owner: str, name: str, *, of: str | None = None
) -> None:
    """Give the present database these privileges and settings, within the transaction.

    ``owner`` is the role that owns the database, and ``name`` what it is called in messages. ``of`` is another database
    of its server, for what is given to the database itself. Raises ``PrivilegesNotCarried``.
    """
    with _names_in_full(connection):
        targets = find_targets(connection, privileges, of)
        try:
            for thing, words in sorted(privileges.items()):
                for statement in statements_for(connection, thing, words, targets.get(thing), owner):
                    connection.exec_driver_sql(*statement)
        except NotUnderstood as error:
            raise PrivilegesNotCarried(name, str(error)) from error


@contextmanager
def everything_allowed(connection: Connection, name: str) -> Iterator[None]:
    """Let the owner of a database do everything with its tables, within the transaction, until the block ends.

    A history may take rights from the owner: that of changing a log, for instance. Raises ``PrivilegesNotCarried`` at
    the end of the block, if a table has privileges that cannot be given again. ``name`` is for that message.
    """
    owner = str(connection.scalar(select(func.current_user())))
    with _names_in_full(connection):
        found = {thing: words for thing, words in read_privileges(connection).items() if FROM_OWNER in words}
        for target in find_targets(connection, found).values():
            connection.exec_driver_sql(f"{target.before} GRANT ALL ON {target.words} TO {quoted(connection, owner)}")
    yield
    if found:
        give(connection, found, owner, name)


@contextmanager
def _names_in_full(connection: Connection) -> Iterator[None]:
    """Let the server write and read every name in full, whatever path the database has."""
    before = connection.scalar(select(func.current_setting(SEARCH_PATH)))
    connection.scalar(select(func.set_config(SEARCH_PATH, "pg_catalog", True)))
    yield
    connection.scalar(select(func.set_config(SEARCH_PATH, before, True)))
