"""Choose pg_dump and pg_restore, where there are those of several versions of PostgreSQL.

pg_dump reads no server newer than itself, and pg_restore no archive of a newer pg_dump. A server, in turn, may refuse
what a newer pg_restore writes: pg_restore 17 sets ``transaction_timeout``, which PostgreSQL 16 does not know.
https://www.postgresql.org/docs/current/app-pgdump.html
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, ProgrammingError

from tenantapp.fleet.errors import BackupRefused
from tenantapp.operations.outcomes import first_line
from tenantapp.settings import Settings
from tenantapp.sql.engines import server_version

Version = tuple[int, ...]
DUMP: Final = "pg_dump"
RESTORE: Final = "pg_restore"


@dataclass(frozen=True, slots=True)
class Tools:
    """pg_dump and pg_restore of one directory, which have one version, such as 16.4."""

    directory: Path
    version: str

    def path(self, tool: str) -> str:
        """Return the path of ``pg_dump`` or ``pg_restore``."""
        return str(self.directory / tool)


def version_of(text: str) -> Version:
    """Return the version that a backup's record or a tool names: (16, 4) of ``16.4``, (0,) if it names none."""
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(map(int, match.group().split("."))) if match else (0,)


def choose_tools(directories: str | None, *versions: Version) -> Tools:
    """Return the oldest tools whose major version is not below any of these versions, of a server or of a tool.

    So they are those of the server's own major version, if these are there. ``directories`` are separated like those
    of the search path, which is the default. Raises ``BackupRefused``.
    """
    where = f"in {directories}" if directories else "in the search path"
    found = sorted(_all_tools(directories or os.environ.get("PATH", os.defpath)), key=_major)
    if not found:
        raise BackupRefused(
            f"there is no pg_dump {where} with a pg_restore beside it; "
            "let the setting backups.postgres_bin name their directory"
        )
    needed = max(versions)
    for tools in found:
        if _major(tools) >= needed[0]:
            return tools
    raise BackupRefused(
        f"the newest pg_dump {where} has version {found[-1].version}, and {needed[0]} is needed; "
        f"let the setting backups.postgres_bin name the directory of the tools of PostgreSQL {needed[0]} too"
    )


def fitting_tools(settings: Settings, connection: Connection, *versions: Version) -> Tools:
    """Return the tools with which a dump is made or restored for the server that the connection leads to.

    ``versions`` are those of the server or the tool that the dump comes from. The connection has no transaction before
    or after. Raises ``BackupRefused``, also if the server does not take what the tools write.
    """
    server = server_version(connection)
    tools = choose_tools(settings.backups_postgres_bin, server, *versions)
    transaction = connection.begin()
    try:
        connection.exec_driver_sql(_beginning(tools).replace("%", "%%"))
    except (ProgrammingError, DataError) as error:
        raise BackupRefused(
            f"PostgreSQL {'.'.join(map(str, server))} does not take what pg_restore {tools.version} writes "
            f"({first_line(error.orig)}); let the setting backups.postgres_bin name the directory of the tools of "
            f"PostgreSQL {server[0]} too"
        ) from error
    finally:
        transaction.rollback()
    return tools


def _all_tools(directories: str) -> Iterator[Tools]:
    """Yield the tools of each directory that has both."""
    for directory in dict.fromkeys(directories.split(os.pathsep)):
        if all(shutil.which(tool, path=directory) for tool in (DUMP, RESTORE)):
            path = Path(directory)
            said = _run(path / DUMP, "--version")
            match = re.search(r"\d+(\.\d+)*", said)
            yield Tools(path, match.group() if match else said.strip())


def _major(tools: Tools) -> int:
    return version_of(tools.version)[0]


@lru_cache(16)
def _beginning(tools: Tools) -> str:
    """Return the statements with which each restore begins."""
    written = _run(Path(tools.path(RESTORE)), "--file=-", given=_empty_archive())
    # The lines that begin with a backslash are commands of psql.
    return "\n".join(line for line in written.splitlines() if not line.startswith(("--", "\\")))


def _empty_archive() -> bytes:
    """Return an archive in pg_dump's custom format, version 1.14, that holds nothing.

    All supported tools read that version. ``src/bin/pg_dump/pg_backup_archiver.c`` has the format.
    """

    def number(value: int) -> bytes:
        return bytes(1) + value.to_bytes(4, "little")

    sizes_and_format = bytes([4, 8, 1])
    made_at = b"".join(map(number, (0, 0, 0, 1, 0, 100, 0)))  # a struct tm: 2000-01-01
    no_texts = number(0) * 3  # the database, and the versions of the server and of the tool
    return b"PGDMP" + bytes([1, 14, 0]) + sizes_and_format + number(0) + made_at + no_texts + number(0)


def _run(program: Path, option: str, given: bytes = b"") -> str:
    """Return what a program writes. Raises ``BackupRefused`` if it does not work."""
    try:
        done = subprocess.run([program, option], input=given, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else error
        raise BackupRefused(f"{program} does not work ({first_line(said)})") from error
    return done.stdout.decode(errors="replace")
