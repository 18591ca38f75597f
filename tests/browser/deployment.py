"""``pserve production.ini`` on PostgreSQL behind a real nginx with TLS, to be visited, killed and updated."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.site import Site
from tests.built_page import DIST
from tests.installation import Installation
from tests.nginx import nginx_before
from tests.ports import free_port
from tests.transactions.production import Production, production, wait_for

CHUNK = re.compile(r"-([\w-]{8})\.(js|css)$")


@dataclass(frozen=True)
class Deployment:
    """Where it is visited, the server behind the proxy, and its databases."""

    site: Site
    server: Production
    installation: Installation

    def kill(self) -> None:
        """End all processes of the server at once. nginx stays."""
        for process in (self.server.process.pid, *self.server.workers()):
            os.kill(process, signal.SIGKILL)
        self.server.process.wait()

    def start_with_another_page(self) -> None:
        """Start the server again, with a page whose parts have other names, as after an update."""
        self.server.environment["TENANTAPP_WEB_DIRECTORY"] = str(renamed(self.server.directory / "updated"))
        self.server.start()


@contextmanager
def deployment(directory: Path, installation: Installation) -> Iterator[Deployment]:
    """Deploy during the block."""
    port = free_port()
    with production(directory, installation, workers=1) as server, nginx_before(server.port, port, directory, tls=True):
        site = Site(directory, port, {}, "https")
        wait_for(lambda: server.answers())
        yield Deployment(site, server, installation)


def renamed(directory: Path) -> Path:
    """A copy of the built page in which every file under ``assets`` has another name."""
    shutil.copytree(DIST, directory, ignore=shutil.ignore_patterns("*.br", "*.gz"))
    files = list((directory / "assets").iterdir())
    names = {path.name: CHUNK.sub(r"-new\1.\2", path.name) for path in files}
    for path in (directory / "index.html", *files):
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(old, new)
        path.write_text(text)
        if path.name in names:
            path.rename(path.with_name(names[path.name]))
    return directory
