"""The visits of workers to tenants, as rows of the user database. The jobs are ``tenancy.models.TenantJob``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import Tenant, UserBase
from tenantapp.operations.models import PROGRESS_LENGTH
from tenantapp.sql.times import UtcDateTime
from tenantapp.trace_context import LENGTH as TRACEPARENT_LENGTH


class TenantVisit(UserBase):
    """When a worker next looks into a tenant for jobs, and the visit that goes on now.

    While a visit goes on, ``due_at`` is ``lease_until``, unless it was noted meanwhile that the tenant has new jobs.
    ``seen`` is the tenant's ``incarnation`` at the last visit. ``job_id`` is the job that runs; ``progress`` is its
    progress, from 0 to 1. ``cancel_id`` is the job that somebody wants to cancel while it runs. ``traceparent`` is of
    what has made the next visit due.
    """

    __tablename__ = "tenant_visits"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    owner: Mapped[str | None] = mapped_column(String(300))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seen: Mapped[str | None] = mapped_column(String(100))
    job_id: Mapped[UUID | None]
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    progress_text: Mapped[str | None] = mapped_column(String(PROGRESS_LENGTH))
    cancel_id: Mapped[UUID | None]
    traceparent: Mapped[str | None] = mapped_column(String(TRACEPARENT_LENGTH))
