"""What archives the write-ahead log of a PostgreSQL server: pgBackRest, or another program with a module of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tenantapp.fleet.archives.cluster_directories import ClusterDirectory
from tenantapp.fleet.errors import MomentRefused

Still = Callable[[], None]
"""Called several times a second during long work. Raises if the work must stop."""


def unbroken() -> None:
    """Be a ``Still`` of work that nobody can stop."""


@dataclass(frozen=True, slots=True)
class ServerBackup:
    """A backup of a whole server. The log that was written since leads from it to each later moment.

    ``major`` is the major version of PostgreSQL, and ``size`` is in bytes. ``repository`` is the archive's own number
    of the place that has the backup.
    """

    label: str
    repository: int
    ended_at: datetime
    major: int
    size: int


class Archive(ABC):
    """The archive of one server. Each method raises ``MomentRefused`` if the archive cannot be used.

    Each that asks the archive calls the ``still`` it was made with, and raises what that raises.
    """

    @abstractmethod
    def version(self) -> str:
        """Return the archiver's name and version, for people."""

    @abstractmethod
    def backups(self) -> Sequence[ServerBackup]:
        """Return the backups of the server, the oldest first; at least one."""

    @abstractmethod
    def databases(self, backup: ServerBackup) -> Mapping[str, int]:
        """Return the names and the object ids of the databases in a backup."""

    @abstractmethod
    def room(self, backup: ServerBackup, without: Container[int]) -> int:
        """Return how many bytes a restore takes without the databases that have these object ids."""

    @abstractmethod
    def restore(self, backup: ServerBackup, into: ClusterDirectory, only: str | None, still: Still) -> None:
        """Restore a backup into the directory, with only this database or with all. The server is not started.

        The files of the other databases are there with their sizes, and without content, so that the log can be
        replayed. Raises ``BackupFailed`` and what ``still`` raises.
        """

    @abstractmethod
    def fetch_command(self, into: ClusterDirectory) -> str:
        """Return the ``restore_command`` of PostgreSQL that fetches a file of the log for a restored server."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Return what the archiver itself reads from the environment, such as the keys of its repository."""


def choose_backup(backups: Sequence[ServerBackup], moment: datetime, server: str) -> ServerBackup:
    """Return the newest backup that ended before the moment. Raises ``MomentRefused`` if there is none."""
    earlier = [backup for backup in backups if backup.ended_at <= moment]
    if not earlier:
        begins = min(backup.ended_at for backup in backups)
        raise MomentRefused(f"the archive of the server {server} begins at {begins:%Y-%m-%d %H:%M:%S} UTC")
    return max(earlier, key=lambda backup: backup.ended_at)
