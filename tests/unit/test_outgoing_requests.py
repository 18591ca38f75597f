"""One request to another: over a checked connection, bounded in time and in size, and never further."""

import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from tenantapp.outgoing.addresses import Addresses
from tenantapp.outgoing.errors import RequestFailed, TargetRefused
from tenantapp.outgoing.sending import Received, exchange, post
from tenantapp.outgoing.signing import new_secret, signed_headers
from tenantapp.testing.receivers import receiving
from tests.receivers import answering, is_genuine

LOCAL = Addresses(allow_http=True, allow_private=True)
BODY = b'{"type":"nodes.created"}'


def send(url: str, addresses: Addresses = LOCAL, seconds: float = 5, context: ssl.SSLContext | None = None) -> int:
    return post(addresses, url, BODY, {}, seconds=seconds, context=context)


def test_the_signature_is_that_of_the_specification() -> None:
    """The values are those of the libraries of standardwebhooks.com."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_gets_the_body_and_checks_the_signature() -> None:
    secret = new_secret()
    headers = signed_headers(secret, "some-id", int(time.time()), BODY)
    with receiving() as receiver:
        assert post(LOCAL, f"{receiver.url}?a=b", BODY, headers, seconds=5) == 204
        (got,) = receiver.received
    assert (got.path, got.body) == ("/hooks?a=b", BODY)
    assert got.headers["content-type"] == "application/json"
    assert f"http://{got.headers['host']}/hooks" == receiver.url
    assert is_genuine(got.headers, got.body, secret)
    assert not is_genuine(got.headers, got.body + b" ", secret)
    assert not is_genuine(got.headers, got.body, new_secret())
    assert not is_genuine({**got.headers, "webhook-timestamp": "1614265330"}, got.body, secret)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiving() as inner, receiving() as receiver:
        for location in (inner.url, "http://169.254.169.254/latest/meta-data/"):
            receiver.answers.append((status, {"Location": location}))
            with pytest.raises(RequestFailed, match="Redirects are not followed") as caught:
                send(receiver.url)
            assert caught.value.status == status
        assert inner.received == []


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
def test_another_answer_is_a_failure(status: int) -> None:
    with receiving() as receiver:
        receiver.answers.append(status)
        with pytest.raises(RequestFailed, match=f"answered {status}") as caught:
            send(receiver.url)
    assert caught.value.status == status


def test_the_connection_goes_to_an_address_that_was_checked() -> None:
    """The name leads to a public address when the webhook is added, and to this machine when it is used."""
    found = [["1.1.1.1"], ["127.0.0.1"], ["127.0.0.1"]]

    def resolve(host: str, port: int, seconds: float) -> Sequence[str]:
        return found.pop(0)

    careful = Addresses(allow_http=True, allow_private=False, resolve=resolve)
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebinding.example.com")
        careful.check(url, 1)
        with pytest.raises(TargetRefused, match="not a public one"):
            send(url, careful)
        assert receiver.received == []
        # One look-up for a request: the addresses that are checked are those that are used.
        assert send(url, Addresses(allow_http=True, allow_private=True, resolve=resolve)) == 204
        assert found == []
        assert receiver.received[0].headers["host"].startswith("rebinding.example.com:")


def test_the_next_address_of_a_name_is_tried() -> None:
    with receiving() as receiver:
        addresses = Addresses(allow_http=True, allow_private=True, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
        assert send(receiver.url.replace("127.0.0.1", "example.com"), addresses) == 204


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert send(receiver.url) == 204
        assert (len(proxy.received), len(receiver.received)) == (0, 1)


def test_a_receiver_that_says_nothing_is_left() -> None:
    def silent(connection: socket.socket, over: Event) -> None:
        over.wait(10)

    with answering(silent) as port:
        began = time.monotonic()
        with pytest.raises(RequestFailed, match=r"did not answer within 0\.2 seconds"):
            send(f"http://127.0.0.1:{port}/", seconds=0.2)
        assert time.monotonic() - began < 2


def test_a_receiver_that_answers_a_byte_at_a_time_is_left() -> None:
    def slow(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            connection.sendall(b"x")

    with answering(slow) as port, pytest.raises(RequestFailed, match="did not answer within"):
        send(f"http://127.0.0.1:{port}/", seconds=0.3)


def test_headers_without_an_end_are_not_read_for_ever() -> None:
    def endless(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.is_set():
            connection.sendall(b"X-More: of the same\r\n" * 1000)

    with answering(endless) as port, pytest.raises(RequestFailed):
        send(f"http://127.0.0.1:{port}/", seconds=5)


def test_a_body_without_an_end_is_not_read() -> None:
    def endless(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")

    with answering(endless) as port:
        began = time.monotonic()
        assert send(f"http://127.0.0.1:{port}/") == 200
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("answer", [b"", b"\0\1\2", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 2"])
def test_what_is_not_http_is_a_failure(answer: bytes) -> None:
    refused = pytest.raises(RequestFailed, match="cannot be reached, or does not speak HTTP")
    with answering(lambda connection, over: connection.sendall(answer)) as port, refused:
        send(f"http://127.0.0.1:{port}/")


def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    """The connection goes to an address, and the certificate and ``Host`` are those of the name."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=x"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:hooks.example.com"], check=True, capture_output=True
    )
    ours, theirs = ssl.create_default_context(cafile=str(certificate)), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    named: list[str] = []
    theirs.sni_callback = lambda _, name, __: named.append(str(name))  # type: ignore[assignment]
    requests: list[bytes] = []

    def take(connection: socket.socket, over: Event) -> None:
        requests.append(connection.recv(5000))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    here = Addresses(allow_http=False, allow_private=True, resolve=lambda *_: ["127.0.0.1"])
    with answering(take, theirs) as port:
        assert send(f"https://hooks.example.com:{port}/", here, context=ours) == 200
        assert named == ["hooks.example.com"]
        assert f"Host: hooks.example.com:{port}\r\n".encode() in requests[0]
        for url, context in (
            (f"https://other.example.com:{port}/", ours),
            (f"https://hooks.example.com:{port}/", None),
        ):
            with pytest.raises(RequestFailed, match=r"The certificate of .* is refused"):
                send(url, here, context=context)
        assert len(requests) == 1


def test_the_body_of_an_answer_is_read_up_to_a_bound() -> None:
    def answer(connection: socket.socket, over: Event) -> None:
        asked = connection.recv(5000)
        assert asked.startswith(b"GET /keys HTTP/1.1\r\n")
        assert b"Content-Length" not in asked
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nwords")

    with answering(answer) as port:
        url = f"http://127.0.0.1:{port}/keys"
        assert exchange(LOCAL, "GET", url, None, {}, seconds=5, most=5) == Received(404, b"words")
        with pytest.raises(RequestFailed, match="its answer is too long"):
            exchange(LOCAL, "GET", url, None, {}, seconds=5, most=4)
