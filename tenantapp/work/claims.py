"""What a visit does to the jobs in the tenant's database.

A job that runs has the visit as its owner. What its handler did is committed together with the mark "done", which is
made only if the job still has this owner. So a job that another worker has taken over leaves nothing, whatever has
become of its first worker.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, String, Uuid, bindparam, delete, exists, literal, select, update
from sqlalchemy.orm import Session

from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import JobState
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.errors import VisitLost
from tenantapp.work.queue import JOBS, NO_ARGUMENTS, TRACEPARENT, new_job, read_arguments
from tenantapp.work.schedules import Schedule

MOST_LOST: Final = 5  # attempts that ended without an answer, after which a job is given up
FIRST_PAUSE: Final = 10.0  # seconds after the first failure
PAUSE_GROWS: Final = 3.0  # times as long after each further one
LONGEST_PAUSE: Final = 3600.0  # seconds
REMOVE_MOST: Final = 500  # old jobs that a visit removes
ERROR_LENGTH: Final = 2000  # characters
LOST: Final = f"Given up: {MOST_LOST} attempts did not come to an end. Their workers died, or the job took too long."

# The statements of each job are made once: that takes as long as executing them.
_CLAIMABLE: Final = (JOBS.c.state == JobState.QUEUED, JOBS.c.name.in_(bindparam("names", expanding=True)))
_NEXT_DUE: Final = select(JOBS.c.due_at).where(*_CLAIMABLE).order_by(JOBS.c.due_at).limit(1)
_FIRST: Final = (
    select(JOBS.c.id)
    .where(*_CLAIMABLE, JOBS.c.due_at <= bindparam("now", type_=UtcDateTime))
    .order_by(JOBS.c.due_at, JOBS.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    update(JOBS)
    .where(JOBS.c.id == _FIRST.scalar_subquery())
    .values(
        state=JobState.RUNNING,
        owner=bindparam("by", type_=String),
        attempts=JOBS.c.attempts + 1,
        started_at=bindparam("at", type_=UtcDateTime),
    )
    .returning(*JOBS.c)
)
_OURS: Final = (
    JOBS.c.id == bindparam("its_id", type_=Uuid),
    JOBS.c.owner == bindparam("its_owner", type_=String),
    JOBS.c.state == literal(JobState.RUNNING),
)
_CHANGE: Final = update(JOBS).where(*_OURS).returning(JOBS.c.id)
_REMOVE: Final = delete(JOBS).where(*_OURS).returning(JOBS.c.id)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that a visit works on. ``attempt`` counts from 1. ``cause`` is the ``traceparent`` kept with it.

    ``arguments`` are None if the row has something else there.
    """

    id: UUID
    name: str
    owner: str
    arguments: dict[str, Any] | None
    attempt: int
    failures: int
    schedule: Schedule | None
    cause: str | None


class Overview(NamedTuple):
    """What a visit finds: when the next job is due, which are left running, the schedules, and whether old jobs are."""

    next_due: datetime | None
    interrupted: bool
    schedules: dict[str, str]
    old: bool


def look(session: Session, declared: DeclaredJobs, kept_since: datetime) -> Overview:
    """Return what there is to do. It only reads."""
    due = _NEXT_DUE.scalar_subquery()
    running = exists().where(JOBS.c.state == JobState.RUNNING)
    old = select(*_old(kept_since)).exists()
    values = {"names": sorted(declared)}
    row = session.execute(select(due.label("due"), running.label("running"), old.label("old")), values).one()
    found = session.execute(select(JOBS.c.name, JOBS.c.schedule).where(JOBS.c.schedule.is_not(None))).all()
    return Overview(row.due, bool(row.running), {row.name: row.schedule for row in found}, bool(row.old))


def lacks_schedules(found: dict[str, str], declared: DeclaredJobs) -> bool:
    """Return whether ``keep_schedules`` has something to do."""
    return any(found.get(name) != schedule.text for name, schedule in declared.periodic.items())


def keep_schedules(session: Session, place: TenantPlace, declared: DeclaredJobs) -> None:
    """Have a row for each periodic job, due at the tenant's next moment. A row whose schedule has changed moves."""
    for name, schedule in declared.periodic.items():
        due_at = schedule.next_due(name, place.id, utcnow())
        row = new_job(place, name, NO_ARGUMENTS, due_at, schedule.text)
        insert = insert_for(session, JOBS).values(row)
        session.execute(
            insert.on_conflict_do_update(
                index_elements=[JOBS.c.periodic_name],
                set_={"schedule": schedule.text, "due_at": due_at},
                where=JOBS.c.schedule != schedule.text,
            )
        )


