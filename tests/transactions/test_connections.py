"""Slow clients, strange requests and long bodies, through the real loop that production and development share."""

import gc
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tenantapp.serving.connections import Limits
from tenantapp.serving.incoming import IN_MEMORY
from tests.file_limits import files_no_larger_than
from tests.slow_databases import at_last
from tests.transactions.server import exchange, send, serving

LARGE = 20 * 2**20  # bytes; more than the buffers of sockets take
HEADERS = {
    b"content-type: application/problem+json",
    b"cache-control: no-store",
    b"x-content-type-options: nosniff",
    b"referrer-policy: no-referrer",
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'",
    b"connection: close",
}
Address = tuple[str, int]


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer the length of the body; at /large much, and at /refused 401 without looking at the body."""
    path = environ["PATH_INFO"]
    length = 0 if path == "/refused" else len(environ["wsgi.input"].read())
    body = b"x" * LARGE if path == "/large" else f"{environ.get('HTTP_HOST')} {length}".encode()
    status = "401 Unauthorized" if path == "/refused" else "200 OK"
    start_response(status, [("Content-Length", str(len(body)))])
    return [body] if environ["REQUEST_METHOD"] != "HEAD" else []


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """One thread: whoever held it would hold up everybody."""
    limits = Limits(head=1, patience=1, slowest=50_000, linger=0.5, connections=20, fresh=0.2)
    with serving(app, threads=1, limits=limits, max_request_body_size=4 * IN_MEMORY) as address:
        yield address


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(path: str, length: int, *headers: str) -> bytes:
    return get(path, f"Content-Length: {length}", "Connection: close", *headers).replace(b"GET", b"POST", 1)


def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection, however it does."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        parts.append(b"<reset>")
    return b"".join(parts)


def problem(answer: bytes) -> tuple[int, str]:
    """Status and code of a problem document. Fails if it is none, or if a header is missing."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = {line.lower() for line in head.split(b"\r\n")}
    assert lines >= HEADERS, answer
    document = json.loads(body)
    assert {"type", "title", "status", "code", "detail", "errors", "request_id"} == set(document)
    assert int(head.split()[1]) == document["status"]
    assert f"x-request-id: {document['request_id']}".encode() in lines
    return document["status"], document["code"]


