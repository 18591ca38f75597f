"""Databases that live as long as a ``with`` block, for trying something on.

What a process that was killed has left is found by ``reconcile``: the name says when it was made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, maintenance_connection
from tenantapp.databases.histories.histories import History
from tenantapp.databases.servers.base import SCRATCH_PREFIX
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.errors import SqlError
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.errors import TenancyError
from tenantapp.tenancy.servers import Server, sqlite_url


@contextmanager
def scratch_database(fleet: Fleet, history: History, *, server: Server | None = None) -> Iterator[URL]:
    """The URL of an empty database on the kind of server this history's databases are on; it is always removed.

    One for the tenant history is on the given server, or else the default one. Raises ``ProvisioningFailed``,
    ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """
    place = server or fleet.servers.default
    url = fleet.settings.user_db_url if history == "user" else place.url
    if url.get_backend_name() == "sqlite":
        # One file is like another; this one need not lie among the tenants'.
        with TemporaryDirectory(prefix=SCRATCH_PREFIX) as directory:
            yield sqlite_url(Path(directory) / "empty", create=True)
    elif history == "user":
        name = _new_name()
        with _owned_by_us(url, name):
            yield url.set(database=name)
    else:
        with scratch_name(place) as name:
            databases_on(place).prepare(name, scratch_mark(fleet))
            yield place.tenant_url(name)


@contextmanager
def scratch_name(server: Server) -> Iterator[str]:
    """The name of a database that is yet to be made on a server; what bears it is always removed.

    Raises ``ProvisioningFailed``, ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """
    name = _new_name()
    try:
        yield name
    finally:
        databases_on(server).drop(name)


def scratch_mark(fleet: Fleet) -> str:
    """The mark of the installation; none as long as it has no user database, as when its first revision is written."""
    try:
        with fleet.user_db.begin(read_only=True) as session:
            return installation_mark(session)
    except (SqlError, TenancyError, DBAPIError):
        return ""


def made_at(name: str) -> datetime:
    """When a scratch database was made. Raises ``ValueError`` for a name that is none of ours."""
    # An id begins with the milliseconds: RFC 9562, section 5.7.
    return datetime.fromtimestamp(int(name.removeprefix(SCRATCH_PREFIX)[:12], 16) / 1000, UTC)


def _new_name() -> str:
    return SCRATCH_PREFIX + uuid7().hex


@contextmanager
def _owned_by_us(url: URL, name: str) -> Iterator[None]:
    """A database of our own role's, since the role of the user database may not be allowed to make others."""
    server, label = url.set(database=MAINTENANCE_DATABASE), "the server of the user database"
    try:
        with maintenance_connection(server, label) as connection:
            postgres.create_database(connection, name)
        yield
    finally:
        with maintenance_connection(server, label) as connection:
            postgres.drop_database(connection, name)
