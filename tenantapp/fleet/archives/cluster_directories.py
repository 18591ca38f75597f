"""The directories of restored servers. Each exists only within a ``with`` block, or until a worker finds it.

The process that has made a directory holds a lock on it, which ends with the process. So a directory without a lock was
left by a process that was killed. All programs that work in a directory are started in it, so they are found by their
working directory: also those that outlived the process that has started them.
"""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenantapp.fleet.archives.accounts import Account
from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings

PREFIX: Final = "cluster-"
PROCESSES: Final = Path("/proc")
LONGEST_SOCKET: Final = 100  # bytes; the path of a Unix socket has 107 at most on Linux
LONGEST_END: Final = 10.0  # seconds
LOOK_EVERY: Final = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class ClusterDirectory:
    """The directory of a restored server, which belongs to the user who runs it."""

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

    def make(self, name: str) -> Path:
        """Make a directory in it that only its user may enter."""
        made = self.path / name
        made.mkdir(mode=0o700)
        self.account.give(made)
        return made

    def write(self, name: str, text: str) -> Path:
        """Write a file in it that only its user may read, in place of one that is there."""
        file = self.path / name
        file.unlink(missing_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            self.account.give(stream.fileno())
            stream.write(text)
        return file


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


@contextmanager
def cluster_directory(place: Path, account: Account) -> Iterator[ClusterDirectory]:
    """Yield a new directory, and at the end stop what runs in it and remove it. Raises ``MomentRefused``."""
    try:
        path, lock = _made(place)
    except OSError as error:
        raise MomentRefused(f"the directory {place} cannot be used ({error.strerror})") from error
    try:
        account.give(path)
        yield ClusterDirectory(path, account)
    finally:
        _remove(path)
        os.close(lock)


def remove_left_clusters(fleet: Fleet) -> None:
    """Remove the servers that killed processes of this machine have left, running or not: a chore of workers."""
    if fleet.settings.backups_clusters is None:
        return
    for path in Path(fleet.settings.backups_clusters).resolve().glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process is faster, or it is no directory, or not ours
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _take(lock)
                _remove(path)
            finally:
                os.close(lock)


def _made(place: Path) -> tuple[Path, int]:
    """Make a directory, and return it with the lock on it."""
    while True:
        path = place / f"{PREFIX}{secrets.token_hex(6)}"
        path.mkdir(mode=0o700)
        # Between the two, another process may take it for one that was left.
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(BlockingIOError):
                _take(lock)
                if path.exists():
                    return path, lock
            os.close(lock)


def _take(lock: int) -> None:
    """Lock a directory. Raises ``BlockingIOError`` if another process, or another thread of ours, has done so."""
    import fcntl  # not on Windows, where the application starts as well

    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(path: Path) -> None:
    """End all processes that work in a directory, and remove it. Raises ``BackupFailed``."""
    _end_processes(path)
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BackupFailed("Removing the directory", str(path), error.strerror or str(error)) from error


def _end_processes(path: Path) -> None:
    until = time.monotonic() + LONGEST_END
    postmaster = _postmaster(path)
    if postmaster in _processes_in(path):
        # An immediate shutdown. Killed, it would leave its shared memory.
        _signal(postmaster, signal.SIGQUIT)
        while postmaster in _processes_in(path) and time.monotonic() < until - LONGEST_END / 2:
            time.sleep(LOOK_EVERY)
    while (left := _processes_in(path)) and time.monotonic() < until:
        for process in left:
            _signal(process, signal.SIGKILL)
        time.sleep(LOOK_EVERY)
    if left:
        raise BackupFailed("Ending the processes", f"in {path}", f"{len(left)} of them do not end")


def _postmaster(path: Path) -> int:
    try:
        return int((path / "data" / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _processes_in(path: Path) -> set[int]:
    """Return the processes whose working directory is this one or in it."""
    found = set()
    for entry in PROCESSES.iterdir():
        with suppress(OSError):  # it has ended, or belongs to somebody else
            if entry.name.isdecimal() and Path(os.readlink(entry / "cwd")).is_relative_to(path):
                found.add(int(entry.name))
    return found


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)
