"""A real pgBackRest for the tests, and a PostgreSQL server whose log it archives."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import URL

from tests.debian import debian_program, with_libraries
from tests.postgres import own_postgres, programs_by_major
from tests.programs import ProgramMissing, needed

STANZA = "main"
CONFIGURATION = """
[global]
repo1-path={directory}/repository
repo1-retention-full=2
lock-path={directory}/lock
log-level-file=off
log-level-console=off
start-fast=y
compress-type=none

[main]
pg1-path={data}
"""


def pgbackrest_program() -> Path:
    """The program. Raises ``ProgramMissing`` if there is none and none can be fetched."""
    return debian_program("pgbackrest", "pgBackRest", "of version 2.45 or newer")


def archived_postgres_programs() -> Path:
    """The programs of the newest PostgreSQL that Debian's pgBackRest knows. Raises ``ProgramMissing``."""
    if (found := programs_by_major().get(15)) is None:
        raise ProgramMissing("PostgreSQL 15 is missing: install the package postgresql-15")
    return found


@dataclass
class ArchivedPostgres:
    """A server whose log is archived. ``bin`` has pgbackrest, for the search path."""

    url: URL
    directory: Path
    programs: Path

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def config(self) -> Path:
        return self.directory / "pgbackrest.conf"

    @property
    def clusters(self) -> Path:
        """Where servers are restored. It belongs to the server's user, if we are root."""
        return self.directory / "clusters"

    @property
    def values(self) -> dict[str, str]:
        """The settings."""
        return {
            "servers.main.archive": f"pgbackrest:{STANZA}",
            "backups.clusters": str(self.clusters),
            "backups.pgbackrest_config": str(self.config),
            "backups.postgres_bin": str(self.programs),
        }

    def run(self, command: str, *options: str) -> None:
        """Run pgBackRest, as the user of the server."""
        whole = (self.bin / "pgbackrest", f"--config={self.config}", f"--stanza={STANZA}", *options, command)
        subprocess.run(whole, cwd="/", check=True, capture_output=True, text=True, timeout=60, **self.user)

    @property
    def user(self) -> dict[str, Any]:
        owner = self.clusters.stat()
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": ()} if os.geteuid() == 0 else {}

    def ask(self, statement: str) -> Any:
        """The value that a statement returns, as the superuser."""
        given = {"host": self.url.query["host"], "user": self.url.username, "dbname": "postgres"}
        connection = psycopg2.connect(**given)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchone() if cursor.description else None
        connection.close()
        return found[0] if found else None


@contextmanager
def archived_postgres() -> Iterator[ArchivedPostgres]:
    """A server whose log is archived, and no backup of it yet. Without the programs the tests are skipped."""
    program, programs = needed(pgbackrest_program), needed(archived_postgres_programs)
    directory = Path(tempfile.mkdtemp(prefix="pitr-"))
    command = f"{directory}/bin/pgbackrest --config={directory}/pgbackrest.conf --stanza={STANZA} archive-push %p"
    try:
        directory.chmod(0o755)
        for name in ("bin", "libraries", "repository", "lock", "clusters"):
            (directory / name).mkdir()
        copied = with_libraries(program, directory / "libraries")
        started = directory / "bin" / "pgbackrest"
        started.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={directory}/libraries exec {copied} "$@"\n')
        started.chmod(0o755)
        # The first file is there to be archived when the stanza is.
        with own_postgres(programs=programs, archive_mode="on", archive_command=command) as url:
            data = Path(str(url.query["host"]))
            server = ArchivedPostgres(url, directory, programs)
            server.config.write_text(
                CONFIGURATION.format(directory=directory, data=data)
                + f"pg1-socket-path={data}\npg1-user={url.username}\n"
            )
            owner = data.stat()
            for name in ("repository", "lock", "clusters"):
                os.chown(directory / name, owner.st_uid, owner.st_gid)
            server.run("stanza-create")
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)
