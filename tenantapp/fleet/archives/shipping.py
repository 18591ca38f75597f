"""Ship what has changed in the SQLite databases of tenants, and in the user database, again and again.

A round looks at the times and sizes of all files. Of a database that was written to since, all pages are copied as of
one moment, and those that differ from the round before are written to ``backups.ship``. Writers are not held up. One
process at a time ships; it holds a lock on a file there, which ends with the process.

A process may die at any point. What it has begun to write is not a file of the archive yet. If it dies before it has
noted the pages of what it wrote, the next round writes all pages again.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final

from sqlalchemy import select

from tenantapp.databases.errors import DatabaseBusy
from tenantapp.databases.servers.base import TENANT_PREFIX
from tenantapp.databases.servers.sqlite_pages import copy_pages
from tenantapp.fleet.archives.ship_directory import (
    NOTED,
    Noted,
    Signature,
    archive_directory,
    directory_of,
    directory_of_people,
    last_round,
    read_noted,
    server_directory,
    write_noted,
    write_round,
)
from tenantapp.fleet.archives.shipped_owners import note_owner
from tenantapp.fleet.archives.shipped_pages import (
    BASE,
    PART,
    Shipped,
    moment_of,
    page_hash,
    pages_of,
    shipped_files,
    whole_hash,
    write_shipped,
)
from tenantapp.fleet.archives.shipped_removal import remove_old
from tenantapp.identity.models import Tenant
from tenantapp.operations.background import repeat
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.commit_counts import what_is_lost
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.servers import SqliteServer

log = logging.getLogger(__name__)
LOCK: Final = ".tenantapp"
COPY: Final = "copy" + PART
WAIT: Final = 10.0  # seconds to wait for a lock on a database
SETTLED_AFTER: Final = 2.0  # seconds: two writes within the resolution of a file's time look like one
REMOVE_EVERY: Final = 3600.0  # seconds
LONGEST_CHAIN: Final = timedelta(days=1)  # after which all pages are written again
MOST_AHEAD: Final = timedelta(minutes=5)

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """A database to ship: its file, and the directory of what was shipped of it."""

    file: Path
    directory: Path


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did. ``failed`` has the reasons by the database's directory."""

    looked: int = 0
    shipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class Shipper:
    """Ships, in rounds. A database that nobody writes to costs two calls of stat(2)."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._seen: dict[Path, Signature] = {}
        self._removed_at = -REMOVE_EVERY

    def run(self, stop: Event) -> None:
        """Ship every ``backups.ship_every`` seconds, until ``stop`` is set."""
        if self._fleet.settings.backups_ship is not None:
            repeat(stop, {"Nothing is shipped": self._work}, self._fleet.settings.backups_ship_every)

    def _work(self) -> bool:
        try:
            failed = self.ship().failed
        except OSError as error:
            failed = {"Any database": str(error)}
        for database, reason in failed.items():
            log.warning("%s is not shipped: %s", database, reason)
        return False

    def ship(self) -> Round:
        """Ship what has changed, unless another process does. Raises ``OSError`` if the archive cannot be used."""
        root = archive_directory(self._fleet.settings)
        with _alone(root) as is_alone:
            return self._ship(root) if is_alone else Round()

    def _ship(self, root: Path) -> Round:
        begun, before = utcnow(), last_round(root)
        if before.begun is None:  # an archive that is new, or was emptied
            self._seen.clear()
        done, failed, looked = 0, dict[str, str](), set[Path]()
        for source in sources(self._fleet):
            looked.add(source.directory)
            name = str(source.directory.relative_to(root))
            try:
                # One that failed has changes that may be older.
                done += self._ship_one(source, None if name in before.failed else before.begun)
            except (OSError, sqlite3.Error, DatabaseBusy) as error:
                failed[name] = str(error)
            except Exception as error:  # nothing that is wrong with one database may stop the others
                log.exception("%s cannot be shipped", name)
                failed[name] = f"{type(error).__name__}: {error}"
        failed |= dict.fromkeys(self._not_seen(root, looked), "there is no database in the directory of its server")
        write_round(root, begun, failed)
        if time.monotonic() - self._removed_at > REMOVE_EVERY:
            self._removed_at = time.monotonic()
            remove_old(root, begun - timedelta(days=self._fleet.settings.backups_keep_shipped), looked)
        return Round(len(looked), done, failed)

    def _not_seen(self, root: Path, looked: Collection[Path]) -> Iterator[str]:
        """Yield the databases of tenants on servers where no database was found: their disk may not be mounted."""
        there = {each.parent for each in looked}
        for name, server in self._fleet.servers.items():
            if isinstance(server, SqliteServer) and server_directory(root, name) not in there:
                with self._fleet.user_db.begin(read_only=True) as session:
                    known = session.scalars(select(Tenant.database).where(Tenant.server == name)).all()
                for directory in (directory_of(root, name, database) for database in known):
                    if shipped_files(directory):
                        yield str(directory.relative_to(root))

    def _ship_one(self, source: Source, seen_at: datetime | None) -> bool:
        signature = _signature(source.file)
        if signature is None or (self._seen.get(source.file) == signature and (source.directory / NOTED).exists()):
            return False
        noted = read_noted(source.directory)
        if noted is None or noted.signature != signature:
            if lost := what_is_lost(source.file):
                raise sqlite3.DatabaseError(lost)
            noted, shipped = self._ship_changes(source, noted, signature, seen_at)
        else:
            shipped = False
        self._seen[source.file] = noted.signature
        return shipped

    def _ship_changes(
        self, source: Source, noted: Noted | None, signature: Signature, seen_at: datetime | None
    ) -> tuple[Noted, bool]:
        """Write the pages that have changed, or all of them, and note the hashes of all. Returns whether any had."""
        source.directory.mkdir(parents=True, exist_ok=True)
        copy, times = source.directory / COPY, list[datetime]()
        # Before the copy: what is written after this has another time, if the resolution of the times allows.
        settled = signature if max(signature[2::3]) < time.time_ns() - SETTLED_AFTER * 1e9 else []
        with _without_parts(source.directory):
            copy_pages(source.file, copy, source.file.name, WAIT, begun=lambda: times.append(utcnow()))
            note_owner(source.directory, copy)
            size, pages = pages_of(copy)
            hashes = tuple(page_hash(page) for page in pages)
            if noted is not None and noted.hashes == hashes:
                noted, shipped = replace(noted, signature=settled), False
            else:
                at = _after_all(source.directory, times[0])
                since = seen_at or (moment_of(noted.name) if noted else LONG_AGO)
                noted, shipped = _write(source.directory, copy, noted, (size, hashes), (since, at), settled), True
        write_noted(source.directory, noted)
        return noted, shipped


def sources(fleet: Fleet) -> Iterator[Source]:
    """Yield the databases to ship: those of tenants, also replaced ones, and the user database."""
    root = Path(str(fleet.settings.backups_ship))
    url = fleet.settings.user_db_url
    if url.get_backend_name() == "sqlite" and url.database:
        yield Source(Path(os.path.realpath(url.database)), directory_of_people(root))
    for server in fleet.servers.values():
        if isinstance(server, SqliteServer) and server.directory.is_dir():
            for entry in os.scandir(server.directory):
                if entry.name.startswith(TENANT_PREFIX) and entry.name.endswith(".sqlite"):
                    database = entry.name.removesuffix(".sqlite")
                    yield Source(Path(os.path.realpath(entry.path)), directory_of(root, server.name, database))


def _signature(file: Path) -> Signature | None:
    """Return the inode, the size and the time of a file, and of its write-ahead log. None if there is no file."""
    found: Signature = []
    for each in (file, file.with_name(file.name + "-wal")):
        try:
            status = os.stat(each)
        except FileNotFoundError:
            if not found:
                return None
            continue
        if status.st_size or not found:
            found += [status.st_ino, status.st_size, status.st_mtime_ns]
    return found


def _write(
    directory: Path,
    copy: Path,
    noted: Noted | None,
    content: tuple[int, tuple[bytes, ...]],
    times: tuple[datetime, datetime],
    signature: Signature,
) -> Noted:
    size, hashes = content
    since, at = times
    follows = noted is not None and not _wants_base(directory, noted, at)
    before = noted if follows else None
    old = before.hashes if before else ()
    header = Shipped(
        at=at,
        since=since,
        after=before.name if before else None,
        after_sha256=before.sha256 if before else None,
        page_size=size,
        pages=len(hashes),
        whole=whole_hash(hashes),
    )
    _, pages = pages_of(copy)
    changed = (
        (number, page)
        for number, page in enumerate(pages, 1)
        if number > len(old) or old[number - 1] != hashes[number - 1]
    )
    sha256, written = write_shipped(directory, header, changed)
    base, added = (before.base_size, before.added + written) if before else (written, 0)
    return Noted(header.name, sha256, base, added, signature, hashes)


def _wants_base(directory: Path, noted: Noted, at: datetime) -> bool:
    """Return whether to write all pages: the chain is long or broken, or the changes are larger than the whole."""
    names = shipped_files(directory)
    bases = [name for name in names if name.endswith(BASE)]
    if not bases or names[-1] != noted.name or noted.added > noted.base_size:
        return True
    return moment_of(bases[-1]) < at - LONGEST_CHAIN


def _after_all(directory: Path, at: datetime) -> datetime:
    """Return a moment that is after all that were shipped, even if the clock was put back a little.

    Raises ``OSError`` if the last one is far in the future: nobody could restore what comes after it.
    """
    names = shipped_files(directory)
    if names and moment_of(names[-1]) > at + MOST_AHEAD:
        raise OSError(
            f"{names[-1]} is of the future, so a clock was wrong: take it out of {directory}, and those after it"
        )
    return max(at, moment_of(names[-1]) + timedelta(microseconds=1)) if names else at


@contextmanager
def _without_parts(directory: Path) -> Iterator[None]:
    """Remove unfinished files before and after the block: the copy, and what a killed process has left."""
    try:
        _remove_parts(directory)
        yield
    finally:
        _remove_parts(directory)


def _remove_parts(directory: Path) -> None:
    for file in directory.glob(f"*{PART}*"):
        file.unlink(missing_ok=True)


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Yield whether this process is the one that ships."""
    import fcntl  # not on Windows, where the application starts as well

    with (root / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
