"""Run pg_dump and pg_restore, with the custom format.

A dump makes the extensions that the database has. Where the server's role has made them, see
``tenantapp.databases.connections.extensions``, that does nothing, but the tenant's role may neither comment on them nor
write into their tables. So a restore leaves these entries of the dump out. A dump without them cannot be had: with
``--extension``, pg_dump leaves out casts and large objects as well, and says nothing.
"""

import os
import subprocess
import tempfile
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from math import inf
from typing import IO, Final, cast

import psycopg2
from sqlalchemy.engine import URL

from tenantapp.databases.connections.extensions import configured
from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.fleet.backups.chunks import CHUNK
from tenantapp.fleet.backups.postgres_tools import DUMP, RESTORE, Tools
from tenantapp.fleet.errors import BackupFailed
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.outcomes import first_line
from tenantapp.sql import silence
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS
from tenantapp.sql.role_passwords import RolePassword

LOCK_WAIT: Final = 10_000  # milliseconds
# The role that restores becomes the owner, and no privileges are granted.
NOBODY_ELSE: Final = ("--no-owner", "--no-privileges", "--no-password")

STRUCTURE_ALONE: Final = ("--schema-only", "--no-publications", "--no-subscriptions")


@contextmanager
def dump(tools: Tools, url: URL, name: str, snapshot: str, *more: str) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of a database's dump at this exported snapshot. Raises ``BackupFailed``.

    ``more`` are further options of pg_dump. pg_dump ends with the block, even if something still holds the chunks,
    because it locks the tables while it runs.
    """
    with closing(_chunks(tools, url, name, snapshot, more)) as chunks:
        yield chunks


def _chunks(tools: Tools, url: URL, name: str, snapshot: str, more: tuple[str, ...]) -> Generator[bytes, None, None]:
    options = ("--format=custom", f"--lock-wait-timeout={LOCK_WAIT}", f"--snapshot={snapshot}", *NOBODY_ELSE, *more)
    with _asking(url, DUMP, name, tools, options, stdout=subprocess.PIPE) as process:
        output = cast("IO[bytes]", process.stdout)
        while chunk := output.read(CHUNK):
            yield chunk


@checkpoint("dump.restore")
def restore(tools: Tools, url: URL, name: str, chunks: Iterable[bytes], given: Collection[str] = ()) -> None:
    """Restore a dump into an empty database, all or nothing.

    ``given`` are the extensions that it has already, made by the server's role. Raises ``BackupFailed`` and what
    ``reading_connection`` raises.
    """
    _restore(tools, url, name, chunks, given)


def copy_structure(
    tools: Tools, original: tuple[URL, str], copy: tuple[URL, str], snapshot: str, given: Collection[str] = ()
) -> None:
    """Copy the structure of a database at this exported snapshot into an empty one. Publications stay behind.

    Both are given as URL and name. For ``given``, and for what is raised, see ``restore``.
    """
    with dump(tools, *original, snapshot, *STRUCTURE_ALONE) as chunks:
        _restore(tools, *copy, chunks, given)


def _restore(tools: Tools, url: URL, name: str, chunks: Iterable[bytes], given: Collection[str]) -> None:
    options: tuple[str, ...] = ("--single-transaction", "--exit-on-error", *NOBODY_ELSE)
    with tempfile.NamedTemporaryFile() as wanted:
        if given:
            with _listed(tools, name, chunks) as (entries, chunks):
                wanted.writelines(_without(entries, given, _tables_of_extensions(url, name)))
            wanted.flush()
            options = (f"--use-list={wanted.name}", *options)
        with _asking(url, RESTORE, name, tools, options, stdin=subprocess.PIPE) as process:
            _give(process, chunks)


@contextmanager
def _listed(tools: Tools, name: str, chunks: Iterable[bytes]) -> Iterator[tuple[Iterable[bytes], Iterable[bytes]]]:
    """Yield the lines of a dump's table of contents, for the block, and all of its chunks again."""
    read, rest = list[bytes](), iter(chunks)
    with tempfile.NamedTemporaryFile() as listed:
        options, environment = ("--list", f"--file={listed.name}"), {**os.environ, "LC_MESSAGES": "C"}
        with _running(tools, RESTORE, options, environment, name, stdin=subprocess.PIPE) as process:
            # It ends with the table of contents, with which a dump begins.
            _give(process, _remembered(rest, read))
        yield listed, chain(read, rest)


