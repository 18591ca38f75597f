"""A tenantapp that a browser can visit: a real ``pserve`` on SQLite, or the application in a thread."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from pyramid.paster import get_appsettings

from tenantapp import main
from tenantapp.cli import demonstration
from tenantapp.cli import main as run_command
from tenantapp.operations.fleet import opened_fleet
from tenantapp.settings import read_settings
from tests.built_page import DIST
from tests.golden import lend_templates, make_user_database
from tests.installation import PATIENT
from tests.ports import free_port
from tests.transactions.server import serving

BIN = Path(sys.executable).parent
START = 60  # seconds
INI = """
[app:main]
use = egg:tenantapp
user_db.url = sqlite+pysqlite:///%(here)s/var/user.sqlite
servers.main = sqlite+pysqlite:///%(here)s/var/tenants/
demo.enabled = true
passwords.memory = 8
{settings}

[server:main]
use = egg:tenantapp#waitress
host = localhost
port = {port}
"""


@dataclass(frozen=True)
class Site:
    """Where it is, and how to run commands on it."""

    directory: Path
    port: int
    environment: Mapping[str, str]
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def command(self, *arguments: str) -> None:
        """Run ``tenantapp``."""
        run = [BIN / "tenantapp", "--ini", "site.ini", *arguments]
        subprocess.run(run, cwd=self.directory, env=self.environment, check=True, capture_output=True)


class SiteHere(Site):
    """A site that this process serves. It runs the commands too, for it has imported what they need."""

    def command(self, *arguments: str) -> None:
        before = os.umask(0o077)  # which a command sets for its process
        try:
            status = run_command(["--ini", str(self.directory / "site.ini"), *arguments])
        finally:
            os.umask(before)
        assert status == 0, arguments


def site_in(directory: Path, settings: str = "") -> Site:
    """Write the settings of a site. Nothing is served yet."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENANTAPP_")}
    port = free_port()
    (directory / "site.ini").write_text(INI.format(settings=settings, port=port))
    return Site(directory, port, environment)


def settings_of(site: Site) -> dict[str, Any]:
    """The settings as the application gets them."""
    return dict(get_appsettings(str(site.directory / "site.ini")))


def make_demo(site: Site) -> None:
    """Make the user database and the demo, in this process: as commands it would take three times as long."""
    (site.directory / "var").mkdir()
    with opened_fleet(read_settings(settings_of(site), {})) as fleet, ExitStack() as until:
        make_user_database(fleet)
        lend_templates(fleet, [fleet.servers.default], until)
        given: Any = SimpleNamespace(settings=fleet.settings, fleet=fleet, http_port=None)
        demonstration.make(given, None)


@contextmanager
def demo_in_thread(directory: Path, settings: str = "") -> Iterator[Site]:
    """Serve the demo in a thread of this process. Commands work on the same databases."""
    make_demo(site := site_in(directory, settings))
    app = main({}, **PATIENT | {"web.directory": str(DIST), "api.batch_seconds": "60"} | settings_of(site))
    registry = app.registry
    with serving(app) as (_, port):
        yield SiteHere(directory, port, {})
    for factory in (registry.user_db, registry.access_reader.database, registry.tenant_dbs):
        factory.dispose()


@contextmanager
def served(site: Site) -> Iterator[Site]:
    """Serve it."""
    with (site.directory / "log").open("w") as log:
        server: subprocess.Popen[Any] = subprocess.Popen(
            [BIN / "pserve", "site.ini"], cwd=site.directory, env=site.environment, stdout=log, stderr=log
        )
        try:
            wait_for(f"{site.url}/__heartbeat__", server)
            yield site
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: "subprocess.Popen[Any]") -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        assert server.poll() is None, "pserve ended"
        try:
            with urlopen(url):
                return
        except URLError:
            time.sleep(0.05)
    raise AssertionError("pserve does not answer")
