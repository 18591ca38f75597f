"""The models of what people prove who they are by, in the user database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import LOGIN_LENGTH, User, UserBase
from tenantapp.sql.times import UtcDateTime, utcnow

COUNTER_KEY_LENGTH = 100


class OneTimeLink(UserBase):
    """A link that lets its holder do one thing once. Only the SHA-256 of its token is stored.

    ``user_id`` is the person whom it is about, if they are known. ``mail_address`` is where it was sent.
    """

    __tablename__ = "one_time_links"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    mail_address: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AttemptCount(UserBase):
    """How often something was tried, until ``expires_at``. The key has a hash of whose attempts they are.

    On PostgreSQL the table is not logged: a crash of the server forgets the counts, and no attempt waits for the disk.
    """

    __tablename__ = "attempt_counts"

    key: Mapped[str] = mapped_column(String(COUNTER_KEY_LENGTH), primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class KnownDevice(UserBase):
    """A browser in which a person has signed in. Only the SHA-256 of its token is stored.

    Several people may share a browser, and so its token.
    """

    __tablename__ = "known_devices"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)
