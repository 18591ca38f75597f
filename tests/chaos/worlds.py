"""What faults happen to: a real ``pserve production.ini`` with two workers, on databases that are really written."""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg2
from sqlalchemy.engine import URL

from tests.chaos.clocks import Clock
from tests.installation import Installation, postgres_installation, sqlite_installation
from tests.postgres import own_postgres, start_again, stop_at_once
from tests.transactions.production import Production, production

WORKERS: Final = 2
# As in production. The rest of what tests have says where files lie, and how cheap it is to sign in.
SETTINGS: Final = {"connections.slow": "1", "connections.deadline": "10"}
if TYPE_CHECKING:
    from tests.chaos.failover import Cluster

PATIENCE: Final = 180.0  # seconds
PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)


class Need(Enum):
    """What a scenario needs besides an application and its databases."""

    NOTHING = auto()
    DISK = auto()  # a small one for the tenants' databases
    DISK_OF_WAL = auto()  # for PostgreSQL's log of what it writes
    DISK_OF_LOGS = auto()  # for what the application and PostgreSQL say
    CLOCK = auto()  # one that can be stepped


DISKS: Final = {  # MiB
    Need.DISK: {"postgresql": 320, "sqlite": 48},
    Need.DISK_OF_WAL: {"postgresql": 160},
    Need.DISK_OF_LOGS: {"postgresql": 4, "sqlite": 4},
}


@dataclass(frozen=True)
class World:
    """An application and the servers of its databases.

    ``disk`` is a small one under whatever the scenario needs it for, ``clock`` that of the application's processes, and
    ``cluster`` the servers that fail over.
    """

    engine: str
    installation: Installation
    server: Production
    postgres: tuple[URL, ...] = ()  # of the user database, and of the tenants
    disk: Path | None = None
    clock: Clock | None = None
    cluster: "Cluster | None" = None
    guest_stays_out: threading.Event = field(default_factory=threading.Event)
    """Set while whoever takes the guest's grant away does not give it back."""

    @property
    def can_be_cut(self) -> bool:
        """Whether there are machines between which the network can be cut."""
        return self.cluster is not None and self.cluster.network.can_be_cut

    @property
    def users(self) -> URL:
        """The PostgreSQL server of the user database."""
        return self.postgres[0]

    @property
    def tenants(self) -> URL:
        """The PostgreSQL server of the tenants."""
        return self.postgres[1]


@contextmanager
def postgres_world(need: Need = Need.NOTHING) -> Iterator[World]:
    """Two PostgreSQL servers: one has the user database, the other one the tenants."""
    with (
        temporary_directory() as directory,
        extras("postgresql", need, directory) as (disk, clock),
        own_postgres(fsync="on", full_page_writes="on") as users,
        own_postgres(inside=disk if need is Need.DISK else None, fsync="on", full_page_writes="on") as tenants,
    ):
        if need is Need.DISK_OF_WAL:
            move_to(disk, tenants, "pg_wal")
        if need is Need.DISK_OF_LOGS:
            for server in (users, tenants):
                move_to(disk, server, "log")
            log_to(disk, directory)
        settings = SETTINGS | {"servers.main": tenants.set(database="").render_as_string(hide_password=False)}
        with (
            postgres_installation(users, **settings) as installation,
            production(directory, installation, WORKERS, checked=True) as server,
        ):
            yield World("postgresql", installation, server, (users, tenants), disk, clock)


@contextmanager
def sqlite_world(need: Need = Need.NOTHING) -> Iterator[World]:
    """All databases are files in a directory."""
    with (
        temporary_directory() as directory,
        extras("sqlite", need, directory) as (disk, clock),
        temporary_directory(disk if need is Need.DISK else None) as files,
        sqlite_installation(files, **SETTINGS) as installation,
    ):
        if need is Need.DISK_OF_LOGS:
            log_to(disk, directory)
        with production(directory, installation, WORKERS, checked=True) as server:
            yield World("sqlite", installation, server, disk=disk, clock=clock)


