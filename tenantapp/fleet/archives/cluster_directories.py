"""The directories of restored servers. Each exists only within a ``with`` block, or until a worker finds it.

The process that has made a directory holds a lock on it, which ends with the process. So a directory without a lock was
left by a process that was killed. It is removed if it is certainly ours: by its name, by its owner, and by a marker,
which is the first thing in it and the last.

All programs that work in a directory are started in it, so they are found by their working directory: also those that
outlived the process that has started them.
"""

import logging
import os
import re
import secrets
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tenantapp.fleet.archives.accounts import Account, account_for
from tenantapp.fleet.errors import BackupError, BackupFailed, MomentRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings

log = logging.getLogger(__name__)
PREFIX: Final = "cluster-"
OURS: Final = re.compile(r"cluster-[0-9a-f]{12}")
MARKER: Final = ".tenantapp"
PROCESSES: Final = Path("/proc")
# What runs in a directory for us. A shell of somebody who looks around there is left alone.
SERVER: Final = "postgres"
PROGRAMS: Final = (SERVER, "pgbackrest")
LONGEST_SOCKET: Final = 100  # bytes; the path of a Unix socket has 107 at most on Linux
LONGEST_END: Final = 10.0  # seconds
LONGEST_REMOVAL: Final = 600.0  # seconds
LOOK_EVERY: Final = 0.02  # seconds
SHELL: Final = "/bin/sh"
IN_DIRECTORY: Final = 'umask 077; cd -P -- "$0" && exec "$@"'
NEW_FILE: Final = 'rm -f -- "$0" && set -C && cat > "$0"'
# The marker goes last, so what is left of a removal that was interrupted is still known as ours.
REMOVE: Final = 'cd -P -- "$0" && rm -rf -- * && cd / && rm -rf -- "$0"'


@dataclass(frozen=True, slots=True)
class ClusterDirectory:
    """The directory of a restored server, which belongs to the user who runs it. Only that user works in it."""

    path: Path
    account: Account

    @property
    def data(self) -> Path:
        """Return the data directory of PostgreSQL."""
        return self.path / "data"

    @property
    def socket(self) -> Path:
        """Return the directory of the server's Unix socket."""
        return self.path / "s"

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a program in it as its user, with this environment alone. Raises ``OSError``."""
        return self.account.start(self._inside(command), environment, **options)

    def run(self, command: Sequence[str], doing: str, *, given: str = "") -> str:
        """Run a program in it as its user, and return what it writes. Raises ``BackupFailed``."""
        return self.account.run(self._inside(command), doing, str(self.path), given=given)

    def make(self, name: str) -> None:
        """Make a directory in it that only its user may enter. Raises ``BackupFailed``."""
        self.run(("mkdir", "--", name), f"Making the directory {name}")

    def write(self, name: str, text: str) -> None:
        """Write a file in it that only its user may read, in place of one that is there. Raises ``BackupFailed``."""
        self.run((SHELL, "-c", NEW_FILE, name), f"Writing {name}", given=text)

    def _inside(self, command: Sequence[str]) -> tuple[str, ...]:
        return SHELL, "-c", IN_DIRECTORY, str(self.path), *command


def place_for_clusters(settings: Settings) -> Path:
    """Return the directory for restored servers, which may not be there yet. Raises ``MomentRefused``."""
    place = Path(str(settings.backups_clusters)).absolute()
    if not (PROCESSES / "self" / "cwd").exists():
        raise MomentRefused("a server is restored only on Linux, where processes are found by their directory")
    if len(os.fsencode(place / f"{PREFIX}{'0' * 12}" / "s" / ".s.PGSQL.5432")) > LONGEST_SOCKET:
        raise MomentRefused(f"the path {place} is too long for the socket of a server; give backups.clusters another")
    return place


def made_place(place: Path) -> Path:
    """Return a directory with its links resolved, after making it if it is not there. Raises ``MomentRefused``."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place.resolve()
    except OSError as error:
        raise MomentRefused(f"the directory {place} cannot be used ({error.strerror})") from error


def foreign_in(place: Path) -> list[str]:
    """Return the names of what is in a directory for restored servers and has no name of ours. Raises ``OSError``."""
    return sorted(name for name in os.listdir(place) if not OURS.fullmatch(name))


