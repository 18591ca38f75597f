"""The services that queue, list, retry, cancel and release the jobs of a tenant, in a session on its database."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, event, or_, select, update
from sqlalchemy.orm import Session

from tenantapp.identity.errors import NotFound
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.known_tables import has_table, needs_table
from tenantapp.tenancy.models import JobState, TenantBase, TenantJob
from tenantapp.trace_context import present_traceparent
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.errors import JobRefused
from tenantapp.work.visits import note_after_commit

NO_ARGUMENTS: Final[Mapping[str, Any]] = {}
NO_DELAY: Final = timedelta(0)
READ_AT_ONCE: Final = 10  # jobs
NOTES: Final = "tenantapp_visits"  # the key in a session's ``info`` of the visits to note after the commit
TRACEPARENT: Final = "_traceparent"  # the argument that only the worker sees: of what has queued the job
JOBS: Final = TenantBase.metadata.tables[TenantJob.__tablename__]


class _Note(NamedTuple):
    user_db: DBFactory
    due_at: datetime


def enqueue(
    session: Session,
    place: TenantPlace,
    declared: DeclaredJobs,
    user_db: DBFactory | None,
    name: str,
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
    *,
    after: timedelta = NO_DELAY,
    cause: str | None = None,
) -> UUID:
    """Queue a job in the session's transaction, and return its id.

    If the transaction is committed, a worker runs the job once ``after`` has passed. If it is rolled back, there is no
    job. ``arguments`` are JSON. Without ``user_db`` no visit is noted: one goes on, and finds the job. ``cause`` is the
    ``traceparent`` of what has caused the job, by default of what this thread does. Raises ``UnknownJob``,
    ``TypeError`` or ``ValueError`` if the arguments are not JSON, and ``TenantMigrating`` if the database has no table
    of jobs yet.
    """
    declared.check(name)
    row = new_job(place, name, _with_cause(arguments, cause or present_traceparent()), utcnow() + after)
    with needs_table(session, TenantJob.__tablename__):
        session.execute(JOBS.insert(), row)
    if user_db is not None:
        _note_after_commit(session, user_db, place.id, row["due_at"])
    return UUID(str(row["id"]))


class Enqueue:
    """Queues jobs outside of a request: ``registry.enqueue(session, access, "recount", {...})``.

    ``of`` is the application's registry or a ``Fleet``, and ``declared`` returns the jobs that the domain declares.
    """

    def __init__(self, of: Any, declared: Callable[[], DeclaredJobs]) -> None:
        self._of, self._declared = of, declared

    def __call__(
        self,
        session: Session,
        access: Access,
        name: str,
        arguments: Mapping[str, Any] = NO_ARGUMENTS,
        *,
        after: timedelta = NO_DELAY,
    ) -> UUID:
        """Queue a job of the access's tenant in the session's transaction. See ``enqueue``."""
        place = access.require_tenant()
        return enqueue(session, place, self._declared(), self._of.user_db, name, arguments, after=after)


def read_arguments(kept: str) -> dict[str, Any] | None:
    """Return the arguments of a row, or None if it has no JSON object: others may have written it."""
    try:
        arguments = json.loads(kept)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _with_cause(arguments: Mapping[str, Any], cause: str | None) -> Mapping[str, Any]:
    if TRACEPARENT in arguments:
        raise ValueError(f"A job has no argument {TRACEPARENT}: the name is taken")
    return arguments if cause is None else {**arguments, TRACEPARENT: cause}


def new_job(
    place: TenantPlace, name: str, arguments: Mapping[str, Any], due_at: datetime, schedule: str | None = None
) -> dict[str, Any]:
    """Return the row of a new job. Raises ``TypeError`` if the arguments are not JSON."""
    stamp = {"tenant_id": place.id, "database": place.database, "epoch": place.epoch}
    return stamp | {
        "id": uuid7(),
        "name": name,
        "arguments": json.dumps(dict(arguments), allow_nan=False),
        "schedule": schedule,
        "periodic_name": None if schedule is None else name,
        "state": JobState.QUEUED,
        "due_at": due_at,
        "attempts": 0,
        "failures": 0,
        "created_at": utcnow(),
    }


def _note_after_commit(session: Session, user_db: DBFactory, tenant_id: UUID, due_at: datetime) -> None:
    """Note the visit when the session's transaction is committed; of several jobs the one that is due first."""
    if NOTES not in session.info:
        event.listen(session, "after_commit", _committed)
    notes: dict[UUID, _Note] = session.info.setdefault(NOTES, {})
    noted = notes.get(tenant_id)
    if noted is None or due_at < noted.due_at:
        notes[tenant_id] = _Note(user_db, due_at)


def _committed(session: Session) -> None:
    if session.in_nested_transaction():
        return  # only a savepoint is released
    notes: dict[UUID, _Note] = session.info[NOTES]
    while notes:
        tenant_id, note = notes.popitem()
        note_after_commit(note.user_db, tenant_id, note.due_at)


