"""Make a database from a backup."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from tenantapp.databases.connections.extensions import check_extensions
from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, reading_connection
from tenantapp.databases.histories.histories import heads_of
from tenantapp.databases.privileges.giving import check_given_again, give_privileges
from tenantapp.databases.schemas.structure import Structure, fingerprint, read_structure
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups import postgres_dumps, sqlite_copies
from tenantapp.fleet.backups.chunks import Progress, counted, nobody
from tenantapp.fleet.backups.postgres_tools import Tools, fitting_tools, version_of
from tenantapp.fleet.backups.recorded_privileges import recorded_privileges
from tenantapp.fleet.backups.records import METHOD, BackupRecord
from tenantapp.fleet.backups.restored_forms import (
    Side,
    restored_form,
    side_at,
    side_of_revision,
    structure_differences,
)
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import BackupDamaged, BackupFailed, BackupRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import Server, SqliteServer

NAMED: Final = 3  # differences that the message names


def restore_into(fleet: Fleet, record: BackupRecord, store: Store, place: TenantPlace, mark: str) -> None:
    """Make the database of a place from a backup, see ``restore_database``, and give it the tenant's identity.

    The identity is written last: until then, no tenant is served from the database.
    """
    server, name = fleet.servers[place.server], f"the database of {place.slug}"
    privileges = recorded_privileges(fleet, server, record).given
    restore_database(fleet, server, place.database, record, store, mark, name, privileges=privileges)
    identify(server, place)


@checkpoint("backup.identify")
def identify(server: Server, place: TenantPlace) -> None:
    """Write the tenant's identity into a restored database.

    Raises ``BackupFailed`` and what ``migration_connection`` raises.
    """
    name = f"the database of {place.slug}"
    write_identity(server.tenant_url(place.database), name, place.id, _identity_not_written)


@checkpoint("backup.restore")
def restore_database(
    fleet: Fleet,
    server: Server,
    database: str,
    record: BackupRecord,
    store: Store,
    mark: str,
    name: str,
    progress: Progress = nobody,
    *,
    privileges: Mapping[str, str],
) -> None:
    """Make a database from a backup, at the backup's revision, and give it these privileges and settings.

    First the server, its tools and the whole dump are checked, then the dump is restored, then the structure is
    compared. So ``progress`` gets the size of the dump twice. Nothing is overwritten. If the process dies, the function
    can be called again. Raises ``BackupRefused``, ``BackupDamaged``, ``BackupFailed``, what ``check_server`` and
    ``check_given_again`` raise, and what ``ServerDatabases`` and ``reading_connection`` raise.
    """
    url = server.tenant_url(database)
    tools = check_server(fleet.settings, record, server)
    for _ in counted(store.checked(record), progress):
        pass
    check_given_again(privileges, server, "the backup")
    databases_on(server).prepare(database, mark)
    chunks = counted(store.checked(record), progress)
    if isinstance(server, SqliteServer):
        _restore_sqlite(server.path(database), name, chunks)
    elif tools is not None:
        _restore_postgres(tools, url, name, chunks, server.extensions)
        # A restore that was interrupted here is begun again: the database is not compared yet, and has no identity.
        give_privileges(url, name, privileges, _not_given)
    _check_structure(fleet, server, url, name, record)


def check_server(settings: Settings, record: BackupRecord, server: Server) -> Tools | None:
    """Return the tools that restore a backup on a server: on SQLite there are none.

    Raises ``BackupRefused`` if the server is of the other engine or of an older major version, or if no tools fit, and
    what ``check_extensions`` and ``reading_connection`` raise.
    """
    if server.url.get_backend_name() != record.engine:
        engine = record.engine
        raise BackupRefused(
            f"it comes from {engine}, and the server {server.name} is not {engine}; use a bundle instead"
        )
    if isinstance(server, SqliteServer):
        return None
    check_extensions(record.extensions, server, "the backup", record.extensions_elsewhere)
    url, name = server.own_url(MAINTENANCE_DATABASE), f"server {server.name}"
    with reading_connection(url, name) as connection:
        _check_not_older(record, server, server_version(connection))
        return fitting_tools(settings, connection, version_of(record.tool))


def _check_not_older(record: BackupRecord, server: Server, version: tuple[int, ...]) -> None:
    made_on = version_of(record.server)[0]
    if version[0] < made_on:
        raise BackupRefused(
            f"it was made on PostgreSQL {record.server}, and the server {server.name} has "
            f"{'.'.join(map(str, version))}, which is older; name a server with PostgreSQL {made_on} or newer"
        )


def look_at(url: URL, name: str) -> tuple[tuple[str, ...], Structure, tuple[int, ...]]:
    """Return the revisions of a database, its structure, and the version of its server.

    Raises what ``reading_connection`` raises.
    """
    with reading_connection(url, name) as connection, connection.begin():
        heads = heads_of(connection)
        version = server_version(connection)
        return heads, read_structure(connection), version


def drift_of(fleet: Fleet, server: Server, url: URL, name: str, revision: str) -> tuple[str, ...]:
    """Return how a structure differs from that of this revision. Raises what ``expected_structure`` raises."""
    _, found, version = look_at(url, name)
    expected = side_of_revision(fleet, server, version, revision)
    return tuple(structure_differences(fleet, expected, side_at(name, server, version, found, url)))


def refuse_drift(drift: Sequence[str], revision: str) -> None:
    """Raise ``BackupRefused`` if a restored structure differs from that of its revision."""
    if drift:
        raise BackupRefused(
            f"after a restore, it does not have the structure of revision {revision}: {'; '.join(drift[:NAMED])}; "
            "--accept-drift restores it nevertheless"
        )


def _restore_sqlite(path: Path, name: str, chunks: Iterable[bytes]) -> None:
    try:
        sqlite_copies.restore(path, chunks)
    except OSError as error:
        raise BackupFailed("Restoring", name, error.strerror or str(error)) from error


def _restore_postgres(tools: Tools, url: URL, name: str, chunks: Iterable[bytes], given: Sequence[str]) -> None:
    if look_at(url, name)[1].definitions.parts:
        return  # an earlier attempt restored it, completely: a restore is one transaction
    try:
        postgres_dumps.restore(tools, url, name, chunks, given)
    except BackupFailed:
        # An earlier attempt that seemed to fail may have committed after all.
        if not look_at(url, name)[1].definitions.parts:
            raise


def _check_structure(fleet: Fleet, server: Server, url: URL, name: str, record: BackupRecord) -> None:
    heads, found, version = look_at(url, name)
    # Another version of PostgreSQL may express the same definition differently, and so may another version of ours.
    comparable = (".".join(map(str, version)), METHOD) == (record.server, record.fingerprint_method)
    equal = not comparable or _is_backed_up(fleet, record, side_at(name, server, version, found, url))
    if heads != (record.revision,) or not equal:
        raise BackupDamaged(record.file, "the restored structure differs from the one that was backed up")


def _is_backed_up(fleet: Fleet, record: BackupRecord, restored: Side) -> bool:
    # Nearly always, one restore gives the form that further restores do not change.
    if fingerprint(restored.structure.definitions) == record.fingerprint:
        return True
    return fingerprint(restored_form(fleet, restored).definitions) == record.fingerprint


def _not_given(name: str, reason: str) -> BackupFailed:
    return BackupFailed("Giving privileges", name, reason)


def _identity_not_written(name: str, reason: str) -> BackupFailed:
    return BackupFailed("The database", name, reason)
