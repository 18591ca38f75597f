"""The structure that a revision should have, found by running the history in a scratch database."""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple

from alembic.util import CommandError
from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import maintenance_connection, reading_connection
from tenantapp.databases.errors import UnknownRevision
from tenantapp.databases.histories.histories import history_digest, script_directory
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade_to
from tenantapp.databases.schemas.structure import Structure, read_structure
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.servers import Server, SqliteServer

NAME = "a scratch database"


MOST_KEPT: Final = 32
KEPT_FOR: Final = 600.0  # seconds; an extension that is updated on a server may change how it writes definitions


class Key(NamedTuple):
    """What an expected structure depends on. Another version of a server writes its definitions differently."""

    server: URL | None  # None for SQLite, where each server is a directory
    version: tuple[int, ...]
    revision: str
    history: str


@dataclass(slots=True)
class _Wait:
    """A lock, and how many threads hold it or wait for it."""

    lock: Lock = field(default_factory=Lock)
    threads: int = 0


class KnownStructures:
    """The structures that were made: at most ``most`` of them, each for ``kept_for`` seconds.

    Threads may share it. Each structure is made by one thread, for which the others wait.
    """

    def __init__(self, *, most: int = MOST_KEPT, kept_for: float = KEPT_FOR) -> None:
        self._most, self._kept_for = most, kept_for
        self._made: OrderedDict[Hashable, tuple[float, Structure]] = OrderedDict()
        self._waits: dict[Hashable, _Wait] = {}  # for those that are being asked for
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Structure]) -> Structure:
        """Return the structure of this key. ``make`` makes it if it is not known; raises what ``make`` raises."""
        with self._alone(key):
            made, structure = self._made.get(key, (0.0, None))
            if structure is None or time.monotonic() - made > self._kept_for:
                structure = make()
                with self._lock:
                    self._made.pop(key, None)  # so that it is the newest again
                    self._made[key] = (time.monotonic(), structure)
                    if len(self._made) > self._most:
                        self._made.popitem(last=False)
            return structure

    @contextmanager
    def _alone(self, key: Hashable) -> Iterator[None]:
        """Keep other threads that ask for the same structure waiting during the block."""
        with self._lock:
            wait = self._waits.setdefault(key, _Wait())
            wait.threads += 1
        try:
            with wait.lock:
                yield
        finally:
            with self._lock:
                wait.threads -= 1
                if not wait.threads:
                    del self._waits[key]


def expected_structure(fleet: Fleet, server: Server, version: tuple[int, ...], revision: str) -> Structure:
    """Return the structure that a revision of the tenant history should have on a server of this version.

    It is made in a scratch database, and kept in this process for ten minutes. If a file of the history changes, it is
    made again. Raises ``UnknownRevision`` if the history does not have the revision, ``HistoryError``,
    ``MigrationFailed``, and what ``scratch_database`` raises.
    """

    def make() -> Structure:
        with database_at(fleet, server, revision) as url:
            return structure_at(url, NAME)

    place = None if isinstance(server, SqliteServer) else server.url
    return _known.get(Key(place, version, revision, history_digest(fleet.settings, "tenant").digest), make)


@contextmanager
def database_at(fleet: Fleet, server: Server, revision: str) -> Iterator[URL]:
    """Yield the URL of a scratch database that the history has brought to this revision.

    Raises what ``expected_structure`` raises.
    """
    check_revision(fleet.settings, revision)
    with scratch_database(fleet, "tenant", server=server) as url:
        upgrade_to(Target(fleet.settings, "tenant", NAME, url), revision)
        yield url


def expected_privileges(fleet: Fleet, server: Server, revision: str) -> dict[str, str]:
    """Return the privileges and settings that a revision has on a server. Raises what ``expected_structure`` raises."""
    return expected_structure(fleet, server, version_of(server), revision).privileges


def version_of(server: Server) -> tuple[int, ...]:
    """Return the version of a server. Raises what ``maintenance_connection`` raises."""
    if isinstance(server, SqliteServer):
        return sqlite3.sqlite_version_info
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        return server_version(connection)


def structure_at(url: URL, name: str) -> Structure:
    """Return the structure of the database at this URL. ``name`` is for messages.

    Raises what ``reading_connection`` raises.
    """
    with reading_connection(url, name) as connection:
        return read_structure(connection)


def check_revision(settings: Settings, revision: str) -> None:
    """Raise ``UnknownRevision`` unless the tenant history has exactly this revision."""
    try:
        script = script_directory(settings, "tenant").get_revision(revision)
    except CommandError as error:
        raise UnknownRevision(revision) from error
    # Alembic also accepts the start of a revision, and words such as "head".
    if script is None or script.revision != revision:
        raise UnknownRevision(revision)


_known: Final = KnownStructures()
