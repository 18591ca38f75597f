"""Large files through the real server: received and sent piece by piece, and never half there."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.installation import sqlite_installation
from tests.transactions.production import Page, Production, connection_to, production, wait_for

SIZE = 200 * 2**20
MEBIBYTE = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(128)) * 256
CHUNK = b"%x\r\n%s\r\n" % (len(MEBIBYTE), MEBIBYTE)
LARGE = SIZE // len(MEBIBYTE)
GROWTH = 24 * 2**20  # bytes of memory; what is received and sent is read in pieces of 256 KiB


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """One worker on SQLite, whose storage is a directory: ``files`` beside its ini file."""
    directory = tmp_path_factory.mktemp("uploads")
    (directory / "databases").mkdir()
    settings = {"files.storage": (directory / "files").as_uri(), "files.max_size": str(SIZE)}
    with (
        sqlite_installation(directory / "databases", **settings) as installation,
        production(directory, installation, workers=1) as server,
    ):
        yield server


class Uploader(Page):
    """Somebody who uploads and downloads."""

    def begin(self, length: int | None) -> HTTPConnection:
        """Begin an upload; without a length in chunks."""
        connection = connection_to(self.port)
        connection.putrequest("POST", "/api/v1/files?name=large.bin")
        headers = {**self.headers, "Content-Type": "application/octet-stream"}
        headers |= {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def upload(self, pieces: int, *, chunked: bool = False) -> tuple[int, Any]:
        """Upload so many MiB; status and document of the answer."""
        with closing(self.begin(None if chunked else pieces * len(MEBIBYTE))) as connection:
            for _ in range(pieces):
                connection.send(CHUNK if chunked else MEBIBYTE)
            connection.send(b"0\r\n\r\n" if chunked else b"")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def delete(self, file_id: str) -> int:
        """Delete a file; the status of the answer."""
        with closing(connection_to(self.port)) as connection:
            connection.request("DELETE", f"/api/v1/files/{file_id}", headers=self.headers)
            return connection.getresponse().status

    def download(self, file_id: str, **headers: str) -> HTTPResponse:
        """The answer, to be read to its end."""
        connection = connection_to(self.port)
        connection.request("GET", f"/api/v1/files/{file_id}/content", headers=self.headers | headers)
        return connection.getresponse()

    def listed(self) -> list[Any]:
        """The files that are there."""
        return list(self.send("GET", "/api/v1/files?limit=500")[1]["items"])


def lying(server: Production) -> dict[str, int]:
    """What lies in the storage: the sizes of files by name."""
    return {file.name: file.stat().st_size for file in (server.directory / "files").glob("*/*")}


def times_asked(server: Production) -> int:
    """How often the application has said that it wants the body of an upload."""
    return sum("/api/v1/files' 100" in line["message"] for line in server.log())


def most_memory(server: Production) -> int:
    """The most memory that the worker has had, in bytes."""
    (worker,) = server.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize(("pieces", "chunked"), [(LARGE, False), (40, True)], ids=["200 MiB", "chunked"])
def test_a_large_file_takes_little_memory(served: Production, pieces: int, chunked: bool) -> None:
    bob = Uploader(served, "bob")
    small = bob.upload(2)[1]
    assert bob.download(small["id"]).read() == MEBIBYTE * 2
    before = most_memory(served)
    status, made = bob.upload(pieces, chunked=chunked)
    assert (status, made["size"]) == (201, pieces * len(MEBIBYTE)), made
    answer, digest = bob.download(made["id"]), hashlib.sha256()
    while piece := answer.read(len(MEBIBYTE)):
        digest.update(piece)
    assert digest.hexdigest() == made["sha256"]
    part = bob.download(made["id"], Range="bytes=-5")
    assert (part.status, part.read()) == (206, MEBIBYTE[-5:])
    assert most_memory(served) - before < GROWTH
    assert bob.delete(made["id"]) == 204
    assert UUID(made["id"]).hex not in lying(served)


@pytest.mark.parametrize("length", [SIZE + 1, 10**12])
def test_a_file_that_is_too_large_is_refused_before_its_first_byte(served: Production, length: int) -> None:
    with closing(Uploader(served, "bob").begin(length)) as connection:
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "body_too_large")


def test_who_may_not_upload_is_told_before_the_first_byte(served: Production) -> None:
    rita, nobody = Uploader(served, "rita"), Uploader(served, "bob")
    del nobody.headers["Cookie"]
    for page, status in ((rita, 403), (nobody, 401)):
        with closing(page.begin(SIZE)) as connection:
            assert connection.getresponse().status == status


@pytest.mark.parametrize("ending", ["leaves", "malformed"])
def test_an_upload_that_breaks_off_leaves_nothing(served: Production, ending: str) -> None:
    bob, before = Uploader(served, "bob"), lying(served)
    listed, asked = bob.listed(), times_asked(served)
    with closing(bob.begin(SIZE if ending == "leaves" else None)) as connection:
        connection.send(MEBIBYTE if ending == "leaves" else CHUNK)
        wait_for(lambda: times_asked(served) > asked)
        if ending == "malformed":
            connection.send(b"no number\r\n")
            assert connection.getresponse().status == 400
    wait_for(lambda: lying(served) == before)
    assert bob.listed() == listed


def test_what_is_on_its_way_ends_before_a_worker_that_stops(served: Production) -> None:
    """An upload that arrives slowly, and a download that is read slowly, while a new worker serves the others."""
    bob, pieces = Uploader(served, "bob"), 20
    stored = bob.upload(pieces)[1]["id"]
    before, asked = served.workers(), times_asked(served)
    download = bob.download(stored)
    read = len(download.read(len(MEBIBYTE)))
    with closing(bob.begin(2 * len(MEBIBYTE))) as upload:
        upload.send(MEBIBYTE)
        wait_for(lambda: times_asked(served) > asked)
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: served.about()["process"] not in before)
        time.sleep(0.5)
        assert before < served.workers()
        upload.send(MEBIBYTE)
        answer = upload.getresponse()
        assert (answer.status, answer.will_close) == (201, True)
        made = json.loads(answer.read())
    assert made["sha256"] == hashlib.sha256(MEBIBYTE * 2).hexdigest()
    assert read + len(download.read()) == pieces * len(MEBIBYTE)
    wait_for(lambda: not before & served.workers())
    assert [bob.delete(each) for each in (stored, made["id"])] == [204, 204]


def test_a_worker_that_dies_in_mid_upload_leaves_nothing(served: Production) -> None:
    bob, before = Uploader(served, "bob"), lying(served)
    listed, asked = bob.listed(), times_asked(served)
    with closing(bob.begin(SIZE)) as connection:
        connection.send(MEBIBYTE)
        wait_for(lambda: times_asked(served) > asked)
        (worker,) = served.workers()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: served.workers() not in ({worker}, set()) and served.answers())
    assert (bob.listed(), lying(served)) == (listed, before)


def test_a_process_that_dies_at_the_commit_leaves_both_or_no_row(served: Production) -> None:
    bob = Uploader(served, "bob")
    for moment, there in (("before_commit", 0), ("after_commit", 1)):
        before = bob.listed()
        (served.directory / moment).touch()
        with pytest.raises(ConnectionError):
            bob.upload(2)
        wait_for(served.answers)
        items = bob.listed()
        assert len(items) == len(before) + there
        lies = lying(served)
        assert all(lies[UUID(item["id"]).hex] == item["size"] for item in items)
