"""A tenantapp that a browser can visit: a real ``pserve`` on SQLite, with the people of the demo."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.ports import free_port

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

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def command(self, *arguments: str, given: str = "") -> None:
        """Run ``tenantapp``."""
        subprocess.run(
            [BIN / "tenantapp", "--ini", "site.ini", *arguments],
            cwd=self.directory,
            env=self.environment,
            input=given.encode(),
            check=True,
            capture_output=True,
        )


@contextmanager
def site_in(directory: Path, settings: str = "", **environment: str) -> Iterator[Site]:
    """Prepare a directory. Nothing is served yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TENANTAPP_")}
    site = Site(directory, free_port(), kept | environment)
    (directory / "site.ini").write_text(INI.format(settings=settings, port=site.port))
    site.command("init")
    yield site


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