@contextmanager
def extras(engine: str, need: Need, directory: Path) -> Iterator[tuple[Path | None, Clock | None]]:
    """The small disk, or the clock of the application in this directory, that scenarios with this need have.

    Raises ``PermissionError``.
    """
    if need in DISKS:
        with small_disk(DISKS[need][engine]) as disk:
            yield disk, None
    elif need is Need.CLOCK:
        yield None, Clock(directory)
    else:
        yield None, None


def move_to(disk: Path | None, server: URL, name: str) -> None:
    """Let a part of the data directory of a server of our own be on this disk."""
    assert disk is not None
    part = Path(str(server.query["host"]), name)
    moved = disk / f"{name}-{secrets.token_hex(4)}"
    owner = part.stat()
    processes = processes_of(server)
    stop_at_once(server)
    gone(*processes)
    shutil.move(part, moved)
    part.symlink_to(moved)
    for each in (moved, *moved.rglob("*")):
        os.chown(each, owner.st_uid, owner.st_gid)
    start_postgres(server)


def log_to(disk: Path | None, directory: Path) -> None:
    """Let what the application says be on this disk."""
    assert disk is not None
    for name in ("stdout", "stderr"):
        (disk / name).touch()
        (directory / name).symlink_to(disk / name)


@contextmanager
def temporary_directory(inside: Path | None = None) -> Iterator[Path]:
    """A directory that is removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="tenantapp-chaos-", dir=inside))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """A file system of its own of so many MiB. Raises ``PermissionError`` if this user may not mount one."""
    if os.geteuid() != 0:
        raise PermissionError("only root may mount a small disk")
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        options = f"size={size}m,mode=0755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", directory], capture_output=True, text=True
        )
        if done.returncode != 0:
            raise PermissionError(f"no small disk could be mounted ({done.stderr.strip()})")
        stack.callback(lambda: subprocess.run(["umount", "--lazy", directory], check=True))
        yield directory


def become_reaper() -> None:
    """Let orphans below this process be its children, and take leave of every PostgreSQL that ends, as any init does.

    Otherwise it would stay as a zombie, which Patroni and a new postmaster take for a running one.
    """
    assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    threading.Thread(target=_reap, daemon=True).start()


def _reap() -> None:
    while True:
        for file in Path("/proc/self/task").glob("*/children"):
            with suppress(OSError):
                for child in map(int, file.read_text().split()):
                    if Path(f"/proc/{child}/comm").read_text().strip() == "postgres":
                        os.waitpid(child, os.WNOHANG)
        time.sleep(0.1)


def processes_of(server: URL) -> list[int]:
    """The postmaster of a server of our own, and its children."""
    postmaster = int(Path(str(server.query["host"]), "postmaster.pid").read_text().split()[0])
    return [postmaster, *children_of(postmaster)]


def children_of(process: int) -> list[int]:
    """The children of a process."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def kill(*processes: int) -> None:
    """End these processes as ``kill -9`` does."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def gone(*processes: int) -> None:
    """Wait until these processes are there no more; take leave of those that were left to us."""

    def have_gone() -> bool:
        for process in processes:
            with suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        return not any(Path(f"/proc/{process}").exists() for process in processes)

    at_last(have_gone)


def at_last(condition: Callable[[], bool]) -> None:
    """Ask until it is so. Raises ``AssertionError`` if it takes too long, even for a machine with much to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def start_postgres(*servers: URL) -> None:
    """Start servers that were killed, if they are not running, and wait until they take connections."""
    for server in servers:
        with suppress(subprocess.TimeoutExpired):  # its recovery takes long on a busy machine
            start_again(server)
        at_last(partial(takes_connections, server))


def takes_connections(server: URL) -> bool:
    """Whether a server of our own has started."""
    try:
        psycopg2.connect(host=server.query["host"], user=server.username, dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True