@contextmanager
def cluster_directory(place: Path, account: Account) -> Iterator[ClusterDirectory]:
    """Yield a new directory, and at the end stop what runs in it and remove it.

    Raises ``MomentRefused``, and ``BackupFailed`` if it cannot be removed.
    """
    try:
        directory, lock = _made(place, account)
    except (OSError, BackupFailed) as error:
        raise MomentRefused(f"the directory {place} cannot be used ({str(error).rstrip('.')})") from error
    try:
        try:
            directory.write(MARKER, "A server that tenantapp has restored. It is removed with all that is in here.\n")
            yield directory
        finally:
            _remove(directory)
    finally:
        os.close(lock)


def remove_left_clusters(fleet: Fleet) -> None:
    """Remove the servers that killed processes of this machine have left, running or not: a chore of workers.

    What cannot be removed is logged, and stays.
    """
    if fleet.settings.backups_clusters is None:
        return
    with suppress(OSError, MomentRefused):  # it is not there, or belongs to root, so none was restored there
        account, place = account_for(fleet.settings), Path(fleet.settings.backups_clusters).resolve()
        for name in filter(OURS.fullmatch, os.listdir(place)):
            try:
                _remove_left(ClusterDirectory(place / name, account))
            except BackupError as error:
                log.warning("What is left of a restored server stays: %s", error)


def _remove_left(directory: ClusterDirectory) -> None:
    """Remove a directory that nobody uses any more, if it is ours. Raises ``BackupFailed``."""
    with suppress(OSError):  # another process is faster, or it is no directory
        lock = _opened(directory)
        try:
            _take(lock)
            if _is_ours(lock, directory.account):
                _remove(directory)
        finally:
            os.close(lock)


def _made(place: Path, account: Account) -> tuple[ClusterDirectory, int]:
    """Make a directory, and return it with the lock on it. Raises ``OSError`` and ``BackupFailed``."""
    while True:
        directory = ClusterDirectory(place / f"{PREFIX}{secrets.token_hex(6)}", account)
        account.run(("mkdir", "-m", "700", "--", str(directory.path)), "Making a directory", str(directory.path))
        # Between the two, another process may take it for one that was left.
        with suppress(FileNotFoundError):
            lock = _opened(directory)
            with suppress(BlockingIOError):
                _take(lock)
                if directory.path.exists():
                    return directory, lock
            os.close(lock)


def _opened(directory: ClusterDirectory) -> int:
    return os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _is_ours(lock: int, account: Account) -> bool:
    """Return whether an open directory is its user's, and has the marker, or nothing: the marker is the first in it."""
    if os.fstat(lock).st_uid != account.user:
        return False
    names = os.listdir(lock)
    return not names or (MARKER in names and stat.S_ISREG(os.stat(MARKER, dir_fd=lock, follow_symlinks=False).st_mode))


def _take(lock: int) -> None:
    """Lock a directory. Raises ``BlockingIOError`` if another process, or another thread of ours, has done so."""
    import fcntl  # not on Windows, where the application starts as well

    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(directory: ClusterDirectory) -> None:
    """End the programs that run in a directory, and remove it. Raises ``BackupFailed``."""
    _end_processes(directory)
    path = str(directory.path)
    try:
        directory.account.run((SHELL, "-c", REMOVE, path), "Removing the directory", path, longest=LONGEST_REMOVAL)
    except BackupFailed:
        if directory.path.exists():
            raise


def _end_processes(directory: ClusterDirectory) -> None:
    until = time.monotonic() + LONGEST_END
    while (left := _processes_in(directory)) and (rest := until - time.monotonic()) > 0:
        for process, program in left.items():
            # An immediate shutdown at first. A server that is killed leaves its shared memory.
            shut_down = program == SERVER and rest > LONGEST_END / 2
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGQUIT if shut_down else signal.SIGKILL)
        time.sleep(LOOK_EVERY)
    if left:
        raise BackupFailed("Ending the processes", f"in {directory.path}", f"{len(left)} of them do not end")


def _processes_in(directory: ClusterDirectory) -> dict[int, str]:
    """Return the programs of ours that the user of a directory runs in it, by the number of the process."""
    found = {}
    for entry in PROCESSES.iterdir():
        with suppress(OSError):  # it has ended, or belongs to somebody else
            if not entry.name.isdecimal() or entry.stat().st_uid != directory.account.user:
                continue
            program = Path(os.readlink(entry / "exe").removesuffix(" (deleted)")).name  # an upgrade replaces the file
            if program in PROGRAMS and Path(os.readlink(entry / "cwd")).is_relative_to(directory.path):
                found[int(entry.name)] = program
    return found