def is_of_copy(place: TenantPlace) -> ColumnElement[bool]:
    """Return the SQL condition that selects jobs which were queued in other content than the tenant's present one.

    A copy for another tenant has the id of the first one. A restore in place gives the tenant another database and
    another epoch. A move changes only the database, and a migration only the epoch.
    """
    restored = and_(JOBS.c.database != place.database, JOBS.c.epoch != place.epoch)
    return or_(JOBS.c.tenant_id != place.id, and_(restored, JOBS.c.schedule.is_(None)))


def is_copied(job: TenantJob, place: TenantPlace) -> bool:
    """Return whether a job was queued in other content than the tenant's present one. See ``is_of_copy``."""
    restored = job.database != place.database and job.epoch != place.epoch
    return job.tenant_id != place.id or (restored and job.schedule is None)


def list_jobs(
    session: Session,
    *,
    state: str | None = None,
    name: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> Iterator[TenantJob]:
    """Yield jobs, the newest first: of this state and name, and older than ``before``, if it is said.

    Some are read at a time, because a job may have a mail in its arguments, and the session forgets each one after it
    was yielded. A database that has no table of jobs yet has none.
    """
    if not has_table(session, TenantJob.__tablename__):
        return
    statement = select(TenantJob).order_by(TenantJob.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(TenantJob.state == state)
    if name is not None:
        statement = statement.where(TenantJob.name == name)
    if before is not None:
        statement = statement.where(TenantJob.id < before)
    for job in session.scalars(statement.execution_options(yield_per=READ_AT_ONCE)):
        yield job
        session.expunge(job)


def get_job(session: Session, job_id: UUID, *, for_update: bool = False) -> TenantJob:
    """Return the job with this id. Raises ``NotFound``."""
    if not has_table(session, TenantJob.__tablename__):
        raise NotFound("job", job_id)
    job = session.get(TenantJob, job_id, with_for_update=for_update or None)
    if job is None:
        raise NotFound("job", job_id)
    return job


def retry_job(session: Session, place: TenantPlace, job_id: UUID, *, releases: bool = True) -> TenantJob:
    """Queue a failed, cancelled or waiting job again, for now.

    One that came with a copy counts as queued in the tenant's present content from now on; without ``releases``, it is
    refused. Raises ``NotFound`` and ``JobRefused``.
    """
    job = get_job(session, job_id, for_update=True)
    if job.state not in (JobState.FAILED, JobState.CANCELLED, JobState.QUEUED):
        raise JobRefused(f"The job is {job.state}; only a failed, cancelled or queued job can be retried.")
    if is_copied(job, place):
        if not releases:
            raise JobRefused("The job came with a copy of a tenant: an operator releases it.")
        job.tenant_id, job.database, job.epoch = place.id, place.database, place.epoch
    job.state, job.due_at, job.attempts, job.failures = JobState.QUEUED, utcnow(), 0, 0
    job.finished_at = None
    session.flush()
    return job


def cancel_job(session: Session, job_id: UUID) -> TenantJob:
    """Cancel a queued, held or failed job. A periodic job is cancelled until it is retried.

    Raises ``NotFound``, and ``JobRefused`` if the job is running or over.
    """
    job = get_job(session, job_id, for_update=True)
    if job.state not in (JobState.QUEUED, JobState.HELD, JobState.FAILED):
        raise JobRefused(f"The job is {job.state}.")
    job.state, job.finished_at = JobState.CANCELLED, utcnow()
    session.flush()
    return job


def release_jobs(session: Session, place: TenantPlace, job_id: UUID | None = None) -> list[UUID]:
    """Queue the held jobs of a tenant, or one of them, for when they are due. Return their ids.

    They count as queued in the tenant's present content from now on. Raises ``JobRefused`` if the job is not held, and
    ``NotFound``.
    """
    if not has_table(session, TenantJob.__tablename__):
        return []
    hold_copied(session, place)
    held = update(JOBS).where(JOBS.c.state == JobState.HELD)
    if job_id is not None:
        held = held.where(JOBS.c.id == job_id)
    stamp = {"tenant_id": place.id, "database": place.database, "epoch": place.epoch}
    released = session.scalars(held.values(state=JobState.QUEUED, **stamp).returning(JOBS.c.id)).all()
    if job_id is not None and not released:
        raise JobRefused(f"The job is {get_job(session, job_id).state}; only a held job can be released.")
    return list(released)


def hold_copied(session: Session, place: TenantPlace) -> int:
    """Hold the jobs that came with a copy, and take the others as jobs of the present content. Return how many."""
    waiting = JOBS.c.state.in_((JobState.QUEUED, JobState.RUNNING))
    held = session.execute(
        update(JOBS).where(waiting, is_of_copy(place)).values(state=JobState.HELD, owner=None).returning(JOBS.c.id)
    ).all()
    present = and_(JOBS.c.database == place.database, JOBS.c.epoch == place.epoch)
    session.execute(update(JOBS).where(waiting, ~present).values(database=place.database, epoch=place.epoch))
    return len(held)
