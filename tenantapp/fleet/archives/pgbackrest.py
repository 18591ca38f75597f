"""pgBackRest, version 2.45 or newer. https://pgbackrest.org/command.html"""

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tenantapp.fleet.archives.accounts import Account
from tenantapp.fleet.archives.archive import Archive, ServerBackup, Still
from tenantapp.fleet.archives.cluster_directories import ClusterDirectory
from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.outcomes import first_line

PROGRAM: Final = "pgbackrest"
QUIET: Final = ("--log-level-file=off", "--log-level-console=off", "--log-level-stderr=error")
LOOK_EVERY: Final = 0.2  # seconds
A_SECOND: Final = timedelta(seconds=1)
MISSING_STANZA: Final = (1, 3)  # codes of a status
# ERROR: [055]: unable to open file
ERROR: Final = re.compile(r"ERROR: \[\d+\]: ")
# A file of a database in a manifest: pg_data/base/16385/1259={...}, pg_tblspc/16390/PG_15_202209061/16385/1259={...}
FILE: Final = re.compile(r"(?:pg_data/base|pg_tblspc/\d+/[^/=]+)/(\d+)/")


class PgBackRest(Archive):
    """A stanza of pgBackRest. ``config`` is its configuration file, or None for the usual one."""

    def __init__(self, stanza: str, config: str | None, account: Account) -> None:
        self._stanza = stanza
        self._config = () if config is None else (f"--config={config}",)
        self._account = account

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
            process = subprocess.Popen(command, cwd=into.path, stdout=said, stderr=said, **self._account.options)  # noqa: S603
            try:
                while not _has_ended(process):
                    still()
            finally:
                process.kill()
                process.wait()
            if process.returncode != 0:
                said.seek(0)
                raise BackupFailed("pgBackRest", f"backup {backup.label}", _reason(said.read(10_000)))

    def fetch_command(self, into: ClusterDirectory) -> str:
        # What is fetched ahead would lie beside that of the real server.
        command = self._command("archive-get", *self._beside(into), "--no-archive-async")
        return f'{shlex.join(command).replace("%", "%%")} %f "%p"'

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
        """Return what a command writes. Raises ``MomentRefused`` if it fails."""
        try:
            asked = self._command(command, *options)
            done = subprocess.run(asked, cwd="/", capture_output=True, check=True, **self._account.options)  # noqa: S603
        except subprocess.CalledProcessError as error:
            raise MomentRefused(f"pgBackRest cannot read its archive ({_reason(error.stderr)})") from error
        except OSError as error:
            raise MomentRefused(f"pgbackrest cannot be run ({error.strerror})") from error
        written: bytes = done.stdout
        return written


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
