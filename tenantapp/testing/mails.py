"""The mail that a test has sent, in the place of a mail server."""

from collections.abc import Iterator, Sequence
from email import message_from_string
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import overload
from uuid import UUID

from tenantapp.mail.messages import Envelope


class Mails(Sequence[EmailMessage]):
    """The messages that were sent, the oldest first, each once. Their recipients are in ``To``."""

    def __init__(self) -> None:
        self._sent: dict[UUID, EmailMessage] = {}

    def send(self, envelope: Envelope) -> None:
        """Take a message, as a mail server does."""
        if envelope.id not in self._sent:
            self._sent[envelope.id] = message_from_string(envelope.content.decode(), policy=SMTPUTF8)

    def check(self) -> str:
        """Say how messages are sent."""
        return "it is kept for the test"

    def clear(self) -> None:
        """Forget what was sent."""
        self._sent.clear()

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[EmailMessage]:
        return iter(list(self._sent.values()))

    @overload
    def __getitem__(self, index: int) -> EmailMessage: ...

    @overload
    def __getitem__(self, index: slice) -> list[EmailMessage]: ...

    def __getitem__(self, index: int | slice) -> EmailMessage | list[EmailMessage]:
        return list(self._sent.values())[index]
