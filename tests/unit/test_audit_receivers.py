"""What takes the stream of the audit trail: HTTPS with a signature, and syslog."""

import json
import re
import socket
from contextlib import closing
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest

from tenantapp.audit.errors import NotSent
from tenantapp.audit.receivers import Https, SyslogDatagrams, SyslogStream, receiver_of
from tenantapp.outgoing.signing import new_secret
from tenantapp.setting_types import audit_stream, signing_secret
from tenantapp.settings import SettingsError, read_settings
from tests.receivers import answering, is_genuine

ENTRY = {"at": "2026-01-31T09:12:44.000000+00:00", "action": "test.done", "detail": {"name": "Ådå"}}
LINES = [{"chain": "c", "position": number, "entry": ENTRY} for number in (1, 2)]
MESSAGE = re.compile(rf"<110>1 {re.escape(ENTRY['at'])} \S+ tenantapp [0-9]+ test\.done - (\{{.*\}})")  # type: ignore[arg-type]


def read(connection: socket.socket, end: bytes = b"") -> bytes:
    """Read until these bytes, or until the other side has ended its half."""
    got = b""
    while not (end and end in got) and (some := connection.recv(65536)):
        got += some
    return got


def test_https_is_signed_and_acknowledged_by_the_answer() -> None:
    secret, got, answers = new_secret(), [], [b"200 OK", b"500 No"]

    def receive(connection: socket.socket, over: Event) -> None:
        head, _, body = read(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
        while len(body) < int(headers["content-length"]):
            body += connection.recv(65536)
        got.append((dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]), body))
        connection.sendall(b"HTTP/1.1 " + answers.pop(0) + b"\r\nContent-Length: 0\r\n\r\n")

    with answering(receive) as port:
        receiver = Https(f"http://127.0.0.1:{port}/trail", secret, allow_http=True)
        receiver.send(LINES)
        with pytest.raises(NotSent, match="answered 500"):
            receiver.send(LINES)
    headers, body = got[0]
    assert is_genuine(headers, body, secret)
    assert headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in body.splitlines()] == LINES


def test_syslog_over_tcp_waits_until_everything_is_read() -> None:
    got: list[bytes] = []

    def receive(connection: socket.socket, over: Event) -> None:
        got.append(read(connection))

    with answering(receive) as port:
        SyslogStream("127.0.0.1", port).send(LINES)
    (stream,) = got
    for line in LINES:
        length, _, rest = stream.partition(b" ")
        found = MESSAGE.fullmatch(rest[: int(length)].decode("ascii"))
        assert found is not None
        assert json.loads(found[1]) == line
        stream = rest[int(length) :]
    assert stream == b""
    with pytest.raises(NotSent):
        SyslogStream("127.0.0.1", port).send(LINES)


def test_syslog_in_datagrams(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    long = {**LINES[0], "entry": {**ENTRY, "detail": {"text": "x" * 70_000}}}
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as here:
        here.bind(path)
        SyslogDatagrams(path).send(LINES)
        assert all(MESSAGE.fullmatch(here.recv(65536).decode()) for _ in LINES)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as there:
        there.bind(("127.0.0.1", 0))
        SyslogDatagrams("127.0.0.1", there.getsockname()[1]).send([long])
        assert b"left_out_sha256" in there.recv(65536)
    with pytest.raises(NotSent):
        SyslogDatagrams(path).send(LINES)


def test_the_settings() -> None:
    urls = ("https://siem.example.com/in?a=1", "syslog+tcp://log.example.com", "syslog+udp://[::1]:5514")
    kinds = [type(receiver_of(audit_stream(url), new_secret())) for url in (*urls, "syslog+unix:///dev/log")]
    assert kinds == [Https, SyslogStream, SyslogDatagrams, SyslogDatagrams]
    for wrong in ("http://siem.example.com", "https://", "syslog+unix:log", "syslog+tcp://h/path", "syslog+udp://h:x"):
        with pytest.raises(ValueError, match=r"must be like|is not a URL"):
            audit_stream(wrong)
    for wrong in ("", "whsec_", "whsec_c2hvcnQ=", "x" * 64):
        with pytest.raises(ValueError, match="whsec_"):
            signing_secret(wrong)
    given = {"user_db.url": "sqlite+pysqlite:///u", "servers.main": "sqlite+pysqlite:///t/", "audit.stream": urls[0]}
    with pytest.raises(SettingsError, match=r"audit\.stream_secret is missing"):
        read_settings(given, {})
    assert urlsplit(urls[0]) == read_settings({**given, "audit.stream_secret": new_secret()}, {}).audit_stream
