"""A real PgBouncer for the tests."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tests.debian import debian_program, with_libraries
from tests.ports import free_port
from tests.programs import needed

DEPLOY = Path(__file__).parents[1] / "deploy"
CONSOLE = "console"  # who may look into it
PASSWORD = "for the console of PgBouncer"


def pgbouncer_program() -> Path:
    """The program. Raises ``ProgramMissing`` if there is none and none can be fetched."""
    return debian_program("pgbouncer", "PgBouncer", "of version 1.18 or newer")


class PgBouncer:
    """A PgBouncer in front of ``server``, the URL of a superuser that leads to a Unix socket.

    It is configured by ``deploy/pgbouncer.ini``, but for ``settings`` and for where things are.
    """

    def __init__(self, server: URL, directory: Path) -> None:
        self._directory = directory
        self._server = server
        self._users = directory / "userlist.txt"
        # It refuses to run as root, as PostgreSQL does, whose user can do what is needed here.
        owner = next(Path(str(server.query["host"])).glob(".s.PGSQL.*")).stat()
        self._user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": ()} if os.geteuid() == 0 else {}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # Where another user than ours can read it.
        self._program = with_libraries(needed(pgbouncer_program), directory)
        directory.chmod(0o755)

    @property
    def url(self) -> str:
        """The setting that leads here."""
        return f"postgresql+psycopg2://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self._directory / "log").read_text()

    def start(self, **settings: str) -> None:
        """Start it, and wait until it answers."""
        self._write_ini(settings)
        self._write_users()
        with (self._directory / "log").open("ab") as log:
            command = [self._program, self._directory / "pgbouncer.ini"]
            environment = os.environ | {"LD_LIBRARY_PATH": str(self._directory)}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, **self._user)  # type: ignore[call-overload]
        deadline = time.monotonic() + 10
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer does not start: {self.log}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and every connection through it at once."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def refresh_users(self) -> None:
        """Let it know the roles that there are now."""
        written = self._write_users()
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not written <= {row["name"] for row in self.show("USERS")}:
            assert time.monotonic() < deadline, "it did not read the file again"
            time.sleep(0.05)

    def show(self, what: str) -> list[dict[str, Any]]:
        """Rows of its console: ``SHOW`` pools, clients, servers, ..."""
        return self.tell(f"SHOW {what}")

    def tell(self, command: str) -> list[dict[str, Any]]:
        """Give its console a command. The rows it answers with."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=CONSOLE, password=PASSWORD, dbname="pgbouncer"
        )
        with closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(command)
                if cursor.description is None:
                    return []
                names = [column.name for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _write_ini(self, settings: Mapping[str, str]) -> None:
        ini = recommended_ini()
        ini["databases"] = {"*": f"host={self._server.query['host']}"}
        ini["pgbouncer"] |= {"listen_port": str(self.port), "auth_file": str(self._users), "unix_socket_dir": ""}
        ini["pgbouncer"] |= {"admin_users": CONSOLE, **settings}
        lines = []
        for section, values in ini.items():
            lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
        (self._directory / "pgbouncer.ini").write_text("\n".join(lines))

    def _write_users(self) -> set[str]:
        engine = create_engine(self._server, poolclass=NullPool)
        with engine.connect() as connection:
            lines = [f'"{CONSOLE}" "{PASSWORD}"', *connection.scalars(text(recommended_sql()))]
        new = self._users.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.rename(self._users)
        return {line.split('"')[1] for line in lines}


@contextmanager
def running_pgbouncer(server: URL, **settings: str) -> Iterator[PgBouncer]:
    """A PgBouncer that knows the roles that there are; it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="tenantapp-pgbouncer-") as directory:
        pgbouncer = PgBouncer(server, Path(directory))
        pgbouncer.start(**settings)
        try:
            yield pgbouncer
        finally:
            pgbouncer.stop()


def recommended_ini() -> dict[str, dict[str, str]]:
    """The configuration that operators may take, by section."""
    parser = ConfigParser(interpolation=None)
    parser.read_string((DEPLOY / "pgbouncer.ini").read_text())
    return {section: dict(parser[section]) for section in parser.sections()}


def recommended_sql() -> str:
    """The statement that makes the ``auth_file``."""
    return (DEPLOY / "pgbouncer-userlist.sql").read_text()
