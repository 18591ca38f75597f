"""``pserve production.ini``, really: the file of the checkout, in processes of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Final

from tests.forks import Forked
from tests.installation import PASSWORD, Installation
from tests.ports import free_port
from tests.prometheus import Metrics, told
from tests.transactions.forks import begin_serving
from tests.units import Unit

CHECKOUT: Final = Path(__file__).parents[2]
PSERVE: Final = Path(sys.executable).with_name("pserve")
START_TIMEOUT: Final = 60.0  # seconds; generous, for a machine with much to do
SERVICE: Final = Unit("tenantapp.service")
COOKIE: Final = "__Host-tenantapp"
# A domain: the bundled one, and views that tell about the process they run in.
DOMAIN: Final = '''
import os
import signal
import time
from pathlib import Path

from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import event, text
from sqlalchemy.orm import Session

import tenantapp.workspace.models  # the start names a model that is not seen from here

VERSION = "one"
HERE = Path(__file__).parent


def about(request):
    return {
        "process": os.getpid(),
        "port": request.environ["REMOTE_PORT"],
        "version": VERSION,
        "budget": request.registry.tenant_dbs.numbers()["main"].limit,
        "url": request.host_url,
        "client": request.client_addr,
        "headers": dict(request.headers),
        "body": len(request.body),
    }


def backends(request):
    """The PostgreSQL processes at the other end of this process's connections."""
    statement = "SELECT pg_backend_pid()"
    engines = [request.user_session.get_bind(), request.registry.access_reader.database.engine]
    found = [request.tenant_session.connection().exec_driver_sql(statement).scalar()]
    for engine in engines:
        with engine.connect() as connection:
            found.append(connection.exec_driver_sql(statement).scalar())
    return {"process": os.getpid(), "backends": found}


def slow(request):
    """Write, and wait until it may go on."""
    request.tenant_session.execute(text("UPDATE nodes SET title = 'slow'"))
    (HERE / "started").write_text(str(os.getpid()))
    return held(request)


def held(request):
    """Wait until there is a file, for half a minute at most."""
    (HERE / f"held-{request.environ['REMOTE_PORT']}").touch()
    deadline = time.monotonic() + 30
    while not (HERE / "go_on").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return {"process": os.getpid()}


def dies_at(moment):
    """End the process at this moment of a commit as kill -9 does, once, if there is a file of this name."""

    def die(session):
        if (HERE / moment).exists():
            (HERE / moment).unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Session, moment, die)


def includeme(config):
    config.include("tenantapp.workspace")
    dies_at("before_commit")
    dies_at("after_commit")
    for name, view, permission in (
        ("about", about, NO_PERMISSION_REQUIRED),
        ("backends", backends, "content.read"),
        ("slow", slow, "content.create"),
        ("held", held, NO_PERMISSION_REQUIRED),
    ):
        config.add_route(name, f"/x/{name}")
        config.add_view(view, route_name=name, renderer="json", permission=permission)
