"""Give the tenants' PostgreSQL roles the passwords that are derived from the present secret.

Nothing records which roles have theirs: to set a password again costs less than to find that out, and also mends a role
that has changed its own password, or was restored with an older one.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import advisory_lock, maintenance_connection
from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.base import SCRATCH_PREFIX, TENANT_PREFIX
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.rotating.results import Rotated
from tenantapp.identity.models import Tenant
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.servers import PostgresServer

WHAT: Final = "passwords of PostgreSQL roles"
LOCK: Final = "tenantapp secrets"
# A template's role has no password. That of a replication has one of its own.
PREFIXES: Final = (TENANT_PREFIX, SCRATCH_PREFIX)
ATTEMPTS: Final = 5
ALTERED_MEANWHILE: Final = "XX000"  # tuple concurrently updated: the role was locked out, or let in, at the same moment


def rotate_role_passwords(fleet: Fleet, advance: Callable[[], Any]) -> Iterator[Rotated]:
    """Set the password of each role of this installation, on each PostgreSQL server, and yield a result for each.

    A server that does not answer is a result too. Raises ``UserDatabaseUnavailable``.
    """
    with fleet.user_db.begin(read_only=True) as session:
        mark = installation_mark(session)
        known = {name: _known_roles(session, name) for name in fleet.servers}
    for server in fleet.servers.values():
        if isinstance(server, PostgresServer):
            yield _rotate_on(server, known[server.name], mark, advance)


def _known_roles(session: Session, server: str) -> set[str]:
    """Return the roles that the user database knows, also those without our mark, which older versions made."""
    models = (Tenant, WarmDatabase)
    return {name for model in models for name in session.scalars(select(model.database).filter_by(server=server))}


def _rotate_on(server: PostgresServer, known: set[str], mark: str, advance: Callable[[], Any]) -> Rotated:
    changed = 0
    try:
        with (
            maintenance_connection(server.url, f"server {server.name}") as connection,
            advisory_lock(connection, LOCK, f"server {server.name}"),
        ):
            roles = postgres.role_comments(connection, *PREFIXES)
            for role in sorted(name for name, found in roles.items() if found == mark or name in known):
                changed += _set_password(connection, role, server.tenant_password(role))
                advance()
    except FleetError as error:
        return Rotated(WHAT, f"server {server.name}", changed, str(error))
    return Rotated(WHAT, f"server {server.name}", changed)


def _set_password(connection: Connection, role: str, password: str) -> bool:
    """Set the password of a role, and return whether there still is such a role."""
    for attempt in range(ATTEMPTS):
        try:
            postgres.set_password(connection, role, password)
        except DBAPIError as error:
            if not postgres.role_exists(connection, role):
                return False
            if getattr(error.orig, "pgcode", None) != ALTERED_MEANWHILE or attempt == ATTEMPTS - 1:
                raise
        else:
            return True
    return False