def test_who_sends_or_reads_too_slowly_is_given_up_and_holds_no_thread(address: Address) -> None:
    beginnings = {
        "silent": b"",
        "head": get("/")[:-2],
        "body": post("/", 1000) + b"x",
        "long body": post("/", IN_MEMORY * 2) + b"x",
        "chunks": get("/", "Transfer-Encoding: chunked") + b"3\r\nab",
        "reader": get("/large"),
    }
    with ExitStack() as stack:
        slow = {name: stack.enter_context(send(address, sent)) for name, sent in beginnings.items()}
        honest = stack.enter_context(send(address, post("/", IN_MEMORY)))
        for _ in range(16):  # a little faster than the slowest that is permitted, and longer than the patience
            honest.sendall(b"x" * (IN_MEMORY // 16))
            for connection in (slow["head"], slow["body"], slow["long body"]):
                try:
                    connection.sendall(b"x")
                except ConnectionError:
                    continue
            started = time.monotonic()
            assert exchange(address, get("/", "Connection: close")).endswith(b"x 0")
            assert time.monotonic() - started < 1
            time.sleep(0.15)
        assert rest(honest).endswith(f"x {IN_MEMORY}".encode())
        ended = {name: rest(connection) for name, connection in slow.items()}
    assert ended.pop("silent") == b""
    assert len(ended.pop("reader")) < LARGE
    for name, answer in ended.items():
        assert problem(answer) == (408, "request_timeout"), name


def test_new_connections_take_the_places_of_those_that_do_not_get_on(address: Address) -> None:
    with ExitStack() as stack:
        uploading = stack.enter_context(send(address, post("/", 9) + b"12345678"))
        time.sleep(0.3)
        stale = [stack.enter_context(send(address, get("/")[:-2])) for _ in range(60)]
        assert exchange(address, get("/", "Connection: close")).endswith(b"x 0")
        uploading.sendall(b"9")
        assert rest(uploading).endswith(b"x 9")
        assert rest(stale[0]) in (b"", b"<reset>")


MALFORMED = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET http://[x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]


def test_what_is_no_request_is_refused_by_a_problem_document(address: Address) -> None:
    for request in MALFORMED:
        assert problem(exchange(address, request)) == (400, "bad_request"), request
    assert problem(exchange(address, get("/" + "x" * 40_000))) == (431, "headers_too_large")
    assert problem(exchange(address, get("/", "Transfer-Encoding: gzip, chunked"))) == (501, "not_implemented")
    assert b"<evil>" not in exchange(address, b"GET /<evil> HTTP/9.9\r\nHost: <evil>\r\n\r\n")
    # What the target names goes before the header.
    assert exchange(address, b"GET http://y/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").endswith(b"y 0")


def test_a_long_body_is_received_only_if_the_application_wants_it(address: Address) -> None:
    for announced in ("Content-Length: 9999999", "Transfer-Encoding: chunked"):
        with send(
            address, get("/refused", announced, "Expect: 100-continue").replace(b"GET", b"POST", 1)
        ) as connection:
            if "chunked" in announced:
                assert connection.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n", "it may be short"
                connection.sendall(b"%x\r\n" % (9 * IN_MEMORY) + b"x" * (IN_MEMORY + 10))
            assert rest(connection).startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    length = IN_MEMORY + 1
    with send(address, post("/", length, "Expect: 100-continue")) as connection:
        assert connection.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"x" * length)
        assert rest(connection).endswith(f"x {length}".encode())
    chunk = b"%x\r\n" % length + b"x" * length + b"\r\n"
    chunked = get("/", "Transfer-Encoding: chunked", "Connection: close").replace(b"GET", b"POST", 1)
    assert exchange(address, chunked + chunk + b"0\r\n\r\n").endswith(f"x {length}".encode())
    assert problem(exchange(address, post("/", 4 * IN_MEMORY + 1))) == (413, "body_too_large")
    assert problem(exchange(address, chunked + chunk * 9)) == (413, "body_too_large")


def test_a_body_for_which_the_disk_has_no_room_is_refused(address: Address) -> None:
    with files_no_larger_than(IN_MEMORY + 100_000), send(address, post("/", 3 * IN_MEMORY)) as connection:
        connection.sendall(b"x" * 2 * IN_MEMORY)
        answer = rest(connection)
    assert problem(answer) == (503, "busy")
    assert b"\r\nRetry-After: 5\r\n" in answer


def test_requests_on_one_connection_are_answered_in_their_order(address: Address) -> None:
    several = get("/") + post("/", 3).replace(b"Connection: close\r\n", b"") + b"abc" + get("/", "Connection: close")
    answers = exchange(address, several)
    assert [part[-3:] for part in answers.split(b"HTTP/1.1 200 OK")[1:]] == [b"x 0", b"x 3", b"x 0"]
    head = exchange(address, get("/", "Connection: close").replace(b"GET", b"HEAD", 1))
    assert head.endswith(b"\r\n\r\n")
    # After a malformed request nothing on the connection counts.
    assert exchange(address, MALFORMED[0] + get("/")).count(b"HTTP/1.1 ") == 1


def test_an_answer_of_any_size_arrives_whole() -> None:
    """Many parts, read at different speeds, on one connection: nothing is lost, doubled or out of order."""
    parts = [bytes([number % 251]) * (number * 613 % 90_000) for number in range(150)]

    def many(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(sum(map(len, parts))))])
        return parts

    with serving(many, threads=2) as address, send(address, get("/") + get("/", "Connection: close")) as connection:
        received = b""
        while part := connection.recv(1_000_000):
            received += part
            time.sleep(0.01 if len(received) % 3 else 0)
    first, second = received.split(b"HTTP/1.1 200 OK")[1:]
    assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2] == b"".join(parts)


def test_a_client_that_leaves_frees_its_thread(address: Address) -> None:
    for _ in range(3):
        send(address, get("/large")).close()
    finished = threading.Event()
    threading.Thread(target=lambda: exchange(address, get("/", "Connection: close")) and finished.set()).start()
    assert finished.wait(5)


def test_a_client_that_leaves_before_its_answer_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    begun, gone = threading.Event(), threading.Event()

    def late(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        assert gone.wait(5)
        return app(environ, start_response)

    with serving(late, threads=1) as address:
        leaving = send(address, get("/", "Connection: close"))
        assert begun.wait(5)
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset it
        leaving.close()
        gone.set()
        assert exchange(address, get("/", "Connection: close")).endswith(b"x 0")
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_body_of_an_upload_that_breaks_off_is_let_go_at_once() -> None:
    """It is in a temporary file, which the search for garbage would close some time later."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        raise AssertionError("it has not arrived")

    def temporary() -> int:
        links = (Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
        return sum("(deleted)" in str(link.readlink()) for link in links if link.is_symlink())

    before = temporary()
    gc.disable()
    try:
        with serving(application) as address:
            with send(address, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 3_000_000):
                at_last(lambda: temporary() > before)
            at_last(lambda: temporary() == before)
    finally:
        gc.enable()
