"""Messages reach a real SMTP server over a checked connection, or it is said why not and whether to try again."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest

from tenantapp.email_addresses import Mailbox
from tenantapp.mail import transports
from tenantapp.mail.errors import MailDelayed, MailRefused
from tenantapp.mail.messages import Envelope, envelope_of
from tenantapp.mail.transports import FileTransport, SmtpTransport, transport_of
from tenantapp.setting_types import mail_url
from tests.mail_server import Mailserver, serving_mail
from tests.receivers import answering

ANN = "ann@example.com"
PLAIN = "?starttls=no"
USER = "shop:opensesame@"


def envelope(recipient: str = ANN) -> Envelope:
    message = {
        "id": "01900000-0000-7000-8000-00000000000a",
        "date": "2026-11-29T12:00:00+00:00",
        "to": [["Ann", recipient]],
        "recipient": recipient,
        "subject": "Schöne Grüße",
        "_text": "Line\n.\nafter a lone dot: ✓\n",
        "_html": "<p>Line</p>",
        "reply_to": None,
    }
    return envelope_of(message, Mailbox("Shop", "shop@example.com"))


def send(url: str, to: str = ANN, *, seconds: float = 5, context: ssl.SSLContext | None = None) -> None:
    SmtpTransport(mail_url(url), seconds, context).send(envelope(to))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a client that trusts a certificate of localhost, and of the server that has it."""
    directory = tmp_path_factory.mktemp("certificate")
    key, path = directory / "key.pem", directory / "certificate.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {path} -days 1"
    alternative = ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *alternative], check=True, capture_output=True)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(path, key)
    return ssl.create_default_context(cafile=str(path)), theirs


@pytest.fixture(scope="module")
def plain() -> Iterator[Mailserver]:
    with serving_mail() as server:
        yield server


def test_a_message_arrives_whole(plain: Mailserver) -> None:
    send(plain.url(options=PLAIN))
    (got,) = plain.take()
    assert (got.sender, got.recipients) == ("shop@example.com", [ANN])
    assert got.raw.isascii()
    message = got.message
    assert str(message["From"]) == "Shop <shop@example.com>"
    assert str(message["To"]) == "Ann <ann@example.com>"
    assert message["Subject"] == "Schöne Grüße"
    assert message["Message-ID"] == "<01900000-0000-7000-8000-00000000000a@example.com>"
    assert message["Date"].datetime.isoformat() == "2026-11-29T12:00:00+00:00"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == "Line\n.\nafter a lone dot: ✓\n"
    assert html.get_content().strip() == "<p>Line</p>"


def test_a_local_part_beyond_ascii_needs_a_server_that_takes_it(plain: Mailserver) -> None:
    send(plain.url(options=PLAIN), "jürgen@xn--mller-kva.de")
    (got,) = plain.take()
    assert got.recipients == ["jürgen@xn--mller-kva.de"]
    assert "jürgen@xn--mller-kva.de" in str(got.message["To"])
    with serving_mail(utf8=False) as older, pytest.raises(MailRefused, match=r"characters beyond ASCII \(SMTPUTF8\)"):
        send(older.url(options=PLAIN), "jürgen@example.com")


@pytest.mark.parametrize(
    ("command", "reply", "kind", "told"),
    [
        ("RCPT", "550 5.1.1 no such user", MailRefused, f"refuses {ANN}: 550 5.1.1 no such user"),
        ("RCPT", "450 4.2.0 greylisted", MailDelayed, f"refuses {ANN}: 450 4.2.0 greylisted"),
        ("DATA", "554 spam\x1b[31m", MailRefused, r"refuses the message: 554 spam\x1b[31m"),
        ("DATA", "451 later", MailDelayed, "refuses the message: 451 later"),
        ("MAIL", "552 too large", MailRefused, "refuses the sender shop@example.com: 552 too large"),
        ("MAIL", "550 not yours", MailDelayed, "refuses the sender shop@example.com: 550 not yours"),
    ],
)
def test_a_reply_says_whether_to_try_again(
    plain: Mailserver, command: str, reply: str, kind: type[Exception], told: str
) -> None:
    plain.replies[command] = [reply]
    with pytest.raises(kind) as caught:
        send(plain.url(options=PLAIN))
    assert str(caught.value) == f"The mail server localhost:{plain.port} {told}."
    assert plain.take() == []


