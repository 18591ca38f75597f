"""The models of what people prove who they are by, in the user database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import LOGIN_LENGTH, User, UserBase
from tenantapp.sql.times import UtcDateTime, utcnow


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
