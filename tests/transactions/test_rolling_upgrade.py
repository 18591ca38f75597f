"""A new version replaces the old one while people work: servers and workers of both on one user database."""

import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.engine import URL

from tenantapp.databases.histories.upgrading import expand_user_database, upgrade_user_database
from tenantapp.settings import read_settings
from tests.installation import Installation, postgres_installation
from tests.newer_history import CONTRACTS, EXPANDS, newer_history
from tests.transactions.applications import node_titles
from tests.transactions.production import PSERVE, Page, Production
from tests.transactions.visitors import visit_during


def test_both_versions_serve_until_the_database_contracts(postgres_server: URL, tmp_path: Path) -> None:
    """As docs/migrations.md says: expand, replace the servers one after the other, contract."""
    with postgres_installation(postgres_server) as installation, ExitStack() as stack:
        history = newer_history(installation.registry.app_settings, tmp_path / "newer", EXPANDS, CONTRACTS)
        settings = read_settings(installation.settings | {"migrations.user": history}, {})
        old = version("old", installation, tmp_path, stack)
        new = version("new", installation, tmp_path, stack)
        new.environment["TENANTAPP_MIGRATIONS_USER"] = history
        old.start()
        pages = [Page(old, "bob") for _ in range(2)]

        def roll() -> None:
            revision, left = expand_user_database(settings)
            assert (revision, left and left.first) == (EXPANDS, CONTRACTS)
            old.reload()  # its workers can also begin after the expansion
            new.start()
            pages[0].port = new.port
            work_until_idle(old)
            pages[1].port = new.port
            assert old.stop() == 0

        written = visit_during(old, pages, roll)
        assert Counter(node_titles(installation)) == Counter(written)
        requests = [line for line in new.log() if line.get("path") == "/api/v1/nodes"]
        assert requests
        assert {line["status"] for line in requests} <= {200, 201}

        assert upgrade_user_database(settings) == CONTRACTS
        said = [refused(old, str(PSERVE), "production.ini"), refused(old, *command(old, "worker", "--until-idle"))]
        assert all(f"is for newer programs, which know its revision {CONTRACTS}" in sentence for sentence in said), said
        assert new.answers()


def version(name: str, installation: Installation, directory: Path, stack: ExitStack) -> Production:
    """A server of one worker in a directory of its own, stopped at the end if it runs then."""
    (directory / name).mkdir()
    server = Production(directory / name, installation, workers=1)

    def stop() -> None:
        if hasattr(server, "process") and server.process.poll() is None:
            server.stop()

    stack.callback(stop)
    return server


def command(server: Production, *words: str) -> list[str]:
    """``tenantapp`` with the ini file of a server."""
    return [str(PSERVE.with_name("tenantapp")), "--ini", str(server.ini), *words]


def work_until_idle(server: Production) -> None:
    """Be a worker of the version of this server."""
    subprocess.run(command(server, "worker", "--until-idle"), env=server.environment, cwd=server.directory, check=True)


def refused(server: Production, *words: str) -> str:
    """What a program of the version of this server says that does not start."""
    done = subprocess.run(
        words, env=server.environment, cwd=server.directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr
