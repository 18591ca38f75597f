"""Two machines that share nothing but the databases and the storage of files, behind a real HAProxy."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.engine import URL

from tenantapp.fleet.closing.fence import lower_fence, raise_fence
from tenantapp.fleet.copying.requests import request_move
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity import grants, users
from tenantapp.identity.models import Grant, User
from tenantapp.identity.tenants import get_tenant, resume_tenant, suspend_tenant
from tenantapp.operations.foreground import run_now
from tests.haproxy import start_haproxy
from tests.installation import PASSWORD_HASH, Installation, postgres_installation
from tests.ports import free_port
from tests.postgres import postgres_bin
from tests.programs import needed
from tests.transactions.applications import node_titles
from tests.transactions.production import Page, Production, connection_to, wait_for

GUESSES: Final = 5  # that are free
AS_JSON: Final = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}


@dataclass(frozen=True)
class Machines:
    """Two machines, the port of the HAProxy before them, and a third machine, on which the operators' commands run."""

    one: Production
    two: Production
    port: int
    installation: Installation

    def person(self, role: str = "author") -> str:
        """Make somebody with this role in acme."""
        login = f"p-{uuid4().hex[:8]}"
        with self.installation.registry.user_db.begin() as session:
            users.create_user(session, login, name=login, password_hash=PASSWORD_HASH)
            grants.add_grant(session, get_tenant(session, "acme").id, role, login=login)
        return login

    def page(self, role: str = "author") -> Page:
        """Let somebody sign in on the first machine."""
        return Page(self.one, self.person(role))

    def at_both(self, page: Page, path: str = "/api/v1/nodes") -> list[tuple[int, Any]]:
        """What each machine answers to this page."""
        return [at(machine, page, "GET", path) for machine in (self.one, self.two)]


def at(machine: Production, page: Page, method: str, path: str, *more: Any) -> tuple[int, Any]:
    """What this machine answers to a page that has signed in anywhere."""
    page.port = machine.port
    return page.send(method, path, *more)