def test_a_password_goes_over_starttls_only(certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = certificate
    with serving_mail(theirs, require_starttls=True, auth_required=True) as server:
        send(server.url(user=USER), context=ours)
        assert server.take()[0].secured
        with pytest.raises(MailDelayed, match=r"does not accept the user and password of mail.url: 535") as caught:
            send(server.url(user="shop:sesame%40@"), context=ours)
        assert "sesame" not in str(caught.value)
        with pytest.raises(MailDelayed, match=r"The certificate of localhost is refused: "):
            send(server.url(user=USER))
        with pytest.raises(MailDelayed, match=r"refuses .*530"):
            send(server.url(options=PLAIN))
        assert server.take() == []


def test_a_server_without_starttls_gets_neither_password_nor_message(plain: Mailserver) -> None:
    with pytest.raises(MailDelayed, match=r"cannot be used: STARTTLS extension not supported by server"):
        send(plain.url(user=USER))
    assert plain.take() == []


def test_tls_from_the_beginning(certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = certificate

    def greet(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"554 5.3.2 closed today\r\n")

    with answering(greet, theirs) as port, pytest.raises(MailDelayed, match=r"refuses to work: 554 5.3.2 closed today"):
        send(f"smtps://localhost:{port}", context=ours)


def test_a_server_that_is_gone_is_not_asked_by_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = SmtpTransport(mail_url(f"smtp://localhost:{port}"), 5)
    with pytest.raises(MailDelayed, match=r"cannot be reached, or went away: Connection refused\."):
        transport.send(envelope())
    with pytest.raises(MailDelayed, match=r"could not be reached a moment ago\."):
        transport.send(envelope())
    monkeypatch.setattr(time, "monotonic", lambda: transport._down_until + 1)
    with pytest.raises(MailDelayed, match=r"Connection refused"):
        transport.send(envelope())


def test_a_slow_server_gets_no_more_time_than_the_setting_says() -> None:
    def dawdle(connection: socket.socket, over: Event) -> None:
        for line in (b"220 hello\r\n", *[b"250-more\r\n"] * 20):
            connection.sendall(line)
            over.wait(0.05)

    with answering(dawdle) as port:
        begun = time.monotonic()
        with pytest.raises(MailDelayed, match=r"timed out"):
            send(f"smtp://localhost:{port}{PLAIN}", seconds=0.2)
        assert time.monotonic() - begun < 3


def test_a_server_that_goes_after_its_answer_has_the_message(plain: Mailserver, monkeypatch: Any) -> None:
    monkeypatch.setattr(transports._Bounded, "quit", lambda self: self.sock.close() or self.docmd("QUIT"))
    send(plain.url(options=PLAIN))
    assert len(plain.take()) == 1


def test_in_development_a_message_is_a_file(tmp_path: Path) -> None:
    transport = transport_of(mail_url(f"file://{tmp_path}/some%20mail/"), 5)
    assert isinstance(transport, FileTransport)
    assert transport.check() == f"it is written to files in {tmp_path}/some mail"
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        transport.send(envelope())
    (path,) = (tmp_path / "some mail").iterdir()
    assert path.name == "01900000-0000-7000-8000-00000000000a.eml"
    assert path.read_bytes() == envelope().content
    (tmp_path / "file").write_text("")
    with pytest.raises(MailDelayed, match=r"The directory of mail\.url cannot be written to"):
        transport_of(urlsplit(f"file://{tmp_path}/file"), 5).send(envelope())
