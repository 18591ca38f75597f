"""The record of a run of migrations in the user database, for those who look at it from elsewhere.

It is only shown. So a failure to write it never fails the run. It is written every few seconds, not for each tenant.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenantapp.fleet.migrating.rehearsals import Rehearsal
from tenantapp.operations.leases import LEASE, database_time
from tenantapp.operations.models import RecordedRun
from tenantapp.sql.errors import SqlError
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError
from tenantapp.tenancy.known_tables import has_table

log = logging.getLogger(__name__)
KEPT: Final = 20  # runs
RECORD_EVERY: Final = 2.0  # seconds
MOST_POINTS: Final = 120  # when there are more, every second one is dropped


class StoppedBy(StrEnum):
    """Why a run ended before all its tenants were tried."""

    REHEARSAL = "rehearsal"
    FAILED_STAGE = "failed_stage"
    FAILURES = "failures"
    INTERRUPT = "interrupt"
    ERROR = "error"


class RunState(StrEnum):
    """The state of a run. ``died``: no sign of life for as long as a lease lasts, and none that it ended."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    DIED = "died"


@dataclass
class Stage:
    """A wave, or the rest after the waves: how many tenants it has, how many have arrived, and how many failed."""

    name: str
    tenants: int
    done: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as it was last recorded. ``points`` are pairs: seconds since it started, and tenants done by then.

    ``ended_at`` of one that died is its last sign of life. ``rehearsals`` are those of ``rehearsals.Rehearsal.row``.
    """

    id: UUID
    state: RunState
    wanted: str
    requested_by: str
    host: str
    jobs: int
    stages: list[dict[str, Any]]
    points: list[list[float]]
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    stopped_by: str | None
    rehearsals: list[dict[str, Any]]


class RunRecord:
    """Writes a run into the user database. No method raises because that fails; the first failure is logged."""

    def __init__(self, user_db: DBFactory, wanted: str, requested_by: str, owner: str, jobs: int) -> None:
        self._user_db = user_db
        self._facts = {"wanted": wanted, "requested_by": requested_by, "owner": owner, "jobs": jobs}
        self._id = uuid7()
        self._stages: list[Stage] = []
        self._points: list[list[float]] = []
        self._rehearsals: list[dict[str, Any]] = []
        self._began = self._written_at = time.monotonic()
        self._is_there = self._has_failed = False

    def begin(self, stages: Sequence[Stage]) -> None:
        """Record that a run with these stages begins, and forget old ones. The stages are read again by ``write``."""
        self._stages = list(stages)
        self._try()

    def rehearsed(self, rehearsal: Rehearsal) -> None:
        """Record a rehearsal at once."""
        self._rehearsals.append(rehearsal.row)
        self._try()

    def write(self) -> None:
        """Record how far the stages are, if that was not done within the last seconds."""
        if time.monotonic() - self._written_at > RECORD_EVERY:
            self._try()

    def end(self, stopped_by: StoppedBy | None = None) -> None:
        """Record that the run has ended."""
        self._try(ended=True, stopped_by=stopped_by)

    def _try(self, *, ended: bool = False, stopped_by: StoppedBy | None = None) -> None:
        self._written_at = time.monotonic()
        self.note()
        try:
            with self._user_db.begin() as session:
                now = database_time(session)
                if not self._is_there:
                    self._insert(session, now)
                values = {"stages": [asdict(stage) for stage in self._stages], "points": self._points, "seen_at": now}
                values["rehearsals"] = self._rehearsals or None
                if ended:
                    values |= {"ended_at": now, "stopped_by": stopped_by}
                session.execute(update(RecordedRun).where(RecordedRun.id == self._id).values(values))
            self._is_there = True
        except (SqlError, TenancyError, DBAPIError) as error:
            if not self._has_failed:
                log.warning("The run of migrations could not be recorded: %s", error)
            self._has_failed = True

    def _insert(self, session: Session, now: datetime) -> None:
        started = now - timedelta(seconds=time.monotonic() - self._began)
        session.add(RecordedRun(id=self._id, started_at=started, seen_at=now, stages=[], points=[], **self._facts))
        session.flush()
        kept = select(RecordedRun.id).order_by(RecordedRun.id.desc()).limit(KEPT)
        session.execute(delete(RecordedRun).where(RecordedRun.id.not_in(kept)))

    def note(self) -> None:
        """Note a point of the curve, without writing it."""
        seconds, done = time.monotonic() - self._began, sum(stage.done for stage in self._stages)
        self._points.append([round(seconds, 1), done])
        if len(self._points) > MOST_POINTS:
            self._points = [*self._points[:-1:2], self._points[-1]]


def latest_run(session: Session) -> RunStatus | None:
    """Return the run that was begun last, or None if none is known, or if ``init`` has not made their table yet."""
    if not has_table(session, RecordedRun.__tablename__):
        return None
    run = session.scalar(select(RecordedRun).order_by(RecordedRun.id.desc()).limit(1))
    if run is None:
        return None
    state = _state(run, database_time(session))
    return RunStatus(
        id=run.id,
        state=state,
        wanted=run.wanted,
        requested_by=run.requested_by,
        host=run.owner.partition(":")[0],
        jobs=run.jobs,
        stages=run.stages,
        points=run.points,
        started_at=run.started_at,
        seen_at=run.seen_at,
        ended_at=run.seen_at if state == RunState.DIED else run.ended_at,
        stopped_by=run.stopped_by,
        rehearsals=run.rehearsals or [],
    )


def _state(run: RecordedRun, now: datetime) -> RunState:
    if run.ended_at is None:
        return RunState.DIED if now - run.seen_at > LEASE else RunState.RUNNING
    return RunState.FINISHED if run.stopped_by is None else RunState.STOPPED
