"""Backing up one tenant's database."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.fleet.backups import postgres_dumps, sqlite_copies
from tenantapp.fleet.backups.records import FORMAT, VERSION, BackupRecord
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.connections import reading_connection
from tenantapp.fleet.errors import BackupRefused
from tenantapp.fleet.schemas.structure import fingerprint, read_structure
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, Servers, SqliteServer, sqlite_url
from tenantapp.tenancy.times import utcnow

Progress = Callable[[int], None]
# The dump outlives our part of it, in which nothing is asked.
NO_IDLE_TIMEOUT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"


def backup_tenant(
    settings: Settings, servers: Servers, place: TenantPlace, store: Store, progress: Progress = lambda size: None
) -> BackupRecord:
    """Back a tenant's database up as it is at one moment; ``progress`` is told of each so many bytes.

    The tenant may be used meanwhile; on PostgreSQL it may not be migrated. The backup exists from when its record is
    written, which comes last. Raises ``BackupRefused``, ``BackupFailed``, ``WrongTenantDatabase``, ``OSError`` and what
    ``reading_connection`` raises.
    """
    server, created_at = servers[place.server], utcnow()
    name = f"the database of {place.slug}"
    if isinstance(server, SqliteServer):
        return _backup_sqlite(server, place, store, created_at, name, progress)
    return _backup_postgres(settings, server, place, store, created_at, name, progress)


def _backup_sqlite(
    server: SqliteServer, place: TenantPlace, store: Store, created_at: datetime, name: str, progress: Progress
) -> BackupRecord:
    with tempfile.TemporaryDirectory(prefix="backup_") as directory:
        file = Path(directory) / "copy.sqlite"
        sqlite_copies.copy(server.path(place.database), file, name)
        with reading_connection(sqlite_url(file), name) as connection, connection.begin():
            described = _described(connection, place, created_at, sqlite3.sqlite_version)
        chunks = sqlite_copies.chunks_of(file)
        return _store(store, place, created_at, "sqlite", _counted(chunks, progress), described)


def _backup_postgres(
    settings: Settings,
    server: Server,
    place: TenantPlace,
    store: Store,
    created_at: datetime,
    name: str,
    progress: Progress,
) -> BackupRecord:
    url = server.tenant_url(place.database)
    with reading_connection(url, name) as connection, connection.begin():
        tool = postgres_dumps.check_tool(settings, "pg_dump", connection.dialect.server_version_info or (0,))
        connection.exec_driver_sql(NO_IDLE_TIMEOUT)
        described = _described(connection, place, created_at, tool)
        snapshot = str(connection.scalar(select(func.pg_export_snapshot())))
        chunks = postgres_dumps.dump(settings, url, name, snapshot)
        return _store(store, place, created_at, "dump", _counted(chunks, progress), described)


def _described(connection: Connection, place: TenantPlace, created_at: datetime, tool: str) -> dict[str, object]:
    """All of the record but what is known only of the finished dump."""
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
        "created_at": created_at,
        "engine": connection.dialect.name,
        "server": ".".join(map(str, connection.dialect.server_version_info or ())),
        "tool": tool,
        "revision": heads[0],
        "fingerprint": fingerprint(read_structure(connection)),
    }


def _store(
    store: Store,
    place: TenantPlace,
    created_at: datetime,
    suffix: str,
    chunks: Iterable[bytes],
    described: dict[str, object],
) -> BackupRecord:
    file = store.new_file(place.id, created_at, suffix)
    size, sha256 = store.write(file, chunks)
    record = BackupRecord.model_validate(described | {"file": file, "size": size, "sha256": sha256})
    store.add(record)
    return record


def _counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        progress(len(chunk))