def recover(session: Session, place: TenantPlace, declared: DeclaredJobs) -> None:
    """Queue the jobs again that earlier visits have left running. Give up those that were left too often."""
    left = select(JOBS).where(JOBS.c.state == JobState.RUNNING).with_for_update(skip_locked=True)
    for row in session.execute(left).all():
        if row.attempts - row.failures < MOST_LOST:
            values: dict[str, Any] = {"state": JobState.QUEUED, "owner": None}
        else:
            values = _ended(_claimed(row, declared), place, JobState.FAILED, LOST)
        session.execute(update(JOBS).where(JOBS.c.id == row.id).values(values))


def claim_job(session: Session, owner: str, declared: DeclaredJobs) -> ClaimedJob | datetime | None:
    """Claim the job that has been due for longest.

    If no job is due, return when the next one is, or None if there is none. Jobs of unknown names wait.
    """
    now, names = utcnow(), sorted(declared)
    row = session.execute(_CLAIM, {"names": names, "at": now, "now": now, "by": owner}).one_or_none()
    return session.scalar(_NEXT_DUE, {"names": names}) if row is None else _claimed(row, declared)


def mark_done(session: Session, job: ClaimedJob, place: TenantPlace, *, kept: bool = True) -> None:
    """Record the success, in the transaction that has the job's effects. Raises ``VisitLost``.

    Unless it is kept, a job that is not periodic leaves no row.
    """
    if kept or job.schedule is not None:
        _change(session, job, _ended(job, place, JobState.DONE, None))
    elif session.execute(_REMOVE, {"its_id": job.id, "its_owner": job.owner}).one_or_none() is None:
        raise VisitLost


def mark_failed(session: Session, job: ClaimedJob, place: TenantPlace, error: str, retries: int) -> bool:
    """Record a failure. Return whether the job is tried again after a pause. Raises ``VisitLost``."""
    failures = job.failures + 1
    if failures > retries:
        _change(session, job, _ended(job, place, JobState.FAILED, error))
        return False
    values = {"state": JobState.QUEUED, "owner": None, "failures": failures, "error": error[:ERROR_LENGTH]}
    _change(session, job, values | {"due_at": utcnow() + pause_after(failures)})
    return True


def mark_cancelled(session: Session, job: ClaimedJob) -> None:
    """Record that the job was cancelled while it ran. Raises ``VisitLost``."""
    _change(session, job, {"state": JobState.CANCELLED, "owner": None, "finished_at": utcnow()})


def give_back(session: Session, job: ClaimedJob) -> None:
    """Let another worker begin the job at once. The attempt does not count. Raises ``VisitLost``."""
    _change(session, job, {"state": JobState.QUEUED, "owner": None, "attempts": job.attempt - 1})


def remove_old(session: Session, kept_since: datetime) -> None:
    """Remove jobs that were done or cancelled before this time, some hundred at once."""
    old = select(JOBS.c.id).where(*_old(kept_since)).order_by(JOBS.c.due_at).limit(REMOVE_MOST)
    session.execute(delete(JOBS).where(JOBS.c.id.in_(old.with_for_update(skip_locked=True))))


def pause_after(failures: int) -> timedelta:
    """Return how long a job waits after its failures: 10 seconds, then three times as long each time, up to an hour.

    A quarter is left to chance, so that what failed together is not tried again together.
    """
    seconds = min(FIRST_PAUSE * PAUSE_GROWS ** (failures - 1), LONGEST_PAUSE)
    return timedelta(seconds=seconds * random.uniform(1, 1.25))  # noqa: S311


def _claimed(row: Any, declared: DeclaredJobs) -> ClaimedJob:
    schedule = declared.periodic.get(row.name) if row.schedule is not None else None
    arguments = read_arguments(row.arguments)
    cause = None if arguments is None else arguments.pop(TRACEPARENT, None)
    return ClaimedJob(row.id, row.name, row.owner or "", arguments, row.attempts, row.failures, schedule, cause)


def _ended(job: ClaimedJob, place: TenantPlace, state: JobState, error: str | None) -> dict[str, Any]:
    """Return the values of a job that is over. A periodic job is queued for its next moment, and keeps its error."""
    now = utcnow()
    values = {"state": state, "owner": None, "error": error and error[:ERROR_LENGTH], "finished_at": now}
    if job.schedule is None:
        return values
    due_at = job.schedule.next_due(job.name, place.id, now)
    return values | {"state": JobState.QUEUED, "due_at": due_at, "attempts": 0, "failures": 0}


def _change(session: Session, job: ClaimedJob, values: dict[str, Any]) -> None:
    if session.execute(_CHANGE, {"its_id": job.id, "its_owner": job.owner, **values}).one_or_none() is None:
        raise VisitLost


def _old(kept_since: datetime) -> tuple[ColumnElement[bool], ...]:
    # The time at which a job was due is in the index. It is over later than that.
    over = JOBS.c.state.in_((JobState.DONE, JobState.CANCELLED))
    return over, JOBS.c.schedule.is_(None), JOBS.c.due_at < kept_since, JOBS.c.finished_at < kept_since
