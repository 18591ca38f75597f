"""Copy a database into an empty one, also to the other engine."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.databases.connections.extensions import check_copied
from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, reading_connection
from tenantapp.databases.histories.targets import Target, tenant_target
from tenantapp.databases.privileges.giving import check_given_again, give_privileges
from tenantapp.databases.privileges.statements import MAINTAIN_SINCE, gives_others, without_maintain
from tenantapp.databases.schemas.expected import expected_privileges, structure_at, version_of
from tenantapp.databases.schemas.structure import found_in, read_structure
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.sqlite_databases import SqliteDatabases
from tenantapp.databases.servers.sqlite_pages import Progress, copy_pages, finish_copy
from tenantapp.databases.servers.working_directories import working_directory
from tenantapp.fleet.backups import postgres_dumps
from tenantapp.fleet.backups.postgres_tools import Tools, fitting_tools
from tenantapp.fleet.backups.restored_forms import Side, structure_differences
from tenantapp.fleet.bundles.exporting import write_bundle
from tenantapp.fleet.bundles.loading import load_bundle, make_tables
from tenantapp.fleet.copying.checks import expected_on
from tenantapp.fleet.copying.originals import Original, single_revision
from tenantapp.fleet.errors import BackupRefused, CopyFailed, CopyRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.outcomes import counted
from tenantapp.settings import Settings
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, SqliteServer

MIB: Final = 2**20
WAIT: Final = 60.0  # seconds to wait for locks on a SQLite file
IDENTITY: Final = TenantIdentity.__tablename__
# pg_dump is piped into pg_restore. Publications and subscriptions belong to the server, not to the tenant.
PIPED: Final = (
    "--compress=0",
    "--no-publications",
    "--no-subscriptions",
    f"--exclude-table-data=public.{IDENTITY}",
)


@dataclass(frozen=True, slots=True)
class Copied:
    """How a database was copied, ``dump``, ``copy`` (of a file) or ``bundle``, and its revision."""

    method: str
    revision: str


@checkpoint("copy.fill")
def copy_database(
    fleet: Fleet,
    original: Original,
    place: TenantPlace,
    mark: str,
    progress: Progress,
    *,
    revision: str | None = None,
    made: bool = False,
    privileges: Mapping[str, str] | None = None,
) -> Copied:
    """Make the database of a place, with our mark, as a copy of another one at one moment. It gets no identity yet.

    The original can be used meanwhile, but on PostgreSQL not migrated. ``revision`` is that of an original that records
    none. ``privileges`` are those that the copy gets, if they are not the original's. ``progress`` gets a fraction from
    0 to 1 and a text; an exception from it ends the copying. A database that exists already is refused, because another
    worker may be filling it. If this operation has ``made`` it empty, it is filled in one transaction. Raises
    ``CopyRefused``, ``CopyFailed``, ``BackupFailed``, a ``BundleError``, ``HistoryError``, what ``check_given_again``
    raises, and what connections raise.
    """
    server = fleet.servers[place.server]
    target = tenant_target(fleet, place)
    if not made and databases_on(server).exists(place.database):
        raise CopyFailed(original.name, "an earlier attempt was interrupted")
    if original.path is not None and isinstance(server, SqliteServer):
        with SqliteDatabases(server).filled(place.database, mark) as file:
            _copy_file(original.path, file, original.name, progress)
        return Copied("copy", revision or _revision_of(target, original.name))
    with original.reading() as connection:
        at = revision or single_revision(connection, original.name)
        given = read_structure(connection).privileges if privileges is None else privileges
        check_given_again(given, server, original.name)
        check_copied(connection, server, original.name)
        tools = _fitting_tools(fleet.settings, connection, server)
        if not made:
            databases_on(server).create(place.database, mark)
        if tools is None:
            return _bundle(fleet, connection, target, place, at, progress, given)
        copied = _dump(tools, connection, original, target, at, progress, server.extensions)
        if privileges is None:
            given = _as_granted(fleet, server, connection, given, at)
    give_privileges(target.url, target.name, given, CopyFailed)
    return copied


def _as_granted(
    fleet: Fleet, server: Server, connection: Connection, privileges: Mapping[str, str], revision: str
) -> Mapping[str, str]:
    """Return the privileges of an original, so that others get no right that its version of PostgreSQL does not have.

    ALL includes MAINTAIN on a newer one. Where the revision says ALL, it means that.
    """
    if not server_version(connection)[0] < MAINTAIN_SINCE <= version_of(server)[0] or not gives_others(privileges):
        return privileges
    return without_maintain(privileges, expected_privileges(fleet, server, revision))


def _copy_file(source: Path, copy: Path, name: str, progress: Progress) -> None:
    """Copy a SQLite file, without the identity."""
    try:
        copy_pages(source, copy, name, WAIT, progress)
        with closing(sqlite3.connect(copy)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (IDENTITY,)).fetchone():
                with connection:
                    connection.execute(f"DELETE FROM {IDENTITY}")  # noqa: S608
        finish_copy(copy)
    except sqlite3.Error as error:
        raise CopyFailed(name, str(error)) from error


def _revision_of(target: Target, name: str) -> str:
    with reading_connection(target.url, target.name) as connection, connection.begin():
        return single_revision(connection, name)


def check_drift_carried(fleet: Fleet, connection: Connection, original: Side, server: Server, revision: str) -> None:
    """Raise ``CopyRefused`` if the copy on this server would not have the drift of its original.

    A bundle has rows alone, and the tables are those of the revision. ``connection`` leads to the original. Also raises
    what ``expected_on`` and connections raise.
    """
    if isinstance(original.server, SqliteServer) and isinstance(server, SqliteServer):
        return
    if _fitting_tools(fleet.settings, connection, server) is not None:
        return
    if drift := structure_differences(fleet, expected_on(fleet, original.server, revision), original):
        raise CopyRefused(
            f"{original.name[0].upper()}{original.name[1:]} differs from revision {revision}: {found_in(drift)}; to the"
            f" server {server.name} it can be copied by a bundle alone, which does not carry that."
        )


def _fitting_tools(settings: Settings, connection: Connection, server: Server) -> Tools | None:
    """Return the pg_dump and pg_restore that can copy from the one server to the other, or None."""
    if {connection.dialect.name, server.url.get_backend_name()} != {"postgresql"}:
        return None
    source = server_version(connection)
    with reading_connection(server.own_url(MAINTENANCE_DATABASE), f"server {server.name}") as other:
        # An older server may not understand the dump of a newer one.
        if server_version(other)[0] < source[0]:
            return None
        try:
            return fitting_tools(settings, other, source)
        except BackupRefused:
            return None


def _dump(
    tools: Tools,
    connection: Connection,
    original: Original,
    target: Target,
    revision: str,
    progress: Progress,
    given: Collection[str],
) -> Copied:
    snapshot = str(connection.scalar(select(func.pg_export_snapshot())))
    size: int = connection.scalar(select(func.pg_database_size(func.current_database()))) or 1
    with postgres_dumps.dump(tools, original.url, original.name, snapshot, *PIPED) as chunks:
        postgres_dumps.restore(tools, target.url, target.name, _counted(chunks, size, progress), given)
    return Copied("dump", revision)


def _counted(chunks: Iterable[bytes], size: int, progress: Progress) -> Iterator[bytes]:
    """Yield the chunks, and report the progress. A database is larger than its dump, which has no indexes."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(min(done / size, 0.99), f"{done // MIB} MiB")


def _bundle(
    fleet: Fleet,
    connection: Connection,
    target: Target,
    place: TenantPlace,
    revision: str,
    progress: Progress,
    privileges: Mapping[str, str],
) -> Copied:
    with working_directory("copy") as directory:
        file = directory / "bundle"
        manifest = write_bundle(fleet.settings, connection, revision, place, file, counted(progress, "{} rows read"))
        make_tables(target, revision)
        if {connection.dialect.name, target.url.get_backend_name()} == {"postgresql"}:
            _check_privileges(target, privileges)
        load_bundle(fleet, place, file, counted(progress, "{} rows loaded", total=manifest.rows, since=0.5), ours=True)
    return Copied("bundle", revision)


def _check_privileges(target: Target, privileges: Mapping[str, str]) -> None:
    """Raise ``CopyFailed`` if the original has other privileges or settings than its history has given the copy."""
    found = structure_at(target.url, target.name).privileges
    things = {thing for thing, _ in privileges.items() ^ found.items()}
    if things:
        words = "a bundle carries no privileges, and those of these are not of the history"
        raise CopyFailed(target.name, f"{words}: {found_in(sorted(things))}")
