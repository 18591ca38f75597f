"""A process that can open no more files: requests fail, and neither a database nor the listener is harmed."""

import logging
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tenantapp import main
from tenantapp.sql import open_files
from tenantapp.tenancy.servers import SqliteServer
from tests.file_limits import few_more_files
from tests.installation import Client, Installation, sqlite_installation
from tests.transactions.server import send, serving

REQUEST = b"GET /__lbheartbeat__ HTTP/1.0\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with sqlite_installation(tmp_path_factory.mktemp("files")) as installation:
        yield installation


def files_of(installation: Installation) -> list[Path]:
    server = installation.registry.servers["main"]
    assert isinstance(server, SqliteServer)
    return list(server.directory.glob("tenant_*.sqlite"))


def test_requests_without_files(installation: Installation) -> None:
    """Of what was answered with 201, everything is there; of what was answered with 503, nothing."""
    bob = Client(installation.app).sign_in("bob")
    answers = []
    for left in (0, 1, 2, 3, 4, 6):
        installation.registry.tenant_dbs.dispose()
        with few_more_files(left):
            answers += [(f"{left} {number}", bob.post("/nodes", {"title": f"{left} {number}"})) for number in (1, 2)]
    statuses = {answer.status_int for _, answer in answers}
    assert statuses == {201, 503}
    assert {answer.json["code"] for _, answer in answers if answer.status_int == 503} == {"tenant_unavailable"}
    kept = {node["title"] for node in bob.get("/nodes").json["items"]}
    assert kept == {title for title, answer in answers if answer.status_int == 201}
    installation.registry.tenant_dbs.dispose()
    for file in files_of(installation):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_idle_connection_makes_room(installation: Installation) -> None:
    bob, gina = (Client(installation.app).sign_in(login) for login in ("bob", "gina"))
    installation.registry.tenant_dbs.dispose()
    assert gina.get("/nodes").status_int == 200
    with few_more_files(1):
        assert bob.get("/nodes").status_int == 200
        assert gina.get("/nodes").status_int == 200


def test_the_listener_waits(installation: Installation, caplog: pytest.LogCaptureFixture) -> None:
    with serving(installation.app) as address:
        with send(address, REQUEST) as first:
            assert b" 200 " in first.recv(65536)
        with few_more_files(1), caplog.at_level(logging.WARNING):
            waiting = send(address, REQUEST)
            spent = time.process_time()
            time.sleep(0.4)
            assert time.process_time() - spent < 0.2, "it does not try all the time"
        with waiting:
            waiting.settimeout(10)
            assert b" 200 " in waiting.recv(65536)
    assert 1 <= caplog.text.count("too many open files") <= 2


def test_a_budget_that_the_limit_does_not_allow(installation: Installation) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    settings = installation.settings | {"connections.budget": str(hard)}
    with pytest.raises(SystemExit, match=r"connections\.budget is \d+, .* need \d+ open files, and"):
        main({}, **settings)


def test_servers_share_the_files() -> None:
    one, three = open_files.most_connections(), open_files.most_connections(3)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 3 * three * 2 * open_files.FILES <= hard
    assert three <= one
