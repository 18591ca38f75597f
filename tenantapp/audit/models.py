"""The chains of the audit trail, and the people who were forgotten, as rows of the user database."""

from datetime import datetime
from typing import Final, cast
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Index, LargeBinary, Table
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import AuditEntry, UserBase
from tenantapp.sql.times import UtcDateTime, utcnow

OF_NO_TENANT: Final = UUID(int=0)  # the chain of the entries that are about no tenant
TRAIL: Final = cast(Table, AuditEntry.__table__)
# What is not sealed yet. Not in the model: the commands that read it need no dialect, which takes long to import.
Index(
    "ix_audit_entries_unsealed",
    TRAIL.c.id,
    postgresql_where=TRAIL.c.hash.is_(None),
    sqlite_where=TRAIL.c.hash.is_(None),
)


def of_chain(chain: UUID) -> ColumnElement[bool]:
    """Return the condition that an entry belongs to a chain."""
    return TRAIL.c.tenant_id.is_(None) if chain == OF_NO_TENANT else TRAIL.c.tenant_id == chain


class AuditChain(UserBase):
    """The chain of a tenant's entries, or with the id ``OF_NO_TENANT`` that of the others.

    It has ``position`` entries, of which the first ``swept_position`` were deleted. ``hash`` and ``swept_hash`` are
    those of the last of each. Both ends are signed, see ``checkpoints``; ``key`` is the public key. The stream has been
    acknowledged up to the position ``streamed``. Until ``streaming_until``, a process sends what follows.
    """

    __tablename__ = "audit_chains"

    chain: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    key: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    signature: Mapped[bytes | None] = mapped_column(LargeBinary(64))
    swept_position: Mapped[int] = mapped_column(BigInteger)
    swept_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    swept_at: Mapped[datetime] = mapped_column(UtcDateTime)
    swept_key: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    swept_signature: Mapped[bytes | None] = mapped_column(LargeBinary(64))
    streamed: Mapped[int] = mapped_column(BigInteger, default=0)
    streaming_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Forgetting(UserBase):
    """A person is being forgotten, or was if it is finished. Only then do the triggers permit to erase from entries.

    Until ``claimed_until``, a worker is at it, or waits for an operation that has not finished.
    """

    __tablename__ = "forgettings"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
