"""Back up one tenant's database."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.extensions import (
    check_misplaced,
    check_rows_carried,
    extensions_elsewhere,
    extensions_of,
)
from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.contents.postgres_contents import check_every_row_seen
from tenantapp.databases.errors import RowsHidden
from tenantapp.databases.histories.histories import heads_of
from tenantapp.databases.privileges.giving import check_carried
from tenantapp.databases.schemas.computed import check_computable
from tenantapp.databases.schemas.structure import fingerprint, read_structure
from tenantapp.databases.servers.scratch import scratch_name
from tenantapp.fleet.backups import postgres_dumps, sqlite_copies
from tenantapp.fleet.backups.chunks import Progress, chunks_of, counted, nobody
from tenantapp.fleet.backups.file_names import new_file
from tenantapp.fleet.backups.kept_files import FilesKept
from tenantapp.fleet.backups.postgres_tools import choose_tools, fitting_tools, version_of
from tenantapp.fleet.backups.records import FINAL_SUFFIX, FORMAT, METHOD, VERSION, BackupRecord
from tenantapp.fleet.backups.restored_forms import restored_form, side_at
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import BackupRefused
from tenantapp.fleet.tenant_files import counts
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql.engines import server_version
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, SqliteServer, sqlite_url

# pg_dump works for long, and meanwhile our transaction, which holds the snapshot, sends nothing.
NO_IDLE_TIMEOUT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where the dump of a tenant is written."""

    store: Store
    place: TenantPlace
    key: UUID | None
    final: bool
    progress: Progress
    moment: datetime | None = None
    begun_at: datetime = field(default_factory=utcnow)

    @property
    def name(self) -> str:
        return f"the database of {self.place.slug}"

    def write(self, suffix: str, chunks: Iterable[bytes], described: dict[str, object]) -> BackupRecord:
        ending = f"{FINAL_SUFFIX}.{suffix}" if self.final else suffix
        file = new_file(self.place.id, self.begun_at, ending, self.key)
        size, sha256 = self.store.write(file, counted(chunks, self.progress))
        return BackupRecord.model_validate(described | {"file": file, "size": size, "sha256": sha256})


def backup_tenant(
    fleet: Fleet,
    place: TenantPlace,
    store: Store,
    progress: Progress = nobody,
    *,
    key: UUID | None = None,
    moment: datetime | None = None,
) -> BackupRecord:
    """Back up a tenant's database as it is now, or if it was restored beside, as it was at this ``moment``.

    The tenant can be used meanwhile; on PostgreSQL it cannot be migrated. The backup exists once its record is written,
    which is done last, after the dump was read back from the store. ``made_for`` finds it by ``key``. Raises what
    ``write_dump`` raises, and ``BackupDamaged``.
    """
    record = write_dump(fleet, place, store, progress, key=key, moment=moment)
    try:
        _read_back(fleet.settings, store, record, progress)
    except BaseException:
        store.remove(record)
        raise
    store.add(record)
    return record


def write_dump(
    fleet: Fleet,
    place: TenantPlace,
    store: Store,
    progress: Progress = nobody,
    *,
    key: UUID | None = None,
    final: bool = False,
    moment: datetime | None = None,
) -> BackupRecord:
    """Write the dump of a backup, or of a ``final`` copy, to the store, and return its record, which is not added yet.

    The content of the tenant's files is kept in the store too. Raises ``BackupRefused``, ``BackupFailed``,
    ``FilesNotCarried``, ``NotRestorable``, ``WrongTenantDatabase`` and what ``reading_connection`` raises.
    """
    files = FilesKept(fleet, place, store, progress)
    files.keep()
    record = _write_database(fleet, _Destination(store, place, key, final, progress, moment))
    files.keep()
    files.listed(record)
    return record.model_copy(update=counts(len(files.ids), files.missing))


