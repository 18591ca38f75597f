"""One visit to a tenant: run the jobs that are due, one after the other."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from typing import Any, Final
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.orm import Session

from tenantapp.identity.local_access import LOCAL_PERSON, local_access
from tenantapp.operations.background import DATABASE_ERRORS
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import PROGRESS_LENGTH
from tenantapp.operations.outcomes import sentence
from tenantapp.sql.silence import statements_take
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, Access, Actor, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.known_tables import has_table
from tenantapp.tenancy.models import TenantJob
from tenantapp.trace_context import Work, traced_work
from tenantapp.work import claims
from tenantapp.work.claims import ClaimedJob
from tenantapp.work.declarations import DeclaredJobs, Wanted
from tenantapp.work.errors import JobCancelled, JobStopped, JobTooSlow, NoRetry, VisitLost, VisitStopped
from tenantapp.work.queue import NO_ARGUMENTS, NO_DELAY, enqueue, hold_copied
from tenantapp.work.visits import Visit, incarnation

log = logging.getLogger(__name__)
LONGEST_VISIT: Final = 5.0  # seconds after which a visit begins no further job: it is another tenant's turn
DOWN_PAUSE: Final = timedelta(seconds=60)  # until a tenant whose database does not answer is visited again
# The limits of a tenant database are for requests. A job may take longer.
POSTGRES_LIMITS: Final = text(
    "SELECT set_config('statement_timeout', :most, true),"
    " set_config('idle_in_transaction_session_timeout', :most, true)"
)
Told = Callable[[str], None]
"""Called with a line for each failure of a job."""


@dataclass
class Job:
    """What a handler gets: the arguments, the tenant, and a session on the tenant's database.

    What the handler does in ``session`` is committed together with the mark that the job is done, or not at all. The
    session begins its transaction with its first statement. ``attempt`` counts from 1.
    """

    id: UUID
    name: str
    arguments: dict[str, Any]
    tenant: TenantPlace
    session: Session
    attempt: int
    _visit: "RunningVisit" = field(repr=False)

    def check(self) -> None:
        """Raise a ``JobStopped`` if the job was cancelled, takes too long, or if the worker must end. It is cheap."""
        self._visit.check()

    def progress(self, fraction: float, text: str = "") -> None:
        """Report how much is done, from 0 to 1. Raises what ``check`` raises. It is cheap, and shown a little later."""
        self._visit.shown = (min(max(fraction, 0.0), 1.0), text[:PROGRESS_LENGTH])
        self.check()

    def enqueue(self, name: str, arguments: Mapping[str, Any] = NO_ARGUMENTS, *, after: timedelta = NO_DELAY) -> UUID:
        """Queue another job of this tenant, in the transaction of this one. See ``queue.enqueue``."""
        return enqueue(self.session, self.tenant, self._visit.declared, None, name, arguments, after=after)

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Session]:
        """Yield a session with a transaction of its own, which is committed at the end of the block.

        It is for work that waits for others, between a transaction that finds what is to be done and one that records
        it: ``session`` would hold its locks meanwhile. What it does stays done if the job fails. Do not nest them, nor
        use ``session`` before the last of them.
        """
        access = Access(LOCAL_PERSON, self.tenant, operator=True)
        with self._visit.databases.for_access(access).begin(read_only=read_only) as session:
            session.info[ACTOR] = Actor(f"job:{self.name}")
            yield session

    @cached_property
    def access(self) -> Access:
        """Return an access to the tenant with every permission, for services that ask for one."""
        with self._visit.fleet.user_db.begin(read_only=True) as session:
            return local_access(session, self.tenant.slug)


class RunningVisit:
    """A visit that goes on. One thread calls ``run``. The worker's own thread reads and sets the attributes."""

    def __init__(
        self, fleet: Fleet, databases: TenantDatabases, declared: DeclaredJobs, visit: Visit, told: Told | None = None
    ) -> None:
        self.fleet, self.databases, self.declared, self.visit = fleet, databases, declared, visit
        self._told = told
        self.job: ClaimedJob | None = None
        """The job that runs now."""
        self.deadline = inf
        """When it has taken too long, on the monotonic clock."""
        self.shown: tuple[float, str | None] = (0.0, None)
        """Its progress."""
        self.cancel_id: UUID | None = None
        """The job that somebody wants to cancel."""
        self.stopping = self.lost = self.came = self.over = False

    def run(self) -> datetime:
        """Run the jobs that are due, for some seconds. Return when to visit the tenant next."""
        settings, place = self.fleet.settings, self.visit.place
        later = utcnow() + timedelta(seconds=settings.jobs_sweep)
        try:
            next_due = self._work(self.databases.for_access(Access(LOCAL_PERSON, place, operator=True)))
        except JobStopped as stopped:
            log.info("The jobs of %s: %s", place.slug, stopped)
            return utcnow()
        except DATABASE_ERRORS as error:
            log.warning("The jobs of %s wait, because its database cannot be used: %s", place.slug, error)
            return min(later, utcnow() + DOWN_PAUSE)
        return later if next_due is None else min(later, next_due)

    def check(self) -> None:
        """Raise a ``JobStopped`` if the running job must stop."""
        if self.lost:
            raise VisitLost
        if self.job is not None and self.cancel_id == self.job.id:
            raise JobCancelled
        if self.stopping:
            raise VisitStopped
        if self.job is not None and time.monotonic() > self.deadline:
            raise JobTooSlow(self._timeout(self.job))

    def _work(self, database: DBFactory) -> datetime | None:
        ends = time.monotonic() + LONGEST_VISIT
        with database.begin(read_only=True) as session:
            if not has_table(session, TenantJob.__tablename__):
                return None
            found = claims.look(session, self.declared, self._kept_since)
            wanted = [job for source in self.declared.sources for job in source(session, self.visit.place)]
        if not self._prepare(database, found, wanted) and (found.next_due is None or found.next_due > utcnow()):
            return found.next_due
        with database.begin() as session:
            claimed = claims.claim_job(session, self.visit.owner, self.declared)
        while isinstance(claimed, ClaimedJob):
            claimed = self._run(database, claimed, ends)
        return claimed

    @property
    def _kept_since(self) -> datetime:
        return utcnow() - timedelta(days=self.fleet.settings.jobs_keep)

    def _prepare(self, database: DBFactory, found: claims.Overview, wanted: Sequence[Wanted]) -> bool:
        """Hold what came with a copy, queue what was interrupted or is wanted, keep the schedules.

        Return whether a job may have become due by that.
        """
        place = self.visit.place
        elsewhere = self.visit.seen != incarnation(place)
        lacking = claims.lacks_schedules(found.schedules, self.declared)
        if elsewhere or lacking or wanted or found.interrupted or found.old:
            with database.begin() as session:
                held = hold_copied(session, place) if elsewhere else 0
                if found.interrupted:
                    claims.recover(session, place, self.declared)
                if lacking:
                    claims.keep_schedules(session, place, self.declared)
                for name, arguments in wanted:
                    enqueue(session, place, self.declared, None, name, arguments, cause=self.visit.cause)
                if found.old:
                    claims.remove_old(session, self._kept_since)
            if held:
                log.warning("%d jobs came with a copy to %s. Release them: tenantapp jobs release", held, place.slug)
        self.came = True
        return elsewhere or lacking or bool(wanted) or found.interrupted

    def _run(self, database: DBFactory, claimed: ClaimedJob, ends: float) -> ClaimedJob | datetime | None:
        """Run a job. Return the next one, or when it is due. If the visit has lasted long, nothing more is begun."""
        place, declared = self.visit.place, self.declared[claimed.name]
        self.job, self.deadline, self.shown = claimed, time.monotonic() + self._timeout(claimed), (0.0, None)
        try:
            longest, work = (
                statements_take(self._timeout(claimed)),
                Work("jobs", claimed.name, claimed.id, place.id, claimed.cause),
            )
            traced = traced_work(self.fleet.tracer, work)
            with traced, longest, self._session(database, claimed) as session, session.begin():
                if claimed.arguments is None:
                    raise NoRetry("The arguments of the job are not a JSON object.")
                job = Job(claimed.id, claimed.name, claimed.arguments, place, session, claimed.attempt, self)
                declared.handler(job)
                session.flush()
                claims.mark_done(session, claimed, place, kept=declared.kept)
                return self._following(session, ends)
        except VisitLost:
            raise
        except VisitStopped:
            with database.begin() as session:
                claims.give_back(session, claimed)
            raise
        except JobCancelled:
            with database.begin() as session:
                claims.mark_cancelled(session, claimed)
                return self._following(session, ends)
        except (Exception, SystemExit) as error:
            return self._fail(database, claimed, error, ends)
        finally:
            self.job, self.deadline = None, inf

    def _fail(
        self, database: DBFactory, claimed: ClaimedJob, error: BaseException, ends: float
    ) -> ClaimedJob | datetime | None:
        place = self.visit.place
        told = sentence(error) if isinstance(error, Exception) else repr(error)
        retries = 0 if isinstance(error, NoRetry) else self.declared[claimed.name].retries
        with database.begin() as session:
            again = claims.mark_failed(session, claimed, place, told, retries)
            following = self._following(session, ends)
        if self._told is not None:
            again_later = "; it is tried again later" if again else ""
            self._told(f"{claimed.id} {claimed.name} {place.slug} failed: {told}{again_later}")
        log.log(
            logging.WARNING if again else logging.ERROR,
            *("The job %s (%s) of %s has failed%s.", claimed.id, claimed.name, place.slug),
            "; it is tried again" if again else "",
            exc_info=None if isinstance(error, JobStopped) else error,
        )
        return following

    def _following(self, session: Session, ends: float) -> ClaimedJob | datetime | None:
        """Claim the next job in the transaction that ends one, unless it is time to leave."""
        if self.stopping or self.lost or time.monotonic() > ends:
            return utcnow()
        return claims.claim_job(session, self.visit.owner, self.declared)

    def _session(self, database: DBFactory, claimed: ClaimedJob) -> Session:
        session = database.get_session()
        session.info[ACTOR] = Actor(f"job:{claimed.name}")
        if session.get_bind().dialect.name == "postgresql":
            most = {"most": str(int(self._timeout(claimed) * 1000))}
            event.listen(session, "after_begin", lambda *given: given[-1].execute(POSTGRES_LIMITS, most))
        return session

    def _timeout(self, claimed: ClaimedJob) -> float:
        return self.declared[claimed.name].timeout or self.fleet.settings.jobs_timeout
