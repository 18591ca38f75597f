"""Databases that exist only within a ``with`` block, for trying something.

``reconcile`` finds those that a killed process has left: the name says when the database was made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

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

KEY_LENGTH: Final = 12  # hexadecimal digits, which are random in a UUIDv7


@contextmanager
def scratch_database(fleet: Fleet, history: History, *, server: Server | None = None) -> Iterator[URL]:
    """Yield the URL of an empty database, and always remove the database at the end.

    For the user history it is on the server of the user database. For the tenant history it is on the given server, or
    else on the default one. On SQLite it is a file in a temporary directory. Raises ``ProvisioningFailed``,
    ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """
    place = server or fleet.servers.default
    url = fleet.settings.user_db_url if history == "user" else place.url
    if url.get_backend_name() == "sqlite":
        # The place of a SQLite file does not matter, so this one need not be among the tenants' files.
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
def scratch_name(server: Server, key: UUID | None = None) -> Iterator[str]:
    """Yield the name of a database to be made on a server, and always remove that database at the end.

    If the process is killed, ``remove_scratch`` finds the database by ``key``. Raises ``ProvisioningFailed``,
    ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """
    name = _new_name() if key is None else _new_name()[:-KEY_LENGTH] + key.hex[-KEY_LENGTH:]
    try:
        yield name
    finally:
        databases_on(server).drop(name)


def remove_scratch(server: Server, key: UUID) -> None:
    """Remove the scratch databases that attempts under this key have left. Raises what ``scratch_name`` does."""
    for found in databases_on(server).found():
        if found.name.startswith(SCRATCH_PREFIX) and found.name.endswith(key.hex[-KEY_LENGTH:]):
            databases_on(server).drop(found.name)


def scratch_mark(fleet: Fleet) -> str:
    """Return the mark of the installation, or an empty string as long as there is no user database.

    There is none, for instance, when its first revision is written.
    """
    try:
        with fleet.user_db.begin(read_only=True) as session:
            return installation_mark(session)
    except (SqlError, TenancyError, DBAPIError):
        return ""


def made_at(name: str) -> datetime:
    """Return when a scratch database was made. Raises ``ValueError`` for any other name."""
    # A UUIDv7 begins with the time in milliseconds: RFC 9562, section 5.7.
    return datetime.fromtimestamp(int(name.removeprefix(SCRATCH_PREFIX)[:12], 16) / 1000, UTC)


def _new_name() -> str:
    return SCRATCH_PREFIX + uuid7().hex


@contextmanager
def _owned_by_us(url: URL, name: str) -> Iterator[None]:
    """Make a database that our own role owns, and drop it at the end of the block.

    The role of the user database may not be allowed to make other roles.
    """
    server, label = url.set(database=MAINTENANCE_DATABASE), "the server of the user database"
    try:
        with maintenance_connection(server, label) as connection:
            postgres.create_database(connection, name)
            postgres.open_to_owner(connection, name)
        yield
    finally:
        with maintenance_connection(server, label) as connection:
            postgres.drop_database(connection, name)
