"""Checks of this machine: versions, tools, permissions of files, and the store for backups."""

import os
import platform
import secrets
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg2
import psycopg2.extensions

from tenantapp.cli.checks.examination import Examination, Finding, count, ok, warning, wrong
from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, reading_connection
from tenantapp.databases.servers.sqlite_databases import SUFFIXES
from tenantapp.files.errors import FilesUnavailable
from tenantapp.files.storage import open_storage
from tenantapp.fleet.archives.archives import archive_of
from tenantapp.fleet.archives.cluster_directories import foreign_in, place_for_clusters
from tenantapp.fleet.archives.cluster_server import server_programs
from tenantapp.fleet.archives.ship_directory import archive_directory, last_round
from tenantapp.fleet.backups.postgres_tools import Tools, choose_tools, fitting_tools
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.errors import BackupRefused, MomentRefused
from tenantapp.mail.errors import MailDelayed
from tenantapp.mail.transports import transport_of
from tenantapp.settings import Settings
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.servers import Server, SqliteServer

LATE: Final = 3  # times ``backups.ship_every`` without a round
ROUND_TAKES: Final = timedelta(minutes=15)  # the first one, of many databases, takes longest
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def versions(examination: Examination) -> Iterator[Finding]:
    """Report the versions of the programs and libraries."""
    libpq = psycopg2.extensions.libpq_version()
    found = (
        f"tenantapp {version('tenantapp')}",
        f"Python {platform.python_version()}",
        f"SQLAlchemy {version('sqlalchemy')}",
        f"SQLite {sqlite3.sqlite_version}",
        f"psycopg2 {psycopg2.__version__.partition(' ')[0]} with libpq {libpq // 10000}.{libpq % 10000}",
    )
    yield ok("versions", ", ".join(found))


def postgres_tools(examination: Examination) -> Iterator[Finding]:
    """Check, for each PostgreSQL server, the tools that backups need."""
    installation = examination.installation
    report = warning if installation.settings.backups_store is None else wrong
    for server in installation.fleet.servers.values():
        if isinstance(server, SqliteServer):
            continue
        check = f"tools for {server.name}"
        try:
            tools = _tools_for(examination, server)
        except BackupRefused as error:
            reason, _, advice = error.reason.partition("; ")
            advice = advice or "let backups.postgres_bin name another directory"
            yield report(check, reason, advice[0].upper() + advice[1:])
        else:
            yield ok(check, f"version {tools.version} in {tools.directory}")


def _tools_for(examination: Examination, server: Server) -> Tools:
    settings = examination.installation.settings
    if server.name not in examination.versions:  # it does not answer
        return choose_tools(settings.backups_postgres_bin, (0,))
    url, name = server.own_url(MAINTENANCE_DATABASE), f"server {server.name}"
    with reading_connection(url, name) as connection:
        return fitting_tools(settings, connection)


def files(examination: Examination) -> Iterator[Finding]:
    """Count the files and directories with customers' data that the group or others may enter, read or change."""
    settings, servers = examination.installation.settings, examination.installation.fleet.servers
    found = []
    if settings.user_db_url.get_backend_name() == "sqlite":
        path = Path(str(settings.user_db_url.database)).absolute()
        found += _loose(path, [path.with_name(path.name + suffix) for suffix in ("", *SUFFIXES)])
    for server in servers.values():
        if isinstance(server, SqliteServer):
            directory = server.directory.absolute()
            found += _loose(directory, [directory, *_inside(directory)])
    with suppress(BackupRefused):  # the check of the backups reports it
        store = open_store(settings).directory
        found += _loose(store, [store]) if store is not None else []
    yield from found
    if not found:
        yield ok("files", "only the owner can read databases and backups")


def storage_of_files(examination: Examination) -> Iterator[Finding]:
    """Write a file into the storage of files, and remove it."""
    settings, name = examination.installation.settings, "storage of files"
    if settings.files_storage is None:
        return
    probe = uuid4()
    try:
        storage = open_storage(settings)
        storage.write(probe, probe, [b"tenantapp doctor"])
        storage.remove_tenant(probe)
    except FilesUnavailable as error:
        advice = "Let the user that runs tenantapp write there, or correct files.storage"
        yield wrong(name, f"the storage is not writable ({error})", advice)
    else:
        shared = "" if storage.directory is None else f": {storage.directory}, which must be the same on all machines"
        yield ok(name, f"the storage is writable{shared}")


