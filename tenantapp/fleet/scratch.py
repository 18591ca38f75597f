"""Databases that live as long as a ``with`` block, for trying migrations on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy.engine import URL

from tenantapp.fleet import postgres
from tenantapp.fleet.connections import maintenance_connection
from tenantapp.fleet.histories import History
from tenantapp.fleet.maintenance_engines import MAINTENANCE_DATABASE
from tenantapp.fleet.server_databases import databases_on
from tenantapp.settings import Settings
from tenantapp.tenancy.ids import uuid7
from tenantapp.tenancy.servers import Server, Servers, sqlite_url

PREFIX: Final = "scratch_"


@contextmanager
def scratch_database(
    settings: Settings, servers: Servers, history: History, *, server: Server | None = None
) -> Iterator[URL]:
    """The URL of an empty database on the kind of server this history's databases are on; it is always removed.

    One for the tenant history is on the given server, or else the default one. Raises ``ProvisioningFailed``,
    ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """
    name = PREFIX + uuid7().hex
    place = server or servers.default
    url = settings.user_db_url if history == "user" else place.url
    if url.get_backend_name() == "sqlite":
        # One file is like another; this one need not lie among the tenants'.
        with TemporaryDirectory(prefix=PREFIX) as directory:
            yield sqlite_url(Path(directory) / name, create=True)
    elif history == "user":
        with _owned_by_us(url, name):
            yield url.set(database=name)
    else:
        databases = databases_on(place)
        try:
            databases.create(name)
            yield place.tenant_url(name)
        finally:
            databases.drop(name)


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