def _remembered(chunks: Iterator[bytes], read: list[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        read.append(chunk)
        yield chunk


def _without(
    entries: Iterable[bytes], extensions: Collection[str], tables: Iterable[tuple[str, str]]
) -> Iterator[bytes]:
    """Yield the lines without those that make and comment on extensions, and those of the rows of tables."""
    left_out = {f"{words} {name}" for name in extensions for words in ("EXTENSION -", "COMMENT - EXTENSION")}
    rows = tuple(f"{kind} {schema} {table} " for schema, table in tables for kind in ("TABLE DATA", "SEQUENCE SET"))
    return (line for line in entries if not _is_among(line.decode(errors="replace"), left_out, rows))


def _is_among(line: str, left_out: Collection[str], rows: tuple[str, ...]) -> bool:
    """Return whether a line, such as ``7; 0 0 COMMENT - EXTENSION vector``, is among them. An owner ends those of rows.

    If another name begins as that of a table, more than one word follows, or none.
    """
    entry = (line.split(" ", 3) + [""] * 4)[3].rstrip()
    owner = next((entry.removeprefix(beginning) for beginning in rows if entry.startswith(beginning)), "")
    return entry.replace('"', "") in left_out or (owner != "" and " " not in owner)


def _tables_of_extensions(url: URL, name: str) -> list[tuple[str, str]]:
    with reading_connection(url, name) as connection:
        return configured(connection)


def read_through(tools: Tools, name: str, chunks: Iterable[bytes]) -> None:
    """Have pg_restore read a whole dump, and restore nothing. Raises ``BackupFailed`` and what the chunks raise."""
    options, rest = (f"--file={os.devnull}",), iter(chunks)
    environment = {**os.environ, "LC_MESSAGES": "C"}
    with _running(tools, RESTORE, options, environment, name, stdin=subprocess.PIPE) as process:
        _give(process, rest)
        for _ in rest:  # what pg_restore does not need to read, but its checksum covers
            pass


def _give(process: "subprocess.Popen[bytes]", chunks: Iterable[bytes]) -> None:
    given = cast("IO[bytes]", process.stdin)
    try:
        for chunk in chunks:
            given.write(chunk)
        given.close()
    except BrokenPipeError:
        # The tool has ended early. Its message is raised when the block of _running ends.
        pass


class _Program:
    """A program that works on a database."""

    def __init__(self, process: "subprocess.Popen[bytes]", server: silence.Address | None) -> None:
        self._process, self._server = process, server

    def server(self) -> silence.Address | None:
        """Return the address of its server."""
        return self._server

    def cut(self) -> None:
        """Kill it."""
        self._process.kill()


@contextmanager
def _asking(
    url: URL, tool: str, name: str, tools: Tools, options: tuple[str, ...], **pipes: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a tool on a database during the block. It is killed if the server falls silent. Raises ``BackupFailed``."""
    environment = environment_of(url)
    server = _server_of(url, environment)
    with _running(tools, tool, (*options, _at(url)), environment, name, **pipes) as process:
        with silence.watch.waiting(_Program(process, server), inf) as wait:
            yield process
            process.wait()
        if wait.ended:
            raise BackupFailed(tool, name, wait.ended)


def _server_of(url: URL, environment: Mapping[str, str]) -> silence.Address | None:
    """Return the address of the server that a URL, which may name several, leads to.

    Return None if that cannot be found out, because the role has all the connections that it may, for instance. The
    tool then runs without being watched, or says itself why it cannot connect.
    """
    password = environment.get("PGPASSWORD")
    try:
        with closing(psycopg2.connect(address_of(url), password=password, **CONNECT_ARGUMENTS)) as connection:
            return silence.address_of(connection.fileno())
    except psycopg2.Error:
        return None


@contextmanager
def _running(
    tools: Tools, tool: str, options: tuple[str, ...], environment: dict[str, str], name: str, **pipes: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a tool during the block. Raises ``BackupFailed`` at the end of the block if the tool failed."""
    command = [tools.path(tool), *options]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=environment, stderr=said, **pipes)  # type: ignore[call-overload]  # noqa: S603
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


def _at(url: URL) -> str:
    return f"--dbname={address_of(url)}"


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


def _first_line(said: IO[bytes]) -> str:
    said.seek(0)
    return first_line(said.read(10_000).decode(errors="replace"))
