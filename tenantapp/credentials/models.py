"""The models of what people prove who they are by, in the user database."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import NAME_LENGTH, User, UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow

COUNTER_KEY_LENGTH = 100


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

    Several people may share a browser, and so its token. ``by_provider`` is set if nothing but the identity provider
    of a tenant has vouched for the person there: such a device counts for the notice of an unknown browser alone.
    """

    __tablename__ = "known_devices"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)
    by_provider: Mapped[bool] = mapped_column(default=False, server_default=false())


class AuthenticatorApp(UserBase):
    """A person's program for time-based one-time passwords (RFC 6238). It counts once a first code has confirmed it.

    ``secret`` is encrypted, see ``identity.encrypted``. ``last_step`` is the time step of the last code that was taken,
    and no code of that step or an earlier one is taken again.
    """

    __tablename__ = "authenticator_apps"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(Text)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Passkey(UserBase):
    """A public key that an authenticator of the person has the private key of (WebAuthn Level 3).

    ``rp_id`` is the host that it is for. ``aaguid`` says which model of authenticator it is, or is all zeros.
    """

    __tablename__ = "passkeys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    rp_id: Mapped[str] = mapped_column(String(253))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    aaguid: Mapped[UUID]
    backed_up: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RecoveryCode(UserBase):
    """A code that stands in for a second factor once. Only its SHA-256 is stored; a used one is deleted."""

    __tablename__ = "recovery_codes"
    __table_args__ = (UniqueConstraint("user_id", "code_hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