@pytest.fixture(scope="module")
def machines(postgres_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    server = postgres_server.set(database="").render_as_string(hide_password=False)
    shared = tmp_path_factory.mktemp("shared")
    settings = {
        "servers.other": server,
        "files.storage": str(shared),
        "backups.postgres_bin": postgres_bin("pginstall18") or "/usr/bin",
    }
    with postgres_installation(postgres_server, **settings) as installation, ExitStack() as stack:
        one, two = (_machine(tmp_path_factory.mktemp(name), installation, shared) for name in ("one", "two"))
        for machine in (one, two):
            stack.callback(partial(_end, machine))
        with ThreadPoolExecutor() as threads:
            list(threads.map(Production.start, (one, two)))
        port = free_port()
        addresses = {
            "bind :443 ssl crt /etc/haproxy/tenants.example.pem alpn h2,http/1.1": f"bind 127.0.0.1:{port}",
            "10.0.0.21:6543": f"127.0.0.1:{one.port}",
            "10.0.0.22:6543": f"127.0.0.1:{two.port}",
        }
        directory = tmp_path_factory.mktemp("haproxy")
        haproxy = needed(lambda: start_haproxy("haproxy-web.cfg", addresses, directory))
        stack.callback(haproxy.wait)
        stack.callback(haproxy.terminate)
        wait_for(lambda: one.answers(port))
        yield Machines(one, two, port, installation)


def _machine(directory: Path, installation: Installation, shared: Path) -> Production:
    """A machine with its own working directory, temporary files and metrics, and its own path to the storage."""
    (directory / "tmp").mkdir()
    (directory / "files").symlink_to(shared)
    machine = Production(directory, installation, workers=1, files_storage=str(directory / "files"))
    machine.environment["TMPDIR"] = str(directory / "tmp")
    return machine


def _end(machine: Production) -> None:
    if machine.process.poll() is None:
        machine.stop()


def test_a_session_is_of_all_machines_and_ends_on_all_at_once(machines: Machines) -> None:
    page = machines.page()
    assert at(machines.two, page, "POST", "/api/v1/nodes", {"title": "from two"})[0] == 201
    assert [status for status, _ in machines.at_both(page)] == [200, 200]
    assert at(machines.two, page, "DELETE", "/api/v1/session")[0] == 204
    assert [status for status, _ in machines.at_both(page)] == [401, 401]


def test_what_is_revoked_is_revoked_on_all_machines_at_once(machines: Machines) -> None:
    user_db = machines.installation.registry.user_db
    page, gone = machines.page(), machines.page()
    login = at(machines.two, page, "GET", "/api/v1/session")[1]["user"]["login"]
    assert [status for status, _ in machines.at_both(page)] == [200, 200]
    with user_db.begin() as session:
        granted = select(Grant).join(User, User.id == Grant.user_id).where(User.login == login)
        grants.remove_grant(session, session.scalars(granted).one())
        users.set_enabled(session, at(machines.two, gone, "GET", "/api/v1/session")[1]["user"]["login"], False)
    assert [answer["code"] for _, answer in machines.at_both(page)] == ["tenant_forbidden"] * 2
    assert [status for status, _ in machines.at_both(gone)] == [401, 401]


def test_guesses_on_different_machines_add_up(machines: Machines) -> None:
    login = machines.person()
    codes = []
    for number in range(GUESSES + 1):
        body = json.dumps({"login": login, "password": "not this one, surely", "tenant": "acme"})
        with closing(connection_to((machines.one, machines.two)[number % 2].port)) as connection:
            connection.request("POST", "/api/v1/session", body, AS_JSON | {"X-Forwarded-For": f"192.0.2.{number}"})
            codes.append(connection.getresponse().status)
    assert codes == [401] * GUESSES + [429]


def test_the_state_and_the_place_of_a_tenant_count_on_all_machines_at_once(machines: Machines) -> None:
    registry = machines.installation.registry
    page = machines.page()

    def answers() -> list[Any]:
        return [answer.get("code", status) for status, answer in machines.at_both(page)]

    with registry.user_db.begin() as session:
        suspend_tenant(session, "acme", "not paid")
        acme = get_tenant(session, "acme").id
    assert answers() == ["tenant_suspended"] * 2
    with registry.user_db.begin() as session:
        resume_tenant(session, "acme")
        raise_fence(session.connection(), acme)
    assert answers() == ["tenant_migrating"] * 2
    with registry.user_db.begin() as session:
        lower_fence(session.connection(), acme)
    assert answers() == [200, 200]
    before = [titles for _, titles in machines.at_both(page)]
    fleet = registry.fleet

    def request(session: Any, operation_id: Any) -> Any:
        return request_move(session, fleet, "acme", "other", requested_by="local:tests", operation_id=operation_id)

    run_now(fleet, KINDS, request)
    assert at(machines.one, page, "POST", "/api/v1/nodes", {"title": "after the move"})[0] == 201
    first, second = (answer for _, answer in machines.at_both(page))
    assert first == second != before[0]


def test_cursors_keys_and_files_are_of_all_machines(machines: Machines) -> None:
    page = machines.page()
    start = at(machines.one, page, "GET", "/api/v1/changes")[1]["cursor"]
    key = {"Idempotency-Key": uuid4().hex}
    first = at(machines.one, page, "POST", "/api/v1/nodes", {"title": "once"}, key)
    assert at(machines.two, page, "POST", "/api/v1/nodes", {"title": "once"}, key) == first
    changes = at(machines.two, page, "GET", f"/api/v1/changes?since={start}")[1]
    assert [change["id"] for change in changes["items"]] == [first[1]["id"]]
    at(machines.two, page, "POST", "/api/v1/nodes", {"title": "twice"})
    begun = at(machines.one, page, "GET", "/api/v1/nodes?limit=1")[1]
    assert at(machines.two, page, "GET", f"/api/v1/nodes?limit=1&cursor={begun['next']}")[0] == 200
    content = b"what lies on the shared storage"
    page.port = machines.one.port
    kept = upload(page, "notes.txt", content)
    downloaded = machines.two.get(f"/api/v1/files/{kept}/content", page.headers)
    assert (downloaded.status, downloaded.text) == (200, content.decode())  # type: ignore[attr-defined]


def upload(page: Page, name: str, content: bytes) -> str:
    """Upload a file, and return its id."""
    with closing(connection_to(page.port)) as connection:
        connection.request("POST", f"/api/v1/files?name={name}", content, page.headers | {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        assert answer.status == 201
        return str(json.loads(answer.read())["id"])


class Visitor(threading.Thread):
    """Reads and writes through HAProxy until told to stop, and asks again where an answer was lost."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page, self.stopping = page, threading.Event()
        self.written: list[str] = []
        self.reads: list[int] = []
        self.refused: list[Any] = []
        self.again = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            title = f"visited {len(self.written)}"
            status, answer = self._write(title, {"Idempotency-Key": uuid4().hex})
            if status == 201:
                self.written.append(title)
            else:
                self.refused.append((status, answer))
            self.reads.append(self._read())

    def _read(self) -> int:
        while True:
            try:
                return self.page.send("GET", "/api/v1/nodes?limit=5")[0]
            except (IncompleteRead, ConnectionResetError):
                # The machine died within its answer: HAProxy can no more ask another one.
                continue

    def _write(self, title: str, key: dict[str, str]) -> tuple[int, Any]:
        while True:
            try:
                status, answer = self.page.send("POST", "/api/v1/nodes", {"title": title}, key)
            except (OSError, HTTPException, json.JSONDecodeError):  # HAProxy says 502 in HTML
                status, answer = 502, None
            # 409 idempotency_key_in_use: the first attempt is still at work.
            if status not in (502, 503, 504, 409):
                return status, answer
            self.again += 1


def test_a_machine_that_dies_is_left_out(machines: Machines) -> None:
    """Reading goes on. A change is made once if it is sent again with its key."""
    visitors = [Visitor(Page(machines.one, machines.person(), port=machines.port)) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    wait_for(lambda: all(len(visitor.written) > 2 for visitor in visitors))
    for process in (machines.two.process.pid, *machines.two.workers()):
        os.kill(process, signal.SIGKILL)
    machines.two.process.wait()
    seen = [len(visitor.written) for visitor in visitors]
    wait_for(lambda: all(len(v.written) > n + 3 for v, n in zip(visitors, seen, strict=True)))
    machines.two.start()
    for visitor in visitors:
        visitor.stopping.set()
        visitor.join()
        visitor.page.connection.close()
    assert [visitor.refused for visitor in visitors] == [[], [], []]
    assert {status for visitor in visitors for status in visitor.reads} == {200}
    titles = [title for title in node_titles(machines.installation) if title.startswith("visited ")]
    assert sorted(titles) == sorted(title for visitor in visitors for title in visitor.written)
