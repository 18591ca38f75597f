"""Check a message, queue it, and write it as RFC 5322 has it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from tenantapp.characters import check_text, clean_line
from tenantapp.email_addresses import Mailbox, clean_mailbox
from tenantapp.mail.errors import InvalidMail, MailNotConfigured
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.work.errors import UnknownJob
from tenantapp.work.queue import NO_DELAY

JOB: Final = "mail.send"
MOST_RECIPIENTS: Final = 50
MOST_BYTES: Final = 512 * 1024  # of a message as it is sent
LONGEST_SUBJECT: Final = 250  # characters
NOBODY: Final = Mailbox("", "nobody@localhost")
# What is beyond ASCII is encoded: not every server on the way takes eight bits.
POLICY: Final = SMTP.clone(cte_type="7bit")

Recipient = str | Address
"""An address, or with a name ``email.headerregistry.Address("Ann", addr_spec="ann@example.com")``."""


class Queue(Protocol):
    """What has a tenant and a transaction: the request of a view, the ``Write`` of a row, a ``Job``, a ``Hook``."""

    @property
    def enqueue(self) -> Callable[..., UUID]:
        """Queue a job of the tenant in the transaction."""


class Envelope(NamedTuple):
    """A message for one recipient: its ``content`` in bytes, and its id, which all its recipients share.

    ``international`` says that an address has characters beyond ASCII, which only some servers take (RFC 6531).
    """

    id: UUID
    sender: str
    recipient: str
    content: bytes
    international: bool


def send_mail(
    queue: Queue,
    to: Recipient | Sequence[Recipient],
    subject: str,
    text: str,
    *,
    html: str | None = None,
    reply_to: Recipient | None = None,
    after: timedelta = NO_DELAY,
) -> UUID:
    """Send a message once the transaction is committed and ``after`` has passed. Return the id of the message.

    If the transaction is rolled back, nothing is sent. ``html`` is a second version of ``text`` for programs that show
    it. Each recipient sees all of ``to``, and gets the message by a job of its own: a server that refuses one does not
    keep it from the others. Raises ``InvalidMail``, ``MailNotConfigured``, and what ``enqueue`` raises.
    """
    message = compose(to, subject, text, html=html, reply_to=reply_to)
    try:
        for recipient in message["to"]:
            queue.enqueue(JOB, {**message, "recipient": recipient.address}, after=after)
    except UnknownJob as error:
        raise MailNotConfigured from error
    return UUID(message["id"])


def compose(
    to: Recipient | Sequence[Recipient],
    subject: str,
    text: str,
    *,
    html: str | None = None,
    reply_to: Recipient | None = None,
) -> dict[str, Any]:
    """Return a checked message as JSON, with an id of its own. ``to`` is a list of ``Mailbox``.

    With a ``recipient`` in it, it is what ``envelope_of`` takes. Raises ``InvalidMail``.
    """
    recipients = _recipients(to)
    with _refused("subject"):
        subject = clean_line(subject)
        if len(subject) > LONGEST_SUBJECT:
            raise ValueError(f"It has more than {LONGEST_SUBJECT} characters.")
    with _refused("text"):
        check_text(text)
    with _refused("html"):
        check_text(html or "")
    message: dict[str, Any] = {
        "id": str(uuid7()),
        "date": utcnow().isoformat(),
        "to": recipients,
        "subject": subject,
        # Not shown to who manages jobs.
        "_text": text,
        "_html": html,
        "reply_to": None if reply_to is None else _mailbox("reply_to", reply_to),
    }
    _check_size(message)
    return message


def envelope_of(message: Mapping[str, Any], sender: Mailbox) -> Envelope:
    """Return what is sent for a message that ``compose`` has made, to its ``recipient``."""
    content = _written(message, sender)
    mailboxes = _mailboxes(message, sender)
    international = not all(address.isascii() for _, address in mailboxes)
    recipient = message["recipient"]
    raw = content.as_bytes(policy=POLICY.clone(utf8=international))
    return Envelope(UUID(message["id"]), sender.address, recipient, raw, international)


def _written(message: Mapping[str, Any], sender: Mailbox) -> EmailMessage:
    written = EmailMessage(POLICY)
    written["From"] = _address(sender)
    written["To"] = [_address(mailbox) for mailbox in message["to"]]
    if message["reply_to"]:
        written["Reply-To"] = _address(message["reply_to"])
    written["Subject"] = message["subject"]
    written["Date"] = datetime.fromisoformat(message["date"])
    written["Message-ID"] = f"<{message['id']}@{sender.address.rpartition('@')[2]}>"
    # No answers of absent people to a program (RFC 3834, section 5).
    written["Auto-Submitted"] = "auto-generated"
    written.set_content(message["_text"])
    if message["_html"]:
        written.add_alternative(message["_html"], subtype="html")
        # Not one of chance: a message that is sent again is the same.
        written.set_boundary(f"=_{message['id']}")
    return written


def _mailboxes(message: Mapping[str, Any], sender: Mailbox) -> Iterator[Mailbox]:
    yield sender
    yield from (Mailbox(*each) for each in message["to"])
    if message["reply_to"]:
        yield Mailbox(*message["reply_to"])


def _address(mailbox: Sequence[str]) -> Address:
    name, address = mailbox
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


def _recipients(to: Recipient | Sequence[Recipient]) -> list[Mailbox]:
    given = [to] if isinstance(to, str | Address) else list(to)
    # Who is named twice gets one message.
    found = {mailbox.address: mailbox for mailbox in (_mailbox("to", each) for each in given)}
    if not 0 < len(found) <= MOST_RECIPIENTS:
        raise InvalidMail("to", f"A message has from 1 to {MOST_RECIPIENTS} recipients, not {len(found)}.")
    return list(found.values())


def _mailbox(part: str, recipient: Recipient) -> Mailbox:
    with _refused(part):
        if isinstance(recipient, str):
            return clean_mailbox("", recipient)
        return clean_mailbox(recipient.display_name, f"{recipient.username}@{recipient.domain}")


def _check_size(message: Mapping[str, Any]) -> None:
    size = len(envelope_of({**message, "recipient": NOBODY.address}, NOBODY).content)
    if size > MOST_BYTES:
        raise InvalidMail("text", f"The message has {size} bytes, more than {MOST_BYTES}.")


@contextmanager
def _refused(part: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidMail(part, str(error)) from error