def _read_back(settings: Settings, store: Store, record: BackupRecord, progress: Progress) -> None:
    """Read a dump from the store, all of it, and on PostgreSQL with the tool that would restore it.

    Raises ``BackupDamaged``, ``BackupRefused`` and ``BackupFailed``.
    """
    chunks = counted(store.checked(record), lambda size: progress(0))  # the work goes on, and nothing is added
    if record.engine == "sqlite":
        for _ in chunks:
            pass
    else:
        tools = choose_tools(settings.backups_postgres_bin, version_of(record.server), version_of(record.tool))
        postgres_dumps.read_through(tools, f"the dump {record.file}", chunks)


def _write_database(fleet: Fleet, to: _Destination) -> BackupRecord:
    server = fleet.servers[to.place.server]
    return _dump_sqlite(fleet, server, to) if isinstance(server, SqliteServer) else _dump_postgres(fleet, server, to)


def _dump_sqlite(fleet: Fleet, server: SqliteServer, to: _Destination) -> BackupRecord:
    # Beside the tenants' files, which have room for it, and where `fleet reconcile` finds it if we are killed.
    with scratch_name(server, to.key) as scratch:
        file = server.path(scratch)
        sqlite_copies.copy(server.path(to.place.database), file, to.name)
        with reading_connection(sqlite_url(file), to.name) as connection, connection.begin():
            described = _described(fleet, server, connection, to, sqlite3.sqlite_version)
        return to.write("sqlite", chunks_of(file), described)


def _dump_postgres(fleet: Fleet, server: Server, to: _Destination) -> BackupRecord:
    url = _url_that_sees_every_row(server, to)
    if not to.final:
        # A final copy is restored anyway before anything is removed.
        check_computable(server.tenant_url(to.place.database), to.name)
    with reading_connection(url, to.name) as connection:
        tools = fitting_tools(fleet.settings, connection)
        with connection.begin():
            connection.exec_driver_sql(NO_IDLE_TIMEOUT)
            described = _described(fleet, server, connection, to, tools.version)
            snapshot = str(connection.scalar(select(func.pg_export_snapshot())))
            with postgres_dumps.dump(tools, url, to.name, snapshot) as chunks:
                return to.write("dump", chunks, described)


def _url_that_sees_every_row(server: Server, to: _Destination) -> URL:
    """Return the URL with the tenant's role, or if row level security hides rows from it, with the server's role.

    Raises ``RowsHidden`` if neither sees every row.
    """
    url = server.tenant_url(to.place.database)
    try:
        with reading_connection(url, to.name) as connection, connection.begin():
            check_every_row_seen(connection, to.name)
    except RowsHidden:
        url = server.own_url(to.place.database)
        with reading_connection(url, to.name) as connection, connection.begin():
            check_every_row_seen(connection, to.name)
    return url


def _described(fleet: Fleet, server: Server, connection: Connection, to: _Destination, tool: str) -> dict[str, object]:
    """Return the record without what is known only after the dump: file, size and checksum."""
    place = to.place
    if connection.scalars(select(TenantIdentity.tenant_id)).all() != [place.id]:
        raise WrongTenantDatabase(place.slug)
    heads = heads_of(connection)
    if len(heads) != 1:
        raise BackupRefused(f"the database of {place.slug} is not at exactly one revision")
    version, structure = server_version(connection), read_structure(connection)
    check_carried(structure.privileges, to.name)
    check_rows_carried(connection, to.name)
    check_misplaced(connection, elsewhere := extensions_elsewhere(connection), server, to.name)
    side = side_at(to.name, server, version, structure, connection.engine.url)
    return {
        "format": FORMAT,
        "version": VERSION,
        "tenant_id": place.id,
        "slug": place.slug,
        "name": place.name,
        "created_at": to.moment or to.begun_at,
        "engine": connection.dialect.name,
        "server": ".".join(map(str, version)),
        "tool": tool,
        "revision": heads[0],
        "fingerprint": fingerprint(restored_form(fleet, side).definitions),
        "fingerprint_method": METHOD,
        "privileges": structure.privileges,
        "extensions": extensions_of(connection),
        "extensions_elsewhere": elsewhere,
        "moment": to.moment is not None,
    }
