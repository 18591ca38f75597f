"""How far the fleet is: the revision of every tenant, and its last row in the ledger."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from tenantapp.fleet.migrating.ledger import KIND
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation, OperationState


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """A tenant, and its last migration if there was one. ``duration`` is in seconds."""

    tenant: str
    revision: str | None
    found: str | None = None
    wanted: str | None = None
    state: str | None = None
    started_at: datetime | None = None
    duration: float | None = None
    error: str | None = None


def fleet_status(session: Session) -> list[TenantStatus]:
    """Return the status of all tenants that are active or suspended, by slug."""
    latest = aliased(Operation, latest_migrations().subquery())
    tenants = select(Tenant.slug, Tenant.revision, latest).outerjoin(latest, latest.tenant_id == Tenant.id)
    rows = session.execute(tenants.where(Tenant.is_served).order_by(Tenant.slug))
    return [_status(slug, revision, operation) for slug, revision, operation in rows]


def revisions_in_use(statuses: list[TenantStatus]) -> list[tuple[str | None, int]]:
    """Return each revision with the number of tenants at it, the most common first."""
    return Counter(status.revision for status in statuses).most_common()


def count_revisions(session: Session) -> list[tuple[str | None, int]]:
    """Return each revision with the number of served tenants at it, the most common first."""
    counts = select(Tenant.revision, func.count()).where(Tenant.is_served).group_by(Tenant.revision)
    return [(revision, number) for revision, number in session.execute(counts.order_by(func.count().desc()))]


def count_states(session: Session) -> list[tuple[str | None, int]]:
    """Return each state of a last migration with its number of served tenants. None: the tenant had no migration."""
    latest = latest_migrations().subquery()
    counts = select(latest.c.state, func.count()).select_from(Tenant).outerjoin(latest, latest.c.tenant_id == Tenant.id)
    counts = counts.where(Tenant.is_served).group_by(latest.c.state).order_by(func.count().desc())
    return [(state, number) for state, number in session.execute(counts)]


def failed_migrations(session: Session, limit: int) -> list[TenantStatus]:
    """Return the first of the served tenants whose last migration failed, by slug."""
    latest = aliased(Operation, latest_migrations().where(Operation.state == OperationState.FAILED).subquery())
    failed = select(Tenant.slug, Tenant.revision, latest).join(latest, latest.tenant_id == Tenant.id)
    rows = session.execute(failed.where(Tenant.is_served).order_by(Tenant.slug).limit(limit))
    return [_status(slug, revision, operation) for slug, revision, operation in rows]


def failed_tenants(session: Session) -> set[UUID]:
    """Return the tenants whose last migration failed."""
    failed = latest_migrations().where(Operation.state == OperationState.FAILED)
    return {operation.tenant_id for operation in session.scalars(failed) if operation.tenant_id is not None}


def latest_migrations() -> Select[Operation]:
    """Select the last row of the ledger for each tenant."""
    later = aliased(Operation)
    is_later = (later.tenant_id == Operation.tenant_id) & (later.kind == KIND) & (later.id > Operation.id)
    return select(Operation).where(Operation.kind == KIND, ~exists().where(is_later))


def _status(slug: str, revision: str | None, operation: Operation | None) -> TenantStatus:
    if operation is None:
        return TenantStatus(slug, revision)
    started, finished = operation.started_at, operation.finished_at
    return TenantStatus(
        tenant=slug,
        revision=revision,
        found=operation.arguments["from"],
        wanted=operation.arguments["to"],
        state=operation.state,
        started_at=started,
        duration=(finished - started).total_seconds() if started and finished else None,
        error=operation.error,
    )
