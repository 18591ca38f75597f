"""An SMTP server of the tests: a real one in a thread, which replies as it is told."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_string
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

OK = "250 OK"


@dataclass
class Received:
    """A message as it came: the envelope, and what was in it."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    secured: bool
    raw: bytes


@dataclass
class Mailserver:
    """What the server has taken, and its next ``replies``: to ``RCPT``, ``MAIL`` or ``DATA``. Then all is well."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)
    password: str = "opensesame"
    on_data: Any = None

    def url(self, *, user: str = "", options: str = "") -> str:
        return f"smtp://{user}localhost:{self.port}{options}"

    def take(self) -> list[Received]:
        """Return what has come since the last time."""
        taken, self.received[:] = list(self.received), []
        return taken

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if (reply := self._reply("MAIL")) == OK:
            envelope.mail_from = address
        return reply

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if (reply := self._reply("RCPT")) == OK:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if (reply := self._reply("DATA")) == OK:
            message = message_from_string(envelope.content.decode(), policy=SMTPUTF8)
            secured = session.ssl is not None
            got = Received(envelope.mail_from, envelope.rcpt_tos, message, secured, envelope.content)
            self.received.append(got)
            if self.on_data is not None:
                self.on_data()
        return reply

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == self.password.encode()
        return AuthResult(success=good, handled=good)

    def _reply(self, to: str) -> str:
        replies = self.replies.get(to)
        return replies.pop(0) if replies else OK


@contextmanager
def serving_mail(context: ssl.SSLContext | None = None, *, utf8: bool = True, **options: Any) -> Iterator[Mailserver]:
    """A mail server on this machine. With a ``context`` it offers STARTTLS, and then signing in."""
    server = Mailserver()

    class Listening(Controller):
        def factory(self) -> SMTP:
            more = {"tls_context": context, "authenticator": server.authenticate, **options}
            return SMTP(server, hostname="localhost", enable_SMTPUTF8=utf8, **more)

        def _trigger_server(self) -> None:
            self.port = self.server.sockets[0].getsockname()[1]
            with suppress(smtplib.SMTPException):
                super()._trigger_server()

    controller = Listening(server, hostname="127.0.0.1", port=0)
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()
