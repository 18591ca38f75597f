"""A large CSV file through the real server, in and out: it takes little memory, and a part does not look whole."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from tests.installation import sqlite_installation
from tests.transactions.production import Page, Production, connection_to, production

LONG = b"x" * 100_000  # characters of the body of a node
LARGE = 320  # rows, of 32 MB in all; 100 MB take longer, and show the same
GROWTH = 12 * 2**20  # bytes of memory; about 1 MiB of rows is worked on at once


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """One worker on SQLite."""
    directory = tmp_path_factory.mktemp("import")
    (directory / "databases").mkdir()
    with (
        sqlite_installation(directory / "databases") as installation,
        production(directory, installation, workers=1) as server,
    ):
        yield server


def send(server: Production, rows: int, body: bytes, query: str = "") -> tuple[int, Any]:
    """Send nodes with this body, the length not announced; status and document of the answer."""

    def chunks() -> Iterator[bytes]:
        yield b"title,body\n"
        for number in range(rows):
            yield b"node %d,%s\n" % (number, body)

    headers = {**Page(server, "bob").headers, "Content-Type": "text/csv"}
    with closing(connection_to(server.port)) as connection:
        connection.request("POST", f"/api/v1/nodes/import{query}", chunks(), headers, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def most_memory(server: Production) -> int:
    """The most memory that the worker has had, in bytes."""
    (worker,) = server.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def growth(served: Production) -> int:
    """By how many bytes the memory grows while the large file is imported."""
    assert send(served, 20, LONG, "?dry_run=true") == (200, {"created": 20, "dry_run": True})
    before = most_memory(served)
    assert send(served, LARGE, LONG) == (200, {"created": LARGE, "dry_run": False})
    return most_memory(served) - before


@contextmanager
def exporting(server: Production, page: Page) -> Iterator[HTTPResponse]:
    with closing(connection_to(server.port)) as connection:
        connection.request("GET", "/api/v1/nodes/export?_fields=title,body", headers=page.headers)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
        yield answer


def test_a_large_file_takes_little_memory(growth: int) -> None:
    assert growth < GROWTH


@pytest.mark.usefixtures("growth")
def test_a_large_export_takes_little_memory(served: Production) -> None:
    before = most_memory(served)
    with exporting(served, Page(served, "bob")) as answer:
        lines = answer.read().splitlines()
    assert len(lines) == LARGE + 1
    assert lines[1] == b"node 0," + LONG
    assert most_memory(served) - before < GROWTH


@pytest.mark.usefixtures("growth")
def test_an_export_that_breaks_off_does_not_end_as_a_whole_one(served: Production) -> None:
    page = Page(served, "bob")
    with exporting(served, page) as answer:
        assert answer.read(10) == b"title,body"
        with closing(connection_to(served.port)) as other:
            other.request("DELETE", "/api/v1/session", headers=page.headers)
            assert other.getresponse().status == 204
        with pytest.raises(IncompleteRead) as caught:
            answer.read()
    assert caught.value.partial.endswith(b'"This file is not complete: the export broke off here.\r\n')


def test_each_row_is_a_change_that_clients_follow(served: Production) -> None:
    page = Page(served, "bob")
    begun = page.send("GET", "/api/v1/changes")[1]["cursor"]
    assert send(served, 250, b"short")[0] == 200
    changes = page.send("GET", f"/api/v1/changes?since={begun}&limit=500")[1]["items"]
    assert {(each["resource"], each["kind"]) for each in changes} == {("nodes", "created")}
    assert len({each["id"] for each in changes}) == 250
