"""Run pg_dump and pg_restore, with the custom format."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import IO, Any, Final, cast

from sqlalchemy.engine import URL

from tenantapp.fleet.backups.chunks import CHUNK
from tenantapp.fleet.errors import BackupFailed, BackupRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.outcomes import first_line
from tenantapp.settings import Settings
from tenantapp.sql.role_passwords import RolePassword

LOCK_WAIT: Final = 10_000  # milliseconds
# The role that restores becomes the owner, and no privileges are granted.
NOBODY_ELSE: Final = ("--no-owner", "--no-privileges", "--no-password")


@contextmanager
def dump(settings: Settings, url: URL, name: str, snapshot: str, *more: str) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of a database's dump at this exported snapshot. Raises ``BackupRefused`` and ``BackupFailed``.

    ``more`` are further options of pg_dump. pg_dump ends with the block, even if something still holds the chunks,
    because it locks the tables while it runs.
    """
    with closing(_chunks(settings, url, name, snapshot, more)) as chunks:
        yield chunks


def _chunks(
    settings: Settings, url: URL, name: str, snapshot: str, more: tuple[str, ...]
) -> Generator[bytes, None, None]:
    options = ("--format=custom", f"--lock-wait-timeout={LOCK_WAIT}", f"--snapshot={snapshot}", *NOBODY_ELSE, *more)
    with _running(settings, "pg_dump", options, url, name, stdout=subprocess.PIPE) as process:
        output = cast("IO[bytes]", process.stdout)
        while chunk := output.read(CHUNK):
            yield chunk


@checkpoint("dump.restore")
def restore(settings: Settings, url: URL, name: str, chunks: Iterable[bytes]) -> None:
    """Restore a dump into an empty database, all or nothing. Raises ``BackupRefused`` and ``BackupFailed``."""
    options = ("--single-transaction", "--exit-on-error", *NOBODY_ELSE)
    with _running(settings, "pg_restore", options, url, name, stdin=subprocess.PIPE) as process:
        given = cast("IO[bytes]", process.stdin)
        try:
            for chunk in chunks:
                given.write(chunk)
            given.close()
        except BrokenPipeError:
            # The tool has ended early. Its message is raised when the block ends.
            pass


def tool_version(settings: Settings, tool: str) -> str:
    """Return the version of ``pg_dump`` or ``pg_restore``. Raises ``BackupRefused`` if there is no such program."""
    said = subprocess.run([_path(settings, tool), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    match = re.search(r"\d+(\.\d+)*", said.stdout)
    return match.group() if match else said.stdout.strip()


def check_tool(settings: Settings, tool: str, server: tuple[Any, ...]) -> str:
    """Return the version of a tool. Raises ``BackupRefused`` if it is missing or older than the server."""
    version = tool_version(settings, tool)
    if int(version.split(".")[0]) < server[0]:
        raise BackupRefused(
            f"{tool} has version {version}, older than the server's {'.'.join(map(str, server))}; "
            "let the setting backups.postgres_bin name the directory of a newer one"
        )
    return version


@contextmanager
def _running(
    settings: Settings, tool: str, options: tuple[str, ...], url: URL, name: str, **pipes: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a tool during the block. Raises ``BackupFailed`` at the end of the block if the tool failed."""
    command = [_path(settings, tool), *options, f"--dbname={address_of(url)}"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=environment_of(url), stderr=said, **pipes)  # type: ignore[call-overload]  # noqa: S603
        try:
            yield process
            if process.wait() != 0:
                raise BackupFailed(tool, name, _first_line(said))
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def address_of(url: URL) -> str:
    """Return the URL for libpq, without the password: everybody on the machine can see a command line."""
    address = URL.create(
        "postgresql", url.username, host=url.host, port=url.port, database=url.database, query=url.query
    )
    return address.render_as_string()


def environment_of(url: URL) -> dict[str, str]:
    """Return our environment with the password, and without PG variables, which could name another server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    password = url.password.accepted if isinstance(url.password, RolePassword) else url.password
    return inherited | ({"PGPASSWORD": password} if password else {}) | {"LC_MESSAGES": "C"}


def _path(settings: Settings, tool: str) -> str:
    found = shutil.which(tool, path=settings.backups_postgres_bin)
    if found is None:
        where = settings.backups_postgres_bin or "the search path"
        raise BackupRefused(f"there is no {tool} in {where}; let the setting backups.postgres_bin name its directory")
    return found


def _first_line(said: IO[bytes]) -> str:
    said.seek(0)
    return first_line(said.read(10_000).decode(errors="replace"))
