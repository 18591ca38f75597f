"""The models that every tenant database has, whatever the domain.

Their tables are the core tables. A domain's own history makes them too: ``tenantapp revision tenant`` writes a missing
one into the next revision. So a database may lack a table that was added later, until it is migrated. Code that uses
one asks ``tenancy.known_tables`` first.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.searching import Searched, make_words_table

HOOK_NAME_LENGTH: Final = 255  # characters
# Constraints get names by this convention, so that a migration can drop a constraint by its name on both engines.
# https://alembic.sqlalchemy.org/en/latest/naming.html
NAMING_CONVENTION: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class TenantBase(DeclarativeBase):
    """Base class of every model of a tenant database. A domain derives its models from it."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if issubclass(cls, Searched) and "__search__" in vars(cls):
            make_words_table(cls)


class Tracked:
    """Mixin of a model whose changes clients can follow: ``class Book(Tracked, TenantBase)``.

    The model has one primary key, a UUID or a whole number. What the ORM creates, changes and deletes is recorded as
    ``Change``. Bulk statements are not seen: call ``tenancy.recording.record_change`` for their rows.
    """


class Versioned:
    """Mixin of a model with an ``id`` that sorts by time, and a ``version``: ``class Book(Versioned, TenantBase)``.

    The ORM counts the changes of a row in ``version``, and overwrites no change that it has not seen
    (https://docs.sqlalchemy.org/en/21/orm/versioning.html). Clients get it as the row's entity tag.
    """

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-1)
    version: Mapped[int] = mapped_column(sort_order=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}


class TenantIdentity(TenantBase):
    """The single row with the id of the tenant whose data this database holds. Each new connection reads it."""

    __tablename__ = "tenant_identity"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)


class Change(TenantBase):
    """A row of a ``Tracked`` model was created, changed or deleted. ``position`` counts in the order of the commits."""

    __tablename__ = "tenant_changes"
    __table_args__ = (Index(None, "row_id", "position"),)  # for the history of a row

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    table_name: Mapped[str] = mapped_column(String(63))
    row_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(7))
    version: Mapped[int | None]
    person_id: Mapped[UUID | None]
    person_name: Mapped[str | None] = mapped_column("login", String(200))  # the name of the column is an old one
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class ChangeCounter(TenantBase):
    """The single row with the last ``position`` that was given. Changes up to ``removed`` are no longer kept."""

    __tablename__ = "tenant_change_counter"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[int] = mapped_column(BigInteger)


class IdempotencyKey(TenantBase):
    """A request that was carried out under an ``Idempotency-Key``, and its answer.

    The tenant is part of the key, because a clone has the rows of its original, but has not done the work.
    """

    __tablename__ = "tenant_idempotency_keys"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """The SHA-256 of method, address and body, in hexadecimal."""
    status: Mapped[int]
    headers: Mapped[str] = mapped_column(Text)
    """A JSON object."""
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None if the answer was too large to keep."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)


class TenantFile(TenantBase):
    """A file of the tenant. Its bytes are in the storage of files, under the tenant's id and this one. See ``files``.

    A file never changes, and no other has its id. ``media_type`` is what the client said it is. A domain refers to
    files by foreign keys: ``ForeignKey("tenant_files.id")``.
    """

    __tablename__ = "tenant_files"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(127))
    size: Mapped[int] = mapped_column(BigInteger)
    """In bytes."""
    sha256: Mapped[str] = mapped_column(String(64))
    """In hexadecimal."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    created_by_id: Mapped[UUID]
    """The person's id in the user database: only they, and who may edit everybody's content, may delete it."""
    created_by_name: Mapped[str] = mapped_column(String(200))


class JobState(StrEnum):
    """The state of a job. A queued job waits until it is due. A held job came with a copy, and waits to be released."""

    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TenantJob(TenantBase):
    """A piece of work that the domain has left for later, see the package ``work``.

    ``tenant_id``, ``database`` and ``epoch`` say which content the job was queued in: they are other ones in a copy.
    ``attempts`` counts how often it was begun, and ``failures`` how often the handler raised an error. ``owner`` is the
    visit that works on it. With ``schedule`` it is a periodic job, which is due again after each run.
    """

    __tablename__ = "tenant_jobs"
    __table_args__ = (Index(None, "state", "due_at", "id"),)  # the next job, and the old ones

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(100))
    arguments: Mapped[str] = mapped_column(Text)
    """A JSON object."""
    schedule: Mapped[str | None] = mapped_column(String(100))
    periodic_name: Mapped[str | None] = mapped_column(String(100), unique=True)
    """The name of a periodic job, of which there is one, or None."""
    state: Mapped[str] = mapped_column(String(10), default=JobState.QUEUED)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(300))
    error: Mapped[str | None] = mapped_column(Text)
    tenant_id: Mapped[UUID]
    database: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class HookDone(TenantBase):
    """A hook of the domain that is done, written in the transaction that has its effects.

    ``occasion`` is the id of the tenant that was made, or of the operation that followed a rename. A clone has the rows
    of its original.
    """

    __tablename__ = "tenant_hooks"

    event: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(HOOK_NAME_LENGTH), primary_key=True)
    occasion: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


class TenantWebhook(TenantBase):
    """An address that is told about changes of the tenant, see the package ``webhooks``.

    Changes after ``position`` are not deliveries yet. ``failures`` are those in a row, since ``failing_since``.
    ``tenant_id``, ``database`` and ``epoch`` say which content it was switched on in: they are other ones in a copy.
    """

    __tablename__ = "tenant_webhooks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(200))
    url: Mapped[str] = mapped_column(String(1000))
    resources: Mapped[str] = mapped_column(Text)
    """A JSON array of names."""
    secret: Mapped[str] = mapped_column(String(100))
    active: Mapped[bool]
    off_reason: Mapped[str | None] = mapped_column(String(20))
    position: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tenant_id: Mapped[UUID]
    database: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    created_by_id: Mapped[UUID]
    created_by_name: Mapped[str] = mapped_column(String(200))


class DeliveryState(StrEnum):
    """The state of a delivery. A skipped one came with a copy."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class TenantDelivery(TenantBase):
    """A message to a webhook. Its id is the message's, on every attempt. ``answer`` is the status of the last one."""

    __tablename__ = "tenant_deliveries"
    # The next message of a webhook, and its messages in order.
    __table_args__ = (Index(None, "webhook_id", "state", "position"), Index(None, "webhook_id", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey(TenantWebhook.id, ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(Text)
    """JSON, as it is signed and sent."""
    state: Mapped[str] = mapped_column(String(10), default=DeliveryState.PENDING)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    answer: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


CORE_TABLES: Final = (
    TenantIdentity.__tablename__,
    Change.__tablename__,
    ChangeCounter.__tablename__,
    IdempotencyKey.__tablename__,
    TenantFile.__tablename__,
    TenantJob.__tablename__,
    HookDone.__tablename__,
    TenantWebhook.__tablename__,
    TenantDelivery.__tablename__,
)
