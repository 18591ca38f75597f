"""The command line on a configuration of its own, on SQLite, and an application with the shop, on both engines."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tenantapp.cli import main
from tenantapp.cli.installation import Installation as CommandsInstallation
from tests.golden import lend_templates, make_user_database
from tests.identity_provider import Provider, running_provider
from tests.installation import Installation
from tests.shop import Base, access_of, shop_app

INI = """
[DEFAULT]
http_port = 6599

[app:main]
use = egg:tenantapp
user_db.url = sqlite+pysqlite:///%(here)s/user.sqlite
servers.main = sqlite+pysqlite:///%(here)s/tenants/
demo.enabled = true
fleet.patience = 0
"""


@dataclass(frozen=True)
class Result:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Result]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def ini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without any database, in the environment of the commands."""
    path = tmp_path / "tenantapp.ini"
    path.write_text(INI)
    monkeypatch.setenv("TENANTAPP_INI", str(path))
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command line; ``given`` is its standard input, or what is typed on a terminal."""

    def run(*arguments: str, given: str = "", terminal: bool = False) -> Result:
        monkeypatch.setattr(sys, "stdin", Terminal(given) if terminal else io.StringIO(given))
        capsys.readouterr()
        before = os.umask(0o022)
        os.umask(before)
        try:
            status = main(list(arguments))
        finally:
            os.umask(before)
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture
def done(ini: Path, run: Command) -> Command:
    """Runs commands on a new user database, which ``init`` would make in the same way, and expects them to work."""

    def done(*arguments: str, given: str = "") -> Result:
        result = run(*arguments, given=given)
        assert (result.status, result.err) == (0, ""), arguments
        return result

    _initialise(ini)
    return done


def _initialise(ini: Path) -> None:
    """Make what ``init`` makes, and the template that the first tenant would make, as private as commands do."""
    before = os.umask(0o077)
    with closing(CommandsInstallation(ini)) as installation, ExitStack() as until:
        make_user_database(installation.fleet)
        lend_templates(installation.fleet, installation.fleet.servers.values(), until)
    os.umask(before)
    for path in ini.parent.rglob("*"):
        if path.is_file() and path != ini:
            path.chmod(0o600)


@pytest.fixture
def failed(run: Command) -> Callable[..., str]:
    """Runs a command that fails as it should, and returns its sentence."""

    def failed(*arguments: str, given: str = "") -> str:
        result = run(*arguments, given=given)
        assert result.status != 0
        assert result.out == ""
        assert result.err.startswith("tenantapp: ")
        assert result.err.endswith(".\n")
        assert result.err.count("\n") == 1
        return result.err.removeprefix("tenantapp: ").removesuffix(".\n")

    return failed


@pytest.fixture(scope="session")
def shop_of() -> dict[int, Any]:
    """The applications with the shop: one for each installation."""
    return {}


@pytest.fixture
def shop(installation: Installation, shop_of: dict[int, Any]) -> Iterator[Installation]:
    """An installation whose tenants have the tables of the shop, rolled back after the test."""
    if id(installation) not in shop_of:
        shop_of[id(installation)] = shop_app(installation)
    app = shop_of[id(installation)]
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(installation.registry, name))
    for slug in ("acme", "globex"):
        with installation.registry.tenant_dbs.begin(access_of(installation, slug)) as session:
            Base.metadata.create_all(session.connection())
    original, installation.app = installation.app, app
    yield installation
    installation.app = original


@pytest.fixture(scope="session")
def identity_provider() -> Iterator[Provider]:
    """A provider for all tests of the process: it takes half a second to start."""
    with running_provider() as provider:
        yield provider
