"""What is soaked: ``pserve production.ini`` and ``tenantapp worker``, with more tenants than connections."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenantapp.fleet.creating.create import create_tenant
from tests.chaos.clients import AUTHOR
from tests.chaos.worlds import SETTINGS, WORKERS, World, processes_of, temporary_directory
from tests.installation import TENANTS, Installation, postgres_installation
from tests.postgres import own_postgres, postgres_bin
from tests.transactions.production import Production

BUDGET: Final = 8  # connections of a process to a server: a third of its tenants
ON_POSTGRES: Final = (*TENANTS, *(f"elephant-{number}" for number in range(22)))
ON_SQLITE: Final = tuple(f"feather-{number}" for number in range(12))
STOP_TIMEOUT: Final = 60.0  # seconds


@dataclass(frozen=True)
class SoakWorld(World):
    """A world with a worker of operations. ``temporary`` is the directory for temporary files of both programs."""

    worker: "subprocess.Popen[bytes] | None" = None
    temporary: Path = Path()

    @property
    def slugs(self) -> tuple[str, ...]:
        """The tenants of both engines, alternating as long as there are enough."""
        return tuple(slug for pair in zip(ON_POSTGRES[::2], ON_POSTGRES[1::2], ON_SQLITE, strict=True) for slug in pair)

    def processes(self) -> dict[str, list[int]]:
        """The processes, by what they do."""
        serving = sorted(self.server.workers())
        assert self.worker is not None
        return {
            "master": [self.server.process.pid],
            **{f"server {number}": [process] for number, process in enumerate(serving, 1)},
            "tenantapp worker": [self.worker.pid],
            "PostgreSQL, all": processes_of(self.postgres[0]),
        }

    def left_behind(self) -> list[str]:
        """The temporary files that are there."""
        return sorted(str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*") if path.is_file())


@contextmanager
def soak_world() -> Iterator[SoakWorld]:
    """The user database and most tenants are on a PostgreSQL server, the other tenants in SQLite files."""
    with (
        own_postgres(fsync="on", full_page_writes="on", autovacuum="on") as postgres,
        temporary_directory() as directory,
        postgres_installation(postgres, **settings_in(directory)) as installation,
    ):
        add_tenants(installation)
        temporary = directory / "temporary"
        temporary.mkdir()
        server = Production(directory, installation, WORKERS, checked=True)
        server.environment["TMPDIR"] = str(temporary)
        server.start()
        try:
            with operations_worker(server) as worker:
                yield SoakWorld("both", installation, server, (postgres,), worker=worker, temporary=temporary)
        finally:
            if server.process.poll() is None:
                server.stop()


def settings_in(directory: Path) -> dict[str, str]:
    """Return the settings of an installation that uses whatever it can, with its files in this directory."""
    return SETTINGS | {
        "servers.files": f"sqlite+pysqlite:///{directory}/tenants/",
        "files.storage": (directory / "files").as_uri(),
        "backups.postgres_bin": str(postgres_bin("pginstall18")),
        "backups.store": str(directory / "backups"),
        "connections.budget": str(BUDGET),
        "usage.keep": "90",
    }


def add_tenants(installation: Installation) -> None:
    """Make the tenants that are not there, and let the author write in them."""
    for server, slugs in (("main", ON_POSTGRES[len(TENANTS) :]), ("files", ON_SQLITE)):
        for slug in slugs:
            create_tenant(installation.registry.fleet, slug, server=server)
            installation.person("author", slug, login=AUTHOR)


@contextmanager
def operations_worker(server: Production) -> Iterator["subprocess.Popen[bytes]"]:
    """``tenantapp worker`` with the ini file and the environment of this server, stopped at the end."""
    command = [str(Path(sys.executable).with_name("tenantapp")), "--ini", "production.ini", "worker"]
    with (server.directory / "stdout").open("a") as out, (server.directory / "worker-stderr").open("a") as err:
        worker = subprocess.Popen(command, cwd=server.directory, env=server.environment, stdout=out, stderr=err)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(STOP_TIMEOUT)
