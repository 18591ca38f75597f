"""Make a backup of what a tenant had at a moment: of its database, restored beside as it was then.

A PostgreSQL server is restored as a whole. A SQLite database is put together from what was shipped of it.

It is an ordinary backup, from which the ordinary restore goes on.
"""

import getpass
import secrets
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import maintenance_connection, reading_connection
from tenantapp.databases.servers.working_directories import working_directory
from tenantapp.fleet.archives.accounts import account_for
from tenantapp.fleet.archives.archive import Archive, ServerBackup, Still, choose_backup
from tenantapp.fleet.archives.archives import archive_of, check_archived
from tenantapp.fleet.archives.archiving import have_archived
from tenantapp.fleet.archives.cluster_directories import (
    cluster_directory,
    made_place,
    place_for_clusters,
    remove_left_clusters,
)
from tenantapp.fleet.archives.cluster_server import IGNORES_PAGES, Recovery, recovered, server_programs
from tenantapp.fleet.archives.ship_directory import archive_directory, directory_of, shipped_of
from tenantapp.fleet.archives.shipped_pages import build, content_at
from tenantapp.fleet.backups.backing_up import backup_tenant
from tenantapp.fleet.backups.chunks import told
from tenantapp.fleet.backups.former_places import Then, place_then
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.selection import check_called, check_restorable
from tenantapp.fleet.backups.store import made_for, open_store
from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Step
from tenantapp.settings import Settings
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import PostgresServer, Server, Servers, SqliteServer

MIB: Final = 2**20
ALWAYS: Final = ("postgres", "template0", "template1")  # restored whatever is left out
# What the log adds to the backup is not known before, nor how much of the log lies there at a time.
GROWTH: Final = 1.25
ROOM_FOR_THE_LOG: Final = 512 * MIB


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment to which a tenant is to be restored.

    ``database`` names the database that it had then, as ``DATABASE`` or ``SERVER:DATABASE``, if that is to be another
    one than the user database says.
    """

    at: datetime
    database: str | None = None


def moment_arguments(
    session: Session, fleet: Fleet, tenant_id: UUID, slug: str, moment: Moment, target: Server
) -> dict[str, Any]:
    """Return the arguments of a restore that say what the tenant had at a moment.

    Raises ``MomentRefused``, ``ServerError``, and what ``open_store`` raises.
    """
    if moment.at >= utcnow():
        raise MomentRefused("it is in the future")
    tenant = session.get(Tenant, tenant_id)
    if tenant is not None:
        check_called(tenant_id, tenant.slug, slug)
    then = place_then(session, tenant_id, slug, tenant, moment.at, moment.database)
    check_archived(fleet.settings, fleet.servers[then.server])
    if type(target) is not type(fleet.servers[then.server]):
        raise MomentRefused(f"the servers {then.server} and {target.name} are of different engines")
    if isinstance(target, SqliteServer):
        check_shipped(fleet.settings, then, moment.at)
    open_store(fleet.settings)
    return {"backup": None, "at": moment.at.isoformat(), "then": then._asdict()}


def _back_up(context: Context) -> dict[str, Any]:
    fleet, given = context.fleet, context.arguments
    store, of = open_store(fleet.settings), UUID(given["backup_of"])
    record = made_for(store.records(of), context.operation_id) or _back_up_moment(context)
    store.remove_abandoned(of, utcnow(), context.operation_id)
    check_restorable(fleet.settings, record, fleet.servers[given["server"]])
    return {"backup": record.id}


def _back_up_moment(context: Context) -> BackupRecord:
    fleet, then, moment = context.fleet, Then(**context.arguments["then"]), _moment(context)
    if isinstance(fleet.servers[then.server], SqliteServer):
        return _back_up_shipped(context, then, moment)
    place = place_for_clusters(fleet.settings)
    archive = archive_of(fleet.settings, then.server, _still(context, "the archive is being read"))
    place = made_place(place)
    remove_left_clusters(fleet)
    backup = choose_backup(archive.backups(), moment, then.server)
    programs = server_programs(fleet.settings, backup.major)
    beside = _Beside(context, place, then, moment, archive, backup, programs)
    have_archived(fleet.servers[then.server], _still(context, "the server archives its log"))
    wanted = _wanted(archive, backup, then.database)
    try:
        return beside.back_up(wanted)
    except _MadeAnew:
        return beside.back_up(EVERYTHING)


def _back_up_shipped(context: Context, then: Then, moment: datetime) -> BackupRecord:
    """Put a SQLite database together from what was shipped of it, and back it up from a server with only this file."""
    server = context.fleet.servers[then.server]
    context.progress(0.0, "the database is put together")
    with working_directory("moment") as directory:
        beside = SqliteServer(server.name, server.url.set(database=f"{directory}/"))
        until = build_shipped(context.fleet.settings, then, moment, beside.path(then.database))
        return _back_up_beside(context, beside, then, until)


def build_shipped(settings: Settings, then: Then, moment: datetime, target: Path) -> datetime:
    """Make the newest content up to a moment that was shipped of a database.

    Returns until when the database had that: the moment itself, or the last one that is certain. Raises
    ``MomentRefused``, ``ShippedDamaged`` and ``BackupFailed``.
    """
    name = f"the database {then.database}"
    try:
        root = archive_directory(settings)
        directory = directory_of(root, then.server, then.database)
        content = content_at(shipped_of(root, directory), moment)
        build(directory, content.at, target)
    except OSError as error:
        raise BackupFailed("The archive", name, str(error)) from error
    return min(moment, content.until)


def check_shipped(settings: Settings, then: Then, moment: datetime) -> None:
    """Raise ``MomentRefused`` if what a database had at a moment was not shipped. Raises ``BackupFailed`` as well."""
    try:
        root = archive_directory(settings)
        content_at(shipped_of(root, directory_of(root, then.server, then.database)), moment)
    except OSError as error:
        raise BackupFailed("The archive", f"the database {then.database}", str(error)) from error


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The only database to restore, or None for all, and the object ids of those that are left out."""

    name: str | None
    object_id: int | None
    left_out: frozenset[int]


