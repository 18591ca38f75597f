"""Run a restored server up to a moment: on a Unix socket alone, with settings of ours, and with no way to the real one.

https://www.postgresql.org/docs/current/runtime-config-wal.html
"""

import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import IO, Final

from sqlalchemy.engine import URL

from tenantapp.fleet.archives.accounts import environment_of, name_of
from tenantapp.fleet.archives.archive import Still
from tenantapp.fleet.archives.cluster_directories import ClusterDirectory
from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.outcomes import first_line
from tenantapp.settings import Settings

IGNORES_PAGES: Final = 13  # the first major version that can replay the log over databases that were left out
LOOK_EVERY: Final = 0.1  # seconds
LONGEST_STOP: Final = 10.0  # seconds
PORT: Final = 5432
CONFIG: Final = "postgresql.conf"
# Nothing of the restored configuration counts. The ways to other servers are closed, those of restored subscriptions
# too. What is written is thrown away, so it need not be on the disk.
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "archive_mode": "off",
    "hot_standby": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_replication_slots": "100",
    "max_connections": "20",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",
    "log_line_prefix": "",
    "lc_messages": "C",
    "recovery_target_action": "promote",
}
# Nothing of the worker's secrets: whoever comes to run code in the restored server is not the worker.
ENVIRONMENT: Final = ("PATH", "LANG", "TZ")
# The server's settings that the log needs as well, and what pg_controldata calls them.
FROM_THE_LOG: Final = {
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
READY: Final = "database system is ready to accept connections"
STOPPED: Final = "recovery stopping "  # before a commit after the moment
TOO_SHORT: Final = "recovery ended before configured recovery target was reached"
LAST: Final = re.compile(r"last completed transaction was at log time (\S+ \S+)")
MISSING_PAGE: Final = re.compile(r"WARNING: .* of relation (?:base/(\d+)|global|pg_tblspc/\d+/[^/]+/(\d+))/")
SERIOUS: Final = ("FATAL:", "PANIC:", "ERROR:")


@dataclass(frozen=True, slots=True)
class Recovery:
    """Up to which moment a server is recovered, and how it gets its log.

    ``fetch_environment`` is what ``fetch_command`` needs to reach the archive. ``only`` is the object id of the only
    database that was restored, or None if all were. ``role`` is the role that we connect with, and ``server`` the real
    server's name, for messages.
    """

    moment: datetime
    fetch_command: str
    fetch_environment: Mapping[str, str]
    only: int | None
    role: str
    server: str


def server_programs(settings: Settings, major: int) -> Path:
    """Return the directory with the server's programs of this major version of PostgreSQL. Raises ``MomentRefused``."""
    directories = settings.backups_postgres_bin or os.environ.get("PATH", os.defpath)
    for directory in directories.split(os.pathsep):
        program = shutil.which("postgres", path=directory)
        if program is not None and _major(program) == major:
            return Path(directory)
    where = f"in {settings.backups_postgres_bin}" if settings.backups_postgres_bin else "in the search path"
    raise MomentRefused(
        f"the programs of a server of PostgreSQL {major} are not {where}; let the setting backups.postgres_bin name "
        "their directory too"
    )


@contextmanager
def recovered(directory: ClusterDirectory, programs: Path, recovery: Recovery, still: Still) -> Iterator[URL]:
    """Recover a restored server up to a moment, and yield the URL with our role; stop it at the end.

    Raises ``MomentRefused`` if its log ends before, ``BackupFailed``, and what ``still`` raises.
    """
    _configure(directory, programs, recovery)
    command = [str(programs / "postgres"), "-D", str(directory.data), "-c", f"config_file={directory.path / CONFIG}"]
    environment = {**environment_of(ENVIRONMENT), **recovery.fetch_environment}
    process = directory.start(command, environment, stderr=subprocess.PIPE)
    log = RecoveryLog(recovery.only)
    thread = Thread(target=log.read, args=(process.stderr,), name="log of a restored server", daemon=True)
    thread.start()
    try:
        _wait(process, log, recovery, still)
        yield URL.create(
            "postgresql+psycopg2",
            recovery.role,
            port=PORT,
            database="postgres",
            query={"host": str(directory.socket)},
        )
    finally:
        _stop(process)
        thread.join()


def _configure(directory: ClusterDirectory, programs: Path, recovery: Recovery) -> None:
    directory.make("s")
    path = directory.path
    given = {
        **SETTINGS,
        **_from_the_log(directory, programs),
        "unix_socket_directories": str(directory.socket),
        "hba_file": str(path / "pg_hba.conf"),
        "ident_file": str(path / "pg_ident.conf"),
        "restore_command": recovery.fetch_command,
        "recovery_target_time": recovery.moment.astimezone(UTC).isoformat(sep=" "),
        **({"ignore_invalid_pages": "on"} if recovery.only is not None else {}),
    }
    directory.write(CONFIG, "".join(f"{name} = {_quoted(value)}\n" for name, value in given.items()))
    # Only whoever may enter the directory reaches the socket. As our role nobody else comes in than we; tenants' roles
    # have to give a password.
    role = recovery.role.replace('"', '""')
    directory.write("pg_hba.conf", f'local all "{role}" peer map=ours\nlocal all all scram-sha-256\n')
    users = sorted({_user_name(os.geteuid()), _user_name(directory.account.user)})
    directory.write("pg_ident.conf", "".join(f'ours "{user}" "{role}"\n' for user in users))
    # What ALTER SYSTEM has set on the real server.
    directory.write("data/postgresql.auto.conf", "")
    directory.write("data/recovery.signal", "")


def _from_the_log(directory: ClusterDirectory, programs: Path) -> dict[str, str]:
    said = directory.run((str(programs / "pg_controldata"), "-D", str(directory.data)), "pg_controldata")
    found = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return {name: found[label].strip() for name, label in FROM_THE_LOG.items()}


@checkpoint("cluster.recover")
def _wait(process: "subprocess.Popen[bytes]", log: "RecoveryLog", recovery: Recovery, still: Still) -> None:
    """Wait until a server has come to the moment."""
    while not log.ready.wait(LOOK_EVERY):
        still()
        if process.poll() is not None:
            log.ended.wait(LONGEST_STOP)
            raise _why(log, recovery)
    if not log.stopped:  # before PostgreSQL 13 a log that ends too early is no error
        raise _too_short(log, recovery)
    if log.missing is not None:
        name = f"the restored server {recovery.server}"
        raise BackupFailed("Recovery", name, f"the backup of the server lacks what the log needs ({log.missing})")


def _why(log: "RecoveryLog", recovery: Recovery) -> Exception:
    if log.too_short:
        return _too_short(log, recovery)
    return BackupFailed("Recovery", f"the restored server {recovery.server}", log.reason)


def _too_short(log: "RecoveryLog", recovery: Recovery) -> MomentRefused:
    last = f", and its last change was at {log.last}" if log.last else ""
    return MomentRefused(f"the archive of the server {recovery.server} ends before it{last}; try again later")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server without waiting for what it would write."""
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(LONGEST_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class RecoveryLog:
    """What a recovering server says, read as it says it: of what was left out it says two lines for each change.

    ``ready`` is set when it has come to its end, ``ended`` when it says no more. ``stopped`` is whether it has seen a
    change after the moment, so that it is certain to have all before, ``too_short`` whether it says that the archive
    ended before the moment, and ``last`` the time of the last change in it. ``missing`` is the first page that was
    missing in what was restored: in the database ``only``, or in the tables that all databases share.
    """

    def __init__(self, only: int | None) -> None:
        self._only = only
        self._serious: deque[str] = deque(maxlen=10)
        self.ready, self.ended = Event(), Event()
        self.stopped = self.too_short = False
        self.last: str | None = None
        self.missing: str | None = None

    @property
    def reason(self) -> str:
        """Return the last error."""
        return first_line(self._serious[-1] if self._serious else None)

    def read(self, stream: IO[bytes]) -> None:
        """Read the log to its end."""
        with stream:
            for line in stream:
                self._look_at(line.decode(errors="replace").strip())
        self.ended.set()

    def _look_at(self, line: str) -> None:
        if line.startswith("WARNING:"):
            found = MISSING_PAGE.match(line)
            if found and self.missing is None and (found[1] or found[2] or str(self._only)) == str(self._only):
                self.missing = line.removeprefix("WARNING:").strip()
        elif line.startswith(SERIOUS):
            self.too_short = self.too_short or TOO_SHORT in line
            self._serious.append(line.partition(":")[2].strip())
        elif STOPPED in line:
            self.stopped = True
        elif READY in line:
            self.ready.set()
        elif found := LAST.search(line):
            self.last = found[1]


def _major(program: str) -> int:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.search(r"\d+", said)
    return int(match.group()) if match else 0


def _user_name(user: int) -> str:
    name = name_of(user)
    if name is None:
        raise MomentRefused(f"the user {user}, who is to run the server, has no name on this machine")
    return name


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
