"""Hand a message to an SMTP server, or write it to a file."""

import os
import secrets
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import SplitResult, unquote

from tenantapp.characters import visible
from tenantapp.mail.errors import MailDelayed, MailRefused
from tenantapp.mail.messages import Envelope

DOWN_PAUSE: Final = 5.0  # seconds in which a server that could not be reached is not asked again
REPLY_LENGTH: Final = 300  # characters of a server's reply
TOO_LARGE: Final = 552  # RFC 1870, section 6.1: the server takes no message of this size
STARTTLS_OPTION: Final = "starttls=no"


class Transport(Protocol):
    """What takes messages."""

    def send(self, envelope: Envelope) -> None:
        """Send a message to its recipient. Raises ``MailDelayed`` and ``MailRefused``."""

    def check(self) -> str:
        """Find out whether messages could be sent, and say how. Raises ``MailDelayed``."""


def transport_of(url: SplitResult, seconds: float) -> Transport:
    """Return the transport of the setting ``mail.url``. A server has ``seconds`` to take a message."""
    return FileTransport(Path(unquote(url.path))) if url.scheme == "file" else SmtpTransport(url, seconds)


class FileTransport:
    """Writes each message to a file ``ID.eml`` in a directory: for development."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def send(self, envelope: Envelope) -> None:
        """Write the message. Its recipients share a file, because their messages are the same."""
        path = self._directory / f"{envelope.id}.eml"
        beside = path.with_suffix(f".{secrets.token_hex(4)}.part")  # another worker may write the same message
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.write_bytes(envelope.content)
            beside.replace(path)
        except OSError as error:
            raise MailDelayed(f"The directory of mail.url cannot be written to: {error.strerror}.") from error

    def check(self) -> str:
        """Look whether the directory can be written to, if it is there. The first message makes it."""
        if self._directory.exists() and not os.access(self._directory, os.W_OK | os.X_OK):
            raise MailDelayed(f"The directory {self._directory} of mail.url cannot be written to.")
        return f"it is written to files in {self._directory}"


class _Lines:
    """The lines of a server's replies. Before each of them, ``hurry`` is called."""

    def __init__(self, file: BinaryIO, hurry: Callable[[], None]) -> None:
        self._file, self._hurry = file, hurry
        self.close = file.close

    def readline(self, size: int) -> bytes:
        self._hurry()
        return self._file.readline(size)


class _Bounded(smtplib.SMTP):
    """A conversation with a server that does not last longer than its timeout altogether."""

    ends: float

    def send(self, s: Any) -> None:
        self._hurry()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Lines(self.sock.makefile("rb"), self._hurry)
        return super().getreply()

    def _hurry(self) -> None:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if self.sock is not None:
            self.sock.settimeout(left)


class _BoundedTls(_Bounded, smtplib.SMTP_SSL):
    """The same over TLS from the beginning."""


class SmtpTransport:
    """Sends by an SMTP server, over a new connection for each message."""

    def __init__(self, url: SplitResult, seconds: float, context: ssl.SSLContext | None = None) -> None:
        self._host, self._tls = str(url.hostname), url.scheme == "smtps"
        self._port = url.port or (465 if self._tls else 587)
        self._starttls = not self._tls and url.query != STARTTLS_OPTION
        self._user, self._password = unquote(url.username or ""), unquote(url.password or "")
        self._seconds, self._context = seconds, context
        self._down_until = 0.0

    def send(self, envelope: Envelope) -> None:
        """Send a message. Raises ``MailDelayed`` and ``MailRefused``."""
        with self._explained(), self._connected() as server:
            options = ("SMTPUTF8", "BODY=8BITMIME") if envelope.international else ()
            if options and not server.has_extn("smtputf8"):
                raise MailRefused(f"{self._named} takes no addresses with characters beyond ASCII (SMTPUTF8).")
            server.sendmail(envelope.sender, [envelope.recipient], envelope.content, options)

    def check(self) -> str:
        """Connect and sign in, and send nothing. Raises ``MailDelayed``."""
        with self._explained(), self._connected():
            return f"{self._host}:{self._port} answers" + (" and lets us in" if self._user else "")

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """Yield a connection that is signed in. What goes wrong at its end does not count: the message was taken."""
        server = self._connect()
        try:
            if self._starttls:
                server.starttls(context=self._context or ssl.create_default_context())
            server.ehlo_or_helo_if_needed()
            if self._user:
                server.login(self._user, self._password)
            yield server
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()

    def _connect(self) -> smtplib.SMTP:
        """Connect. Who waits for a server that is down keeps the jobs of others waiting, so it is not asked at once."""
        if time.monotonic() < self._down_until:
            raise MailDelayed(f"{self._named} could not be reached a moment ago.")
        if self._tls:
            context = self._context or ssl.create_default_context()
            server: _Bounded = _BoundedTls(timeout=self._seconds, context=context)
        else:
            server = _Bounded(timeout=self._seconds)
        server.ends = time.monotonic() + self._seconds
        # smtplib takes the name that the certificate has to have from here.
        server._host = self._host  # type: ignore[attr-defined]
        try:
            code, reply = server.connect(self._host, self._port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, reply)
        except BaseException as error:
            server.close()
            if isinstance(error, OSError):
                self._down_until = time.monotonic() + DOWN_PAUSE
            raise
        return server

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise ``MailRefused`` for what the server has against the recipient or the message, else ``MailDelayed``."""
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            ((recipient, (code, reply)),) = error.recipients.items()
            raise _answered(f"{self._named} refuses {recipient}", code, reply) from error
        except smtplib.SMTPDataError as error:
            raise _answered(f"{self._named} refuses the message", error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPSenderRefused as error:
            said = f"{self._named} refuses the sender {error.sender}"
            raise _answered(said, error.smtp_code, error.smtp_error, final=(TOO_LARGE,)) from error
        except smtplib.SMTPAuthenticationError as error:
            said = f"{self._named} does not accept the user and password of mail.url"
            raise _answered(said, error.smtp_code, error.smtp_error, final=()) from error
        except smtplib.SMTPResponseException as error:
            raise _answered(f"{self._named} refuses to work", error.smtp_code, error.smtp_error, final=()) from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailDelayed(f"{self._named} cannot be used: {str(error).rstrip('.')}.") from error
        except ssl.SSLCertVerificationError as error:
            raise MailDelayed(f"The certificate of {self._host} is refused: {error.verify_message}.") from error
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            told = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise MailDelayed(f"{self._named} cannot be reached, or went away: {told.rstrip('.')}.") from error

    @property
    def _named(self) -> str:
        return f"The mail server {self._host}:{self._port}"


def _answered(said: str, code: int, reply: bytes | str, final: Any = range(500, 600)) -> MailDelayed | MailRefused:
    """Return the error for a reply. Replies of 5yz say that a repetition does not help (RFC 5321, section 4.2.1)."""
    told = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    error = MailRefused if code in final else MailDelayed
    return error(f"{said}: {code} {visible(' '.join(told.split()))[:REPLY_LENGTH].rstrip('.')}.")