'''


class Production:
    """A running ``pserve``. ``directory`` has its ini file, its domain and its output.

    Without ``checked`` it is forked, see ``forks``, as the program that ``pserve`` becomes when it has loaded the
    application once: for tests that are neither about how it starts nor about what it imports. With a socket
    ``activated`` it begins as the unit in ``deploy/`` says, and is given the socket. ``settings`` are its own,
    ``files_storage="..."``, beside those of the installation.
    """

    process: "subprocess.Popen[bytes] | Forked"

    def __init__(
        self,
        directory: Path,
        installation: Installation,
        workers: int,
        keepalive: int = 0,
        *,
        checked: bool = False,
        activated: socket.socket | None = None,
        **settings: str,
    ) -> None:
        self.directory, self._checked, self._activated = directory, checked, activated
        self.ini = directory / "production.ini"
        self.ini.write_text((CHECKOUT / "production.ini").read_text())
        self.domain = directory / "told.py"
        self.domain.write_text(DOMAIN)
        self.port = free_port() if activated is None else activated.getsockname()[1]
        self.metrics_port = free_port()
        self.environment = environment(
            installation.settings,
            tenantapp_domain="told",
            migrations_tenant=str(CHECKOUT / "alembic" / "tenant"),
            server_workers=str(workers),
            server_keepalive=str(keepalive),
            metrics_listen=f"127.0.0.1:{self.metrics_port}",
            metrics_directory=str(directory / "metrics"),
            **settings,
        ) | {"PYTHONPATH": str(directory)}

    def start(self) -> None:
        """Start, and wait until every worker has answered."""
        arguments = ["production.ini", f"http_port={self.port}"]
        if self._checked or self._activated is not None:
            self.process = self._executed(arguments)
        else:
            self.process = begin_serving(arguments, self.directory, self.environment)
        wait_for(self.answers)
        seen: set[int] = set()
        wait_for(lambda: seen.add(self.about()["process"]) or seen == self.workers())  # type: ignore[func-returns-value]

    def _executed(self, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
        with (self.directory / "stdout").open("a") as out, (self.directory / "stderr").open("a") as err:
            options: dict[str, Any] = {"cwd": self.directory, "env": self.environment, "stdout": out, "stderr": err}
            if self._activated is None:
                return subprocess.Popen([str(PSERVE), *arguments], **options)
            return SERVICE.start([*SERVICE.command(), arguments[-1]], listening=self._activated, **options)

    def answers(self, port: int | None = None) -> bool:
        """Whether it answers, or the proxy at this port does for it."""
        assert self.process.poll() is None, (self.directory / "stderr").read_text()
        try:
            return self.get("/__lbheartbeat__", port=port).status == 200
        except OSError:
            return False

    def connection(self) -> HTTPConnection:
        return connection_to(self.port)

    def get(self, path: str, headers: dict[str, str] | None = None, *, port: int | None = None) -> HTTPResponse:
        """The answer to a request of its own connection; its body is in ``answer.text``."""
        connection = connection_to(port or self.port)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def about(self, port: int | None = None, **headers: str) -> dict[str, Any]:
        """What the process that answers says of itself and of the request. ``X_Y="..."`` is the header ``X-Y``.

        ``port`` is that of a proxy.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return dict(json.loads(self.get("/x/about", sent, port=port).text))  # type: ignore[attr-defined]

    def metrics(self) -> Metrics:
        """What Prometheus is told."""
        return told(self.metrics_port)

    def workers(self) -> set[int]:
        """The process ids of the workers."""
        master = self.process.pid
        return {int(child) for child in Path(f"/proc/{master}/task/{master}/children").read_text().split()}

    def reload(self) -> None:
        """Have it reload, and wait until all of its workers are new ones."""
        before = self.workers()
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not before & self.workers())

    def log(self) -> list[dict[str, Any]]:
        """What it has logged; fails for a line that is not JSON."""
        return [json.loads(line) for line in (self.directory / "stdout").read_text().splitlines()]

    def logged(self, text: str) -> bool:
        return any(text in line["message"] for line in self.log())

    def stop(self) -> int:
        """Have it stop; gives the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_TIMEOUT)


class Page:
    """A browser's page behind the proxy, signed in. ``kept``: it would use a connection again, if the server let it.

    ``port`` is that of a real proxy; without one, the page itself says what a proxy would.
    """

    def __init__(self, production: Production, login: str, *, kept: bool = False, port: int | None = None) -> None:
        self.port, self.kept = port or production.port, kept
        self.connection = connection_to(self.port)
        self.headers = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}
        signed_in = self.send("POST", "/api/v1/session", {"login": login, "password": PASSWORD, "tenant": "acme"})
        assert signed_in[0] == 201, signed_in
        self.headers["X-CSRF-Token"] = signed_in[1]["csrf_token"]

    def send(
        self, method: str, path: str, document: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and document of the answer. Never sends a request twice."""
        if not self.kept:
            self.connection.close()
            self.connection = connection_to(self.port)
        body = None if document is None else json.dumps(document)
        self.connection.request(method, path, body, self.headers | (headers or {}))
        answer = self.connection.getresponse()
        text = answer.read()
        if cookie := answer.headers.get("Set-Cookie"):
            self.headers["Cookie"] = cookie.partition(";")[0]
        return answer.status, json.loads(text) if text else None


@contextmanager
def production(
    directory: Path,
    installation: Installation,
    workers: int = 2,
    keepalive: int = 0,
    *,
    checked: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Production]:
    """``pserve production.ini`` on the databases of this installation, stopped at the end.

    ``variables`` of its environment take the place of what the installation's settings say.
    """
    server = Production(directory, installation, workers, keepalive, checked=checked)
    server.environment |= variables or {}
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def connection_to(port: int) -> HTTPConnection:
    """A connection to this machine."""
    return HTTPConnection("127.0.0.1", port, timeout=60)


def environment(settings: dict[str, str], **more: str) -> dict[str, str]:
    """Ours, with these settings in it and no others. Tests ask more often than people, and wait for slow machines."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENANTAPP_", "PYTHON"))}
    unlimited = {f"limits_{kind}": "none" for kind in ("address", "person", "token", "tenant")} | {"shed_after": "0"}
    given = unlimited | {name.replace(".", "_"): value for name, value in settings.items()} | more
    return kept | {f"TENANTAPP_{name.upper()}": value for name, value in given.items()}


def wait_for(condition: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + START_TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
