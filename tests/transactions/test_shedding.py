"""What waits too long in the queue of a real server is turned away before it is begun, and is not done later."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import pairwise
from threading import Event, Thread
from typing import Any

import pytest

from tests.installation import Client, Installation, sqlite_installation
from tests.transactions.server import exchange, send, serving

AFTER = 0.3  # seconds


@pytest.fixture(scope="module")
def shedding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The engine has nothing to do with it."""
    settings = {"shed.after": str(AFTER), "limits.person": "1000/day"}
    with sqlite_installation(tmp_path_factory.mktemp("shedding"), **settings) as installation:
        yield installation


@pytest.fixture(scope="module")
def token(shedding: Installation) -> str:
    content = {"name": "x", "permissions": ["content.read", "content.create"], "days": 1}
    made: str = Client(shedding.app).sign_in("bob", "acme").post("/tokens", content).json["token"]
    return made


def request(token: str, method: str, path: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def answer(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


class Held:
    """The application, and before it a path at which a request holds its thread until it is let go."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.holds, self.let_go = Event(), Event()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/held":
            return self._app(environ, start_response)
        self.holds.set()
        assert self.let_go.wait(10)
        start_response("204 No Content", [])
        return []


def read(connection: Any) -> tuple[int, dict[str, str], bytes]:
    with connection:
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return answer(b"".join(parts))


def titles(installation: Installation) -> list[str]:
    return [node["title"] for node in Client(installation.app).sign_in("bob", "acme").get("/nodes").json["items"]]


def test_what_waited_too_long_is_turned_away_and_never_done(shedding: Installation, token: str) -> None:
    held = Held(shedding.app)
    with serving(held, threads=1) as address:
        thread = Thread(target=exchange, args=(address, request(token, "GET", "/held")))
        thread.start()
        assert held.holds.wait(10)
        # They wait where the system keeps connections that the server has not accepted.
        late = send(address, request(token, "POST", "/api/v1/nodes", json.dumps({"title": "late"}).encode()))
        probe = send(address, request(token, "GET", "/__lbheartbeat__"))
        time.sleep(AFTER + 0.2)
        in_time = send(address, request(token, "POST", "/api/v1/nodes", json.dumps({"title": "in time"}).encode()))
        held.let_go.set()
        thread.join()
        status, headers, body = read(late)
        assert (status, json.loads(body)["code"], headers["retry-after"]) == (503, "overloaded", "5")
        assert headers["content-type"] == "application/problem+json"
        assert read(probe)[0] == 200
        assert read(in_time)[0] == 201
    assert titles(shedding) == ["in time"]
    assert shedding.registry.limiter.numbers().shed == 1


def test_a_kept_connection_is_as_old_as_its_request(shedding: Installation, token: str) -> None:
    with (
        serving(shedding.app, threads=1, channel_timeout=10) as address,
        closing(HTTPConnection(*address, timeout=10)) as connection,
    ):
        connection.connect()
        for _ in range(2):
            time.sleep(AFTER + 0.1)  # the client takes its time: that is not the server's queue
            connection.request("GET", "/api/v1/nodes", headers={"Authorization": f"Bearer {token}"})
            with connection.getresponse() as answered:
                assert (answered.status, answered.read()[:9]) == (200, b'{"items":')


def test_a_long_body_counts_once(shedding: Installation, token: str) -> None:
    with serving(shedding.app, threads=1) as address:
        left = []
        for size in (10, 200_000, 10):
            body = json.dumps({"title": "x", "body": "y" * size}).encode()
            status, headers, _ = answer(exchange(address, request(token, "POST", "/api/v1/nodes", body)))
            assert status in (201, 422)
            left.append(int(headers["ratelimit"].partition("r=")[2].partition(";")[0]))
    assert [first - second for first, second in pairwise(left)] == [1, 1]
