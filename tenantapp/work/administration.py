"""What operators do with the jobs of a tenant: list, retry, cancel and release them.

Each change is in the audit trail of the user database, whose transaction is committed last. There, the worker is told
to look into the tenant.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.local_access import LOCAL_PERSON
from tenantapp.identity.tenants import place_of, served_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.tenancy.models import JobState, TenantJob
from tenantapp.work.models import TenantVisit
from tenantapp.work.queue import cancel_job, get_job, is_copied, list_jobs, release_jobs, retry_job
from tenantapp.work.visits import note_visit
from tenantapp.work.worker import worker_databases


def jobs_of(fleet: Fleet, slug: str, *, state: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Return the jobs of a tenant, as ``describe_job`` has them, the newest first. Raises ``NotFound``."""
    with fleet.user_db.begin(read_only=True) as session:
        place = place_of(served_tenant(session, slug))
        visit = session.get(TenantVisit, place.id)
        with _tenant_session(fleet, place, read_only=True) as tenant_session:
            return [describe_job(job, place, visit) for job in list_jobs(tenant_session, state=state, limit=limit)]


def retry(fleet: Fleet, slug: str, job_id: UUID) -> dict[str, Any]:
    """Retry a job, and return it. Raises ``NotFound`` and ``JobRefused``."""
    with _changing(fleet, slug, "job.retry", job_id) as (place, session):
        return describe_job(retry_job(session, job_id), place)


def cancel(fleet: Fleet, slug: str, job_id: UUID) -> dict[str, Any]:
    """Cancel a job, or have it stop if it is running. Return it. Raises ``NotFound`` and ``JobRefused``."""
    with fleet.user_db.begin() as session:
        place = place_of(served_tenant(session, slug))
        # On SQLite the running job may hold the write lock. So look first.
        with _tenant_session(fleet, place, read_only=True) as tenant_session:
            job = get_job(tenant_session, job_id)
            visit = session.get(TenantVisit, place.id, with_for_update=True)
            if job.state == JobState.RUNNING and visit is not None and visit.owner == job.owner:
                visit.cancel_id = job_id
                _record(session, "job.cancel", place, job_id)
                return describe_job(job, place, visit)
    with _changing(fleet, slug, "job.cancel", job_id) as (place, tenant_session):
        return describe_job(cancel_job(tenant_session, job_id), place)


def release(fleet: Fleet, slug: str, job_id: UUID | None = None) -> list[dict[str, Any]]:
    """Release the held jobs of a tenant, or one of them, and return them. Raises ``NotFound`` and ``JobRefused``."""
    with _changing(fleet, slug, "job.release", job_id) as (place, session):
        return [describe_job(get_job(session, each), place) for each in release_jobs(session, place, job_id)]


def describe_job(job: TenantJob, place: TenantPlace, visit: TenantVisit | None = None) -> dict[str, Any]:
    """Return a job as operators see it. A queued job of a copy is shown as held: no worker begins it."""
    runs = visit is not None and visit.job_id == job.id
    waits = job.state in (JobState.QUEUED, JobState.RUNNING)
    return {
        "id": job.id,
        "name": job.name,
        "state": JobState.HELD.value if waits and is_copied(job, place) else str(job.state),
        "due_at": job.due_at,
        "schedule": job.schedule,
        "arguments": json.loads(job.arguments),
        "attempts": job.attempts,
        "failures": job.failures,
        "percent": round(visit.progress * 100) if runs and visit is not None else None,
        "progress_text": visit.progress_text if runs and visit is not None else None,
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


@contextmanager
def _changing(fleet: Fleet, slug: str, action: str, job_id: UUID | None) -> Iterator[tuple[TenantPlace, Session]]:
    """Yield the tenant and a session on its database. What the block does there is recorded, and a visit is noted."""
    with fleet.user_db.begin() as session:
        place = place_of(served_tenant(session, slug))
        note_visit(session, place.id, utcnow())
        _record(session, action, place, job_id)
        session.flush()
        with _tenant_session(fleet, place) as tenant_session:
            yield place, tenant_session


def _record(session: Session, action: str, place: TenantPlace, job_id: UUID | None) -> None:
    record(session, action, tenant_id=place.id, slug=place.slug, detail={"job": str(job_id)} if job_id else {})


@contextmanager
def _tenant_session(fleet: Fleet, place: TenantPlace, *, read_only: bool = False) -> Iterator[Session]:
    access = Access(LOCAL_PERSON, place, operator=True)
    with worker_databases(fleet) as databases, databases.begin(access, read_only=read_only) as session:
        yield session