EVERYTHING: Final = _Wanted(None, None, frozenset())


class _MadeAnew(Exception):
    """The database that the tenant had at the moment was made after the backup, in place of one of the same name."""


@dataclass(frozen=True, slots=True)
class _Beside:
    """The server that is restored beside the real one, up to a moment, from a backup of the archive."""

    context: Context
    place: Path
    then: Then
    moment: datetime
    archive: Archive
    backup: ServerBackup
    programs: Path

    def back_up(self, wanted: _Wanted) -> BackupRecord:
        """Restore what is wanted, and back the tenant's database up from it. Raises ``_MadeAnew``."""
        context, settings, archive = self.context, self.context.fleet.settings, self.archive
        check_room(self.place, archive.room(self.backup, wanted.left_out))
        with cluster_directory(self.place, account_for(settings)) as directory:
            restoring = f"backup {self.backup.label} is being restored"
            archive.restore(self.backup, directory, wanted.name, _still(context, restoring))
            server = context.fleet.servers[self.then.server]
            role = server.url.username or getpass.getuser()  # as libpq does
            fetch = archive.fetch_command(directory)
            recovery = Recovery(self.moment, fetch, archive.environment(), wanted.object_id, role, server.name)
            with recovered(directory, self.programs, recovery, _still(context, "the log is being replayed")) as url:
                return _dump(context, url, self.then, self.moment, wanted)


def _dump(context: Context, url: URL, then: Then, moment: datetime, wanted: _Wanted) -> BackupRecord:
    """Back up the tenant's database from the server beside, as from any other server."""
    fleet = context.fleet
    # Passwords of its own: those of the roles then need not be those of today.
    server = cast("PostgresServer", fleet.servers[then.server])
    beside = replace(server, url=url, secret=secrets.token_hex(32), former_secret=None, pgbouncer=None)
    _let_in(beside, then.database, wanted.object_id)
    return _back_up_beside(context, beside, then, moment)


def _back_up_beside(context: Context, beside: Server, then: Then, moment: datetime) -> BackupRecord:
    """Back up the tenant's database from a server that has it as it was then."""
    fleet, of = context.fleet, UUID(context.arguments["backup_of"])
    slug, name = _called(context, of)
    _check_whose(beside, then, of, slug)
    there = replace(fleet, servers=Servers({beside.name: beside}))
    place = TenantPlace(of, slug, name, beside.name, then.database)
    store = open_store(fleet.settings)
    return backup_tenant(there, place, store, told(context, 0), key=context.operation_id, moment=moment)


def _let_in(server: PostgresServer, database: str, restored: int | None) -> None:
    with maintenance_connection(server.url, f"the server {server.name} as it was then") as connection:
        if not (postgres.database_exists(connection, database) and postgres.role_exists(connection, database)):
            raise MomentRefused(
                f"the server {server.name} had no database {database} at that moment; name another with --database"
            )
        if restored not in (None, postgres.database_id(connection, database)):
            raise _MadeAnew
        postgres.set_password(connection, database, server.tenant_password(database))
        postgres.allow_login(connection, database, allowed=True)


def _called(context: Context, tenant_id: UUID) -> tuple[str, str]:
    """Return the slug and the name of the tenant, which may have been removed."""
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = session.get(Tenant, tenant_id)
        slug = str(context.arguments.get("source_slug", context.slug))
        return (slug, slug) if tenant is None else (tenant.slug, tenant.name)


def _check_whose(server: Server, then: Then, tenant_id: UUID, slug: str) -> None:
    name = f"the database {then.database} of the server {server.name} as it was then"
    with reading_connection(server.tenant_url(then.database), name) as connection, connection.begin():
        if connection.scalars(select(TenantIdentity.tenant_id)).all() != [tenant_id]:
            raise MomentRefused(f"the database {then.database} was not that of the tenant {slug}")


def _wanted(archive: Archive, backup: ServerBackup, database: str) -> _Wanted:
    """Return what to restore: all databases if the wanted one is newer than the backup.

    It may have been made as a copy of the files of another database then, which have to be there.
    """
    databases = archive.databases(backup)
    if database not in databases or backup.major < IGNORES_PAGES:
        return EVERYTHING
    others = {number for name, number in databases.items() if name not in (database, *ALWAYS)}
    return _Wanted(database, databases[database], frozenset(others))


def check_room(place: Path, size: int) -> None:
    """Raise ``MomentRefused`` if a directory has no room for a server of this size in bytes, and for its log."""
    needed, free = int(size * GROWTH) + ROOM_FOR_THE_LOG, shutil.disk_usage(place).free
    if free < needed:
        raise MomentRefused(
            f"{place} has {free // MIB} MiB free, and restoring the server there takes up to {needed // MIB} MiB"
        )


def _still(context: Context, text: str) -> Still:
    return lambda: context.progress(0.0, text)


def _moment(context: Context) -> datetime:
    return datetime.fromisoformat(context.arguments["at"])


def _remove_left(context: Context) -> None:
    remove_left_clusters(context.fleet)
    store = open_store(context.fleet.settings)
    store.remove_abandoned(UUID(context.arguments["backup_of"]), utcnow(), context.operation_id)


def _is_wanted(context: Context) -> bool:
    return "at" in context.arguments


MOMENT: Final = Step("moment", _back_up, _remove_left, needed=_is_wanted)
