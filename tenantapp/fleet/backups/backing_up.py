"""Backing up one tenant's database."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.contents.postgres_contents import check_every_row_seen
from tenantapp.databases.errors import RowsHidden
from tenantapp.databases.schemas.structure import fingerprint, read_structure
from tenantapp.databases.servers.scratch import scratch_name
from tenantapp.fleet.backups import postgres_dumps, sqlite_copies
from tenantapp.fleet.backups.chunks import Progress, chunks_of, counted, nobody
from tenantapp.fleet.backups.file_names import new_file
from tenantapp.fleet.backups.records import FINAL_SUFFIX, FORMAT, VERSION, BackupRecord
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import BackupRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql.engines import server_version
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, SqliteServer, sqlite_url

# The dump outlives our part of it, in which nothing is asked.
NO_IDLE_TIMEOUT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where a dump of a tenant goes."""

    store: Store
    place: TenantPlace
    key: UUID | None
    final: bool
    progress: Progress
    created_at: datetime = field(default_factory=utcnow)

    @property
    def name(self) -> str:
        return f"the database of {self.place.slug}"

    def write(self, suffix: str, chunks: Iterable[bytes], described: dict[str, object]) -> BackupRecord:
        ending = f"{FINAL_SUFFIX}.{suffix}" if self.final else suffix
        file = new_file(self.place.id, self.created_at, ending, self.key)
        size, sha256 = self.store.write(file, counted(chunks, self.progress))
        return BackupRecord.model_validate(described | {"file": file, "size": size, "sha256": sha256})


def backup_tenant(
    fleet: Fleet,
    place: TenantPlace,
    store: Store,
    progress: Progress = nobody,
    *,
    key: UUID | None = None,
) -> BackupRecord:
    """Back a tenant's database up as it is at one moment; ``progress`` is told of each so many bytes.

    The tenant may be used meanwhile; on PostgreSQL it may not be migrated. The backup exists from when its record is
    written, which comes last; ``made_for`` finds it by ``key``. Raises what ``write_dump`` does.
    """
    record = write_dump(fleet, place, store, progress, key=key)
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
) -> BackupRecord:
    """Write the dump of a backup, or of a ``final`` copy, to the store. The record of it is yet to be added.

    Raises ``BackupRefused``, ``BackupFailed``, ``WrongTenantDatabase`` and what ``reading_connection`` raises.
    """
    server, to = fleet.servers[place.server], _Destination(store, place, key, final, progress)
    if isinstance(server, SqliteServer):
        return _dump_sqlite(server, to)
    return _dump_postgres(fleet.settings, server, to)


def _dump_sqlite(server: SqliteServer, to: _Destination) -> BackupRecord:
    # Beside the tenants' files, where there is room for such a one, and where it is found if we are killed.
    with scratch_name(server, to.key) as scratch:
        file = server.path(scratch)
        sqlite_copies.copy(server.path(to.place.database), file, to.name)
        with reading_connection(sqlite_url(file), to.name) as connection, connection.begin():
            described = _described(connection, to, sqlite3.sqlite_version)
        return to.write("sqlite", chunks_of(file), described)


def _dump_postgres(settings: Settings, server: Server, to: _Destination) -> BackupRecord:
    url = _url_that_sees_every_row(server, to)
    with reading_connection(url, to.name) as connection, connection.begin():
        tool = postgres_dumps.check_tool(settings, "pg_dump", server_version(connection))
        connection.exec_driver_sql(NO_IDLE_TIMEOUT)
        described = _described(connection, to, tool)
        snapshot = str(connection.scalar(select(func.pg_export_snapshot())))
        return to.write("dump", postgres_dumps.dump(settings, url, to.name, snapshot), described)


def _url_that_sees_every_row(server: Server, to: _Destination) -> URL:
    """As the tenant's role; where row level security is forced on that as well, as the server's.

    Raises ``RowsHidden`` if it is no use to either.
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


def _described(connection: Connection, to: _Destination, tool: str) -> dict[str, object]:
    """All of the record but what is known only of the finished dump."""
    place = to.place
    if connection.scalars(select(TenantIdentity.tenant_id)).all() != [place.id]:
        raise WrongTenantDatabase(place.slug)
    heads = MigrationContext.configure(connection).get_current_heads()
    if len(heads) != 1:
        raise BackupRefused(f"the database of {place.slug} is not at one revision")
    return {
        "format": FORMAT,
        "version": VERSION,
        "tenant_id": place.id,
        "slug": place.slug,
        "name": place.name,
        "created_at": to.created_at,
        "engine": connection.dialect.name,
        "server": ".".join(map(str, server_version(connection))),
        "tool": tool,
        "revision": heads[0],
        "fingerprint": fingerprint(read_structure(connection)),
    }
