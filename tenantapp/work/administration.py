"""What the people who manage the jobs of a tenant do with them: list, retry, cancel and release them.

Commands and views share it. Each change is in the audit trail of the user database, and is committed there before it is
in the tenant's: none is unrecorded, and if the tenant's commit fails, the entry says what was tried.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.local_access import LOCAL_PERSON
from tenantapp.identity.tenants import place_of, served_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, Access, Actor, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.models import JobState, TenantJob
from tenantapp.work.models import TenantVisit
from tenantapp.work.queue import cancel_job, get_job, is_copied, list_jobs, read_arguments, release_jobs, retry_job
from tenantapp.work.visits import get_visit, note_after_commit
from tenantapp.work.worker import worker_databases


@dataclass(frozen=True, slots=True)
class ManagedJobs:
    """The jobs of a tenant. ``actor`` is who manages them; None stands for who runs this process.

    ``by_operator`` says that it is an operator over HTTP, whose name the tenant's administrators do not see.

    ``tenant_session`` opens a session on the tenant's database, which commits at the end of its block; it takes
    ``read_only``.
    """

    user_db: DBFactory
    place: TenantPlace
    tenant_session: Callable[..., AbstractContextManager[Session]]
    actor: Actor | None = None
    by_operator: bool = False

    @property
    def releases(self) -> bool:
        """Return whether they may let jobs run that came with a copy."""
        return self.by_operator or self.actor is None

    def list(
        self, *, state: str | None = None, name: str | None = None, before: UUID | None = None, limit: int = 100
    ) -> Sequence[dict[str, Any]]:
        """Return jobs, as ``describe_job`` has them, the newest first; with ``before``, those older than this id."""
        visit = self._visit()
        with self.tenant_session(read_only=True) as session:
            found = list_jobs(session, state=state, name=name, before=before, limit=limit)
            return [describe_job(job, self.place, visit) for job in found]

    def get(self, job_id: UUID) -> dict[str, Any]:
        """Return a job. Raises ``NotFound``."""
        visit = self._visit()
        with self.tenant_session(read_only=True) as session:
            return describe_job(get_job(session, job_id), self.place, visit)

    def retry(self, job_id: UUID) -> dict[str, Any]:
        """Retry a job, and return it. Raises ``NotFound`` and ``JobRefused``."""
        with self._changing("retry", job_id) as session:
            return describe_job(retry_job(session, self.place, job_id, releases=self.releases), self.place)

    def cancel(self, job_id: UUID) -> dict[str, Any]:
        """Cancel a job, or have it stop if it is running. Return it. Raises ``NotFound`` and ``JobRefused``."""
        # On SQLite the running job may hold the write lock. So look first.
        with self.tenant_session(read_only=True) as session:
            job = get_job(session, job_id)
            running_in = job.owner if job.state == JobState.RUNNING else None
        if running_in is not None and self._stop(job_id, running_in):
            return self.get(job_id)
        with self._changing("cancel", job_id) as session:
            return describe_job(cancel_job(session, job_id), self.place)

    def release(self, job_id: UUID | None = None) -> Sequence[dict[str, Any]]:
        """Release the held jobs, or one of them, and return them. Raises ``NotFound`` and ``JobRefused``."""
        with self._changing("release", job_id) as session:
            released = release_jobs(session, self.place, job_id)
            return [describe_job(get_job(session, each), self.place) for each in released]

    def _stop(self, job_id: UUID, running_in: str) -> bool:
        """Ask the visit that works on a job to stop it. Return False if that visit is over."""
        with self._user_session() as session:
            visit = session.get(TenantVisit, self.place.id, with_for_update=True)
            if visit is None or visit.owner != running_in:
                return False
            visit.cancel_id = job_id
            self._record(session, "cancel", job_id)
            return True

    def _visit(self) -> TenantVisit | None:
        with self.user_db.begin(read_only=True) as session:
            visit = get_visit(session, self.place.id)
            session.expunge_all()
            return visit

    @contextmanager
    def _changing(self, verb: str, job_id: UUID | None) -> Iterator[Session]:
        """Yield a session on the tenant's database. What the block does is recorded, and then a visit is noted."""
        with self.tenant_session() as session:
            yield session
            session.flush()
            with self._user_session() as user_session:
                self._record(user_session, verb, job_id)
        note_after_commit(self.user_db, self.place.id, utcnow())

    @contextmanager
    def _user_session(self) -> Iterator[Session]:
        with self.user_db.begin() as session:
            if self.actor is not None:
                session.info[ACTOR] = self.actor
            yield session

    def _record(self, session: Session, verb: str, job_id: UUID | None) -> None:
        action = f"fleet.{verb}_job" if self.by_operator else f"job.{verb}"
        detail = {} if job_id is None else {"job": str(job_id)}
        record(session, action, tenant_id=self.place.id, slug=self.place.slug, detail=detail)


@contextmanager
def jobs_on_command_line(fleet: Fleet, slug: str) -> Iterator[ManagedJobs]:
    """Yield the jobs of a tenant for a command, on connections of its own. Raises ``NotFound``."""
    with fleet.user_db.begin(read_only=True) as session:
        place = place_of(served_tenant(session, slug))
    with worker_databases(fleet) as databases:
        yield ManagedJobs(fleet.user_db, place, sessions_of(databases, place))


def sessions_of(databases: TenantDatabases, place: TenantPlace) -> Callable[..., AbstractContextManager[Session]]:
    """Return what opens sessions on the database of a tenant, in the name of who runs this process."""
    return partial(databases.begin, Access(LOCAL_PERSON, place, operator=True))


def describe_job(job: TenantJob, place: TenantPlace, visit: TenantVisit | None = None) -> dict[str, Any]:
    """Return a job as who manages it sees it. A queued job of a copy is shown as held: no worker begins it.

    Arguments whose names begin with an underscore are left out: a mail may have a link for its recipient alone.
    """
    runs = visit is not None and visit.job_id == job.id
    waits = job.state in (JobState.QUEUED, JobState.RUNNING)
    given = read_arguments(job.arguments) or {}
    return {
        "id": job.id,
        "name": job.name,
        "state": JobState.HELD.value if waits and is_copied(job, place) else str(job.state),
        "due_at": job.due_at,
        "schedule": job.schedule,
        "arguments": {name: value for name, value in given.items() if not name.startswith("_")},
        "attempts": job.attempts,
        "failures": job.failures,
        "percent": round(visit.progress * 100) if runs and visit is not None else None,
        "progress_text": visit.progress_text if runs and visit is not None else None,
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }
