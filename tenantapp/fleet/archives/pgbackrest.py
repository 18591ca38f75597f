"""pgBackRest, version 2.45 or newer. https://pgbackrest.org/command.html"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tenantapp.fleet.archives.accounts import Account, environment_of
from tenantapp.fleet.archives.archive import Archive, ServerBackup, Still
from tenantapp.fleet.archives.cluster_directories import ClusterDirectory
from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.outcomes import first_line

PROGRAM: Final = "pgbackrest"
QUIET: Final = ("--log-level-file=off", "--log-level-console=off", "--log-level-stderr=error")
LOOK_EVERY: Final = 0.2  # seconds
LONGEST_ANSWER: Final = 300.0  # seconds; the manifest of a large server has tens of megabytes
USUAL: Final = ("PATH", "LANG", "LC_*", "TZ", "TMPDIR")
# Its options, and who it is at an object store that asks for no key. Keys are options too (PGBACKREST_REPO1_S3_KEY).
READS: Final = ("PGBACKREST_*", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")
A_SECOND: Final = timedelta(seconds=1)
MISSING_STANZA: Final = (1, 3)  # codes of a status
# ERROR: [055]: unable to open file
ERROR: Final = re.compile(r"ERROR: \[\d+\]: ")
# A file of a database in a manifest: pg_data/base/16385/1259={...}, pg_tblspc/16390/PG_15_202209061/16385/1259={...}
FILE: Final = re.compile(r"(?:pg_data/base|pg_tblspc/\d+/[^/=]+)/(\d+)/")


class PgBackRest(Archive):
    """A stanza of pgBackRest. ``config`` is its configuration file, or None for the usual one.

    It is asked for ``longest`` seconds at most.
    """

    def __init__(
        self, stanza: str, config: str | None, account: Account, still: Still, longest: float = LONGEST_ANSWER
    ) -> None:
        self._stanza = stanza
        self._config = () if config is None else (f"--config={config}",)
        self._account = account
        self._still = still
        self._longest = longest

    def version(self) -> str:
        return self._ask("version").decode().strip()

    def backups(self) -> Sequence[ServerBackup]:
        (stanza,) = self._info()
        status = stanza["status"]
        if not stanza["backup"]:
            missing = f"does not know the stanza {self._stanza}"
            what = missing if status["code"] in MISSING_STANZA else f"has no backup in the stanza {self._stanza}"
            raise MomentRefused(f"pgBackRest {what} ({first_line(status['message'])})")
        majors = {(each["id"], each["repo-key"]): int(each["version"].partition(".")[0]) for each in stanza["db"]}
        found = [
            ServerBackup(
                backup["label"],
                backup["database"]["repo-key"],
                # In whole seconds, rounded down: it was complete before the next one.
                datetime.fromtimestamp(backup["timestamp"]["stop"], UTC) + A_SECOND,
                majors[backup["database"]["id"], backup["database"]["repo-key"]],
                backup["info"]["size"],
            )
            for backup in stanza["backup"]
        ]
        return sorted(found, key=lambda backup: backup.ended_at)

    def databases(self, backup: ServerBackup) -> Mapping[str, int]:
        (stanza,) = self._info(f"--set={backup.label}", f"--repo={backup.repository}")
        return {each["name"]: each["oid"] for each in stanza["backup"][0].get("database-ref") or ()}

    def room(self, backup: ServerBackup, without: Container[int]) -> int:
        path = f"backup/{self._stanza}/{backup.label}/backup.manifest"
        manifest = self._ask("repo-get", f"--repo={backup.repository}", path)
        return sum(_size(line, without) for line in manifest.decode(errors="replace").splitlines())

    @checkpoint("archive.restore")
    def restore(self, backup: ServerBackup, into: ClusterDirectory, only: str | None, still: Still) -> None:
        options = (
            f"--set={backup.label}",
            f"--repo={backup.repository}",
            "--type=none",  # the settings of recovery are ours
            # Those of the backup are the server's own places.
            f"--tablespace-map-all={into.path / 'tablespaces'}",
            *(() if only is None else (f"--db-include={only}",)),
        )
        command = [*self._command("restore", *self._beside(into), *options)]
        with tempfile.TemporaryFile() as said:
            with _ended_at_last(into.start(command, self._whole_environment(), stdout=said, stderr=said)) as process:
                while not _has_ended(process):
                    still()
            if process.returncode != 0:
                said.seek(0)
                raise BackupFailed("pgBackRest", f"backup {backup.label}", _reason(said.read(10_000)))

    def fetch_command(self, into: ClusterDirectory) -> str:
        # What is fetched ahead would lie beside that of the real server.
        command = self._command("archive-get", *self._beside(into), "--no-archive-async")
        return f'{shlex.join(command).replace("%", "%%")} %f "%p"'

    def environment(self) -> Mapping[str, str]:
        return environment_of(READS)

    def _whole_environment(self) -> Mapping[str, str]:
        return {**environment_of(USUAL), **self.environment(), **self._account.home}

    def _beside(self, into: ClusterDirectory) -> tuple[str, ...]:
        """Return the options that lead to the directory, on this machine, in place of the real server's."""
        return (f"--pg1-path={into.data}", "--reset-pg1-host", f"--lock-path={into.path / 'lock'}")

    def _info(self, *options: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._ask("info", "--output=json", *options))
        return found

    def _command(self, command: str, *options: str) -> tuple[str, ...]:
        program = shutil.which(PROGRAM)
        if program is None:
            raise MomentRefused("there is no pgbackrest in the search path")
        logging = () if command == "version" else QUIET
        stanza = () if command == "version" else (f"--stanza={self._stanza}", *self._config)
        return (program, command, *stanza, *logging, *options)

    def _ask(self, command: str, *options: str) -> bytes:
        """Return what a command writes. Raises ``MomentRefused`` if it fails or takes too long."""
        asked = self._command(command, *options)
        until = time.monotonic() + self._longest
        with tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as said:
            try:
                started = self._account.start(asked, self._whole_environment(), stdout=written, stderr=said)
            except OSError as error:
                raise MomentRefused(f"pgbackrest cannot be run ({error.strerror})") from error
            with _ended_at_last(started) as process:
                while not _has_ended(process):
                    self._still()
                    if time.monotonic() > until:
                        raise MomentRefused(f"pgBackRest has not answered within {self._longest:g} seconds ({command})")
            for stream in (written, said):
                stream.seek(0)
            if process.returncode != 0:
                raise MomentRefused(f"pgBackRest cannot read its archive ({_reason(said.read(10_000))})")
            return written.read()


@contextmanager
def _ended_at_last(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process, and end it after the block if it has not ended, with all that it has started."""
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return False
    return True


def _reason(said: bytes) -> str:
    text = said.decode(errors="replace")
    errors = [ERROR.split(line, maxsplit=1)[1] for line in text.splitlines() if ERROR.search(line)]
    return first_line(errors[0] if errors else text)


def _size(line: str, without: Container[int]) -> int:
    """Return the size of the file that this line of a manifest is about, 0 if it is about something else."""
    if not line.startswith(("pg_data/", "pg_tblspc/")):
        return 0
    match = FILE.match(line)
    if match is not None and int(match[1]) in without:
        return 0
    _, _, described = line.partition("={")
    return int(json.loads("{" + described).get("size", 0)) if described else 0
