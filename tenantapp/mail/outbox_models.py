"""The outbox of account mail, as rows of the user database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime
from tenantapp.trace_context import LENGTH as TRACEPARENT_LENGTH


class OutgoingMail(UserBase):
    """A message to a person, which waits until it is sent.

    ``message`` is what ``messages.envelope_of`` takes. While a worker, the ``owner``, hands the message over,
    ``due_at`` is the end of its lease. Nothing is sent from ``expires_at`` on. ``traceparent`` is that of what has
    queued it.
    """

    __tablename__ = "outgoing_mails"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    message: Mapped[dict[str, Any]] = mapped_column(JSON)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(300))
    traceparent: Mapped[str | None] = mapped_column(String(TRACEPARENT_LENGTH))
