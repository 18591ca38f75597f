"""Restoring a backup into a database that was made for it."""

from sqlalchemy.engine import URL

from tenantapp.fleet.backups import postgres_dumps, sqlite_copies
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.connections import reading_connection
from tenantapp.fleet.errors import BackupDamaged, BackupFailed, BackupRefused
from tenantapp.fleet.identity_rows import write_identity
from tenantapp.fleet.schemas.structure import fingerprint, read_structure
from tenantapp.fleet.server_databases import databases_on
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.ids import uuid7
from tenantapp.tenancy.servers import Server, Servers, SqliteServer

SCRATCH = "scratch_"


def restore_into(settings: Settings, servers: Servers, record: BackupRecord, store: Store, place: TenantPlace) -> None:
    """Restore a backup into the empty database of a place, and make it that tenant's.

    The dump is checked before anything is written, and the structure afterwards. The identity comes last: until then
    the database is nobody's to whom it is served. Raises ``BackupRefused``, ``BackupDamaged``, ``BackupFailed``,
    ``OSError`` and what ``migration_connection`` raises.
    """
    server, name = servers[place.server], f"the database of {place.slug}"
    _restore(settings, server, place.database, record, store, name)
    write_identity(server.tenant_url(place.database), name, place.id, _identity_not_written)


def rehearse_restore(settings: Settings, server: Server, record: BackupRecord, store: Store) -> None:
    """Restore a backup into a database that is removed right away: whether it would work is known only by doing it.

    Raises what ``restore_into`` does.
    """
    databases, database = databases_on(server), SCRATCH + uuid7().hex
    try:
        databases.create(database)
        _restore(settings, server, database, record, store, "a scratch database")
    finally:
        databases.drop(database)


def _restore(settings: Settings, server: Server, database: str, record: BackupRecord, store: Store, name: str) -> None:
    url = server.tenant_url(database)
    if url.get_backend_name() != record.engine:
        raise BackupRefused(f"it is of {record.engine}, and server {server.name} is not; a bundle could be taken there")
    store.check(record)
    version = _check_empty(url, name)
    if isinstance(server, SqliteServer):
        sqlite_copies.restore(server.path(database), store.checked(record))
    else:
        postgres_dumps.check_tool(settings, "pg_restore", version)
        postgres_dumps.restore(settings, url, name, store.checked(record))
    _check_structure(url, name, record)


def _check_empty(url: URL, name: str) -> tuple[int | str, ...]:
    """The version of the server. Raises ``BackupRefused`` if there is anything in the database."""
    with reading_connection(url, name) as connection, connection.begin():
        if read_structure(connection).parts:
            raise BackupRefused(f"{name} is not empty")
        return tuple(connection.dialect.server_version_info or (0,))


def _check_structure(url: URL, name: str, record: BackupRecord) -> None:
    with reading_connection(url, name) as connection, connection.begin():
        found = fingerprint(read_structure(connection))
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
    # Another version of PostgreSQL may write the same definition in other words.
    if found != record.fingerprint and version == record.server:
        raise BackupDamaged(record.file, "what was restored has another structure than what was backed up")


def _identity_not_written(name: str, reason: str) -> BackupFailed:
    return BackupFailed("The database", name, reason)