def backups(examination: Examination) -> Iterator[Finding]:
    """Write a file into the store for backups, and remove it."""
    settings = examination.installation.settings
    if settings.backups_store is None:
        yield warning("backups", "backups.store is not set, so there are no backups", "Set backups.store")
        return
    store = open_store(settings)
    if store.directory is not None and not store.directory.exists():
        advice = "Make or mount it, and check backups.store; otherwise the first backup makes it"
        yield warning("backups", f"{store.directory} does not exist", advice)
        return
    probe = f"doctor-{secrets.token_hex(8)}"
    try:
        store.write(f"{probe}/probe", [b"tenantapp doctor"])
        store.remove_directory(probe)
    except Exception as error:  # from whatever library fsspec uses
        advice = "Let the user that runs tenantapp write there, or correct backups.store"
        yield wrong("backups", f"the store is not writable ({error})", advice)
        with suppress(Exception):
            store.remove_directory(probe)
    else:
        yield ok("backups", "the store is writable")


def archives(examination: Examination) -> Iterator[Finding]:
    """Say, for each server that archives its log, how far back a tenant can be restored, and if SQLite is shipped."""
    settings = examination.installation.settings
    if settings.backups_ship is not None:
        yield _shipping(settings)
    if settings.archives and settings.backups_clusters is None:
        yield wrong("archives", "backups.clusters is not set", "Name a directory in which a server can be restored")
        return
    for name in settings.archives:
        check = f"archive of {name}"
        try:
            archive = archive_of(settings, name)
            place_for_clusters(settings)
            backups = archive.backups()
            server_programs(settings, backups[-1].major)
        except MomentRefused as error:
            advice = "Correct it; until then no moment of that server can be restored"
            yield wrong(check, error.reason, advice)
        else:
            since = f"{backups[0].ended_at:%Y-%m-%d %H:%M:%S} UTC"
            yield ok(check, f"{archive.version()}, {count(len(backups), 'backup')}, moments since {since}")
    if settings.archives:
        yield from _foreign_clusters(Path(str(settings.backups_clusters)))


def _shipping(settings: Settings) -> Finding:
    check, advice = "shipping", "See the log of `tenantapp worker`; until then no later moment can be restored"
    try:
        last = last_round(archive_directory(settings))
    except OSError as error:
        return wrong(check, str(error), advice)
    if last.begun is None:
        return warning(check, "nothing was shipped yet", "Let `tenantapp worker` run")
    said = f"the last round began at {last.begun:%Y-%m-%d %H:%M:%S} UTC"
    if utcnow() - last.begun > LATE * timedelta(seconds=settings.backups_ship_every) + ROUND_TAKES:
        return wrong(check, said, advice)
    if last.failed:
        return wrong(check, f"{said}, and {count(len(last.failed), 'database')} could not be shipped", advice)
    return ok(check, said)


def _foreign_clusters(place: Path) -> Iterator[Finding]:
    with suppress(OSError):  # the first restore makes it, or only the user who restores may look into it
        if foreign := foreign_in(place):
            advice = "Give tenantapp a directory of its own: it removes what a killed restore has left there"
            yield warning("archives", f"{place} has {foreign[0]}, which is not tenantapp's", advice)


def _loose(place: Path, paths: Iterable[Path]) -> list[Finding]:
    """Return a finding if some of these paths are open to others. Missing ones do not count."""
    loose = sum(_is_loose(path) for path in paths)
    if not loose:
        return []
    detail = f"{count(loose, 'file or directory', 'files and directories')} at {place} open to the group or to others"
    return [warning("files", detail, f"Run `chmod -R go= {place}{'*' if place.is_file() else ''}`")]


def _is_loose(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return bool(path.stat().st_mode & OTHERS)
    return False


def _inside(directory: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            yield Path(entry)


def mail(examination: Examination) -> Iterator[Finding]:
    """Connect to the mail server, and sign in. Nothing is sent."""
    settings = examination.installation.settings
    if settings.mail_url is None:
        return
    try:
        yield ok("mail", transport_of(settings.mail_url, settings.mail_timeout).check())
    except MailDelayed as error:
        yield wrong(
            "mail", str(error).rstrip("."), "Mail waits until that is mended; docs/mail.md says how it is set up"
        )
