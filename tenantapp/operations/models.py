"""Operations: long pieces of work, as rows of the user database."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Float, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import SLUG_LENGTH, Tenant, UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.trace_context import LENGTH as TRACEPARENT_LENGTH

PROGRESS_LENGTH: Final = 200


class OperationState(StrEnum):
    """The state of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    UNDOING = "undoing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE: Final = (OperationState.RUNNING, OperationState.UNDOING)
# A condition that names these uses the index on the state. One that excludes the finished ones reads all operations.
UNFINISHED: Final = (OperationState.QUEUED, *ACTIVE)
FINISHED: Final = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED)
IS_ACTIVE: Final = text("state IN ('running', 'undoing')")
IS_UNFINISHED: Final = text("state IN ('queued', 'running', 'undoing')")


class Operation(UserBase):
    """One long piece of work, most often on one tenant.

    ``slug`` stays when the tenant is removed. ``step`` is the step that is being done or comes next. It is None before
    the first step, and when all steps are undone. ``result`` holds what the steps returned. For a queued operation,
    ``lease_until`` is the time from which a worker may claim it. ``traceparent`` is of what has requested it.
    """

    __tablename__ = "operations"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled')",
            name="state",
        ),
        # At most one active operation on a tenant, whichever worker has it.
        Index(
            "uq_operations_tenant_id_active",
            "tenant_id",
            unique=True,
            postgresql_where=IS_ACTIVE,
            sqlite_where=IS_ACTIVE,
        ),
        Index("ix_operations_kind_id", "kind", "id"),
        Index("ix_operations_tenant_id_kind_id", "tenant_id", "kind", "id"),
        # A worker takes the oldest, however many wait, and however many are finished.
        Index("ix_operations_unfinished", "id", postgresql_where=IS_UNFINISHED, sqlite_where=IS_UNFINISHED),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str] = mapped_column(String(50))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey(Tenant.id, ondelete="SET NULL"))
    slug: Mapped[str | None] = mapped_column(String(SLUG_LENGTH), index=True)
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(20), default=OperationState.QUEUED, index=True)
    step: Mapped[str | None] = mapped_column(String(50))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    progress_text: Mapped[str | None] = mapped_column(String(PROGRESS_LENGTH))
    result: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(String(300))
    attempts: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None] = mapped_column(String(300))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    traceparent: Mapped[str | None] = mapped_column(String(TRACEPARENT_LENGTH))


class Report(UserBase):
    """How something was when it was last reported on, see ``reports``.

    ``subject`` is the kind of what is reported on, and ``name`` says which one. ``seen_at`` is by the clock of the user
    database.
    """

    __tablename__ = "reports"

    subject: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class RecordedRun(UserBase):
    """A run of ``tenantapp migrate`` over the fleet. It is only shown: no work depends on it.

    ``seen_at`` is the last sign of life, by the clock of the user database. ``ended_at`` is None as long as the run has
    not said that it ended, which one that was killed never does. ``stages``, ``points`` and ``rehearsals`` are those of
    ``fleet.migrating.run_record``.
    """

    __tablename__ = "migration_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    wanted: Mapped[str] = mapped_column(String(100))
    requested_by: Mapped[str] = mapped_column(String(300))
    owner: Mapped[str] = mapped_column(String(300))
    jobs: Mapped[int]
    stages: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    points: Mapped[list[list[float]]] = mapped_column(JSON)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_by: Mapped[str | None] = mapped_column(String(20))
    rehearsals: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
