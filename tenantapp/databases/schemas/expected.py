"""The structure that a revision should have, found by running the history in a scratch database."""

from collections import defaultdict
from threading import Lock
from typing import NamedTuple

from alembic.util import CommandError
from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.errors import UnknownRevision
from tenantapp.databases.histories.histories import history_digest, script_directory
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade_to
from tenantapp.databases.schemas.structure import Structure, read_structure
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Server

NAME = "a scratch database"


class _Key(NamedTuple):
    """What an expected structure depends on. Another version of a server writes its definitions differently."""

    server: str
    version: tuple[int, ...]
    revision: str
    history: str


class ExpectedStructures:
    """The structures that the revisions of the tenant history should have. Each is made once and kept.

    Threads may share it, for any length of time. If a file of the history changes, the structure is made again.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._known: dict[_Key, Structure] = {}
        self._locks: defaultdict[_Key, Lock] = defaultdict(Lock)
        self._lock = Lock()

    def of(self, server: Server, version: tuple[int, ...], revision: str) -> Structure:
        """Return the structure of this revision on a server of this version.

        Raises ``UnknownRevision`` if the history does not have the revision, ``HistoryError``, ``MigrationFailed``, and
        what ``scratch_database`` raises.
        """
        key = _Key(server.name, version, revision, history_digest(self._fleet.settings, "tenant").digest)
        with self._lock:
            lock = self._locks[key]
        with lock:
            if key not in self._known:
                self._known[key] = self._make(server, revision)
            return self._known[key]

    def _make(self, server: Server, revision: str) -> Structure:
        settings = self._fleet.settings
        check_revision(settings, revision)
        with scratch_database(self._fleet, "tenant", server=server) as url:
            upgrade_to(Target(settings, "tenant", NAME, url), revision)
            return structure_at(url, NAME)


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
