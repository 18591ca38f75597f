"""The outbox: account mail that waits in the user database until a worker has sent it.

A message is written in the transaction of what it tells about. It may have a link that lets somebody in, so its row is
deleted as soon as the mail server has taken it, or nobody should have it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from tenantapp.identity.models import UserBase
from tenantapp.mail.messages import Recipient, compose
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.leases import database_time, new_owner
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.trace_context import present_traceparent

PAUSES: Final = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)  # seconds after each failure; the last one is repeated
MAILS: Final = UserBase.metadata.tables[OutgoingMail.__tablename__]


class Letter(NamedTuple):
    """What is written to somebody: ``html`` is a second version of ``text``."""

    subject: str
    text: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A message that this worker sends. ``expired`` says that nobody should have it any more.

    ``cause`` is the ``traceparent`` of what has queued it.
    """

    id: UUID
    owner: str
    message: Mapping[str, Any]
    attempts: int
    expires_at: datetime
    expired: bool
    cause: str | None


class _Due(NamedTuple):
    id: UUID


_IS_DUE: Final[LoneSelect[_Due]] = LoneSelect(
    select(OutgoingMail.id).where(OutgoingMail.due_at <= bindparam("now", type_=UtcDateTime)).limit(1), _Due
)


def queue(session: Session, to: Recipient, letter: Letter, expires_at: datetime) -> UUID:
    """Have a letter sent once the session's transaction is committed. Return the id of the message.

    It is tried until ``expires_at``, which is the end of what it tells about, such as a link. One that has expired
    already is deleted and never sent. Raises ``InvalidMail``.
    """
    message = compose(to, letter.subject, letter.text, html=letter.html)
    ((_, recipient),) = message["to"]
    mail = OutgoingMail(
        id=UUID(message["id"]),
        message={**message, "recipient": recipient},
        due_at=utcnow(),
        expires_at=expires_at,
        traceparent=present_traceparent(),
    )
    session.add(mail)
    return mail.id


def is_mail_due(user_db: DBFactory) -> bool:
    """Return whether ``claim`` would find a message. It sends one statement, alone."""
    return bool(user_db.fetch(_IS_DUE, {"now": utcnow()}))


def claim(session: Session, lease: timedelta) -> ClaimedMail | None:
    """Return the message that has been due for longest, or None. For the time of the lease it is nobody else's."""
    now = database_time(session)
    due = select(OutgoingMail).where(OutgoingMail.due_at <= now).order_by(OutgoingMail.due_at).limit(1)
    mail = session.scalar(due.with_for_update(skip_locked=True))
    if mail is None:
        return None
    mail.owner, mail.due_at, mail.attempts = new_owner(), now + lease, mail.attempts + 1
    session.flush()
    expired = mail.expires_at <= now
    return ClaimedMail(mail.id, mail.owner, mail.message, mail.attempts, mail.expires_at, expired, mail.traceparent)


def discard(session: Session, mail: ClaimedMail) -> None:
    """Delete a message that was sent, or that never will be. One that another worker has claimed since stays."""
    session.execute(delete(MAILS).where(MAILS.c.id == mail.id, MAILS.c.owner == mail.owner))


def postpone(session: Session, mail: ClaimedMail) -> None:
    """Have a message sent later, after a pause that grows with its attempts, or deleted when it has expired."""
    pause = PAUSES[min(mail.attempts, len(PAUSES)) - 1]
    due_at = min(database_time(session) + timedelta(seconds=pause), mail.expires_at)
    session.execute(
        update(MAILS).where(MAILS.c.id == mail.id, MAILS.c.owner == mail.owner).values(due_at=due_at, owner=None)
    )
