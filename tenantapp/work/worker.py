"""A worker of jobs: visits to several tenants at once, each in a thread.

One thread claims the visits and renews their leases, so a slow job keeps no other tenant waiting while a thread is
free. A job that takes longer than it may loses its lease, and with it its thread, whose work is then not committed.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Final

from tenantapp.operations.background import DATABASE_ERRORS, Background
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.server_engines import ServerEngines
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.queue import Enqueue
from tenantapp.work.running import RunningVisit, Told
from tenantapp.work.visits import (
    LEASE,
    Visit,
    add_missing_visits,
    claim_visits,
    end_visit,
    is_visit_due,
    note_after_commit,
    renew_visit,
)

log = logging.getLogger(__name__)
POLL_EVERY: Final = 1.0  # seconds
POLL_WHEN_DOWN: Final = 10.0  # seconds, while the user database does not answer
RENEW_EVERY: Final = LEASE.total_seconds() / 6
ADD_EVERY: Final = 60.0  # seconds between two searches for tenants that were never visited
STOP_WAIT: Final = 5.0  # seconds to wait for jobs to stop when the process ends
MOST_STUCK: Final = 8  # threads whose jobs do not end
PATIENCE: Final = 5.0  # seconds, in which a job may notice that its time is over
CONNECTION_WAIT: Final = 60.0  # seconds; there are more connections than threads


class JobWorker:
    """Visits the tenants that are due.

    ``outdated`` are the revisions of databases that are not served. ``patience`` is how long, in seconds, a job whose
    time is over keeps its thread. ``renew_every`` is the time between two renewals of the leases, in seconds.
    ``told`` is called with a line for each failure of a job.
    """

    def __init__(
        self,
        fleet: Fleet,
        databases: TenantDatabases,
        declared: DeclaredJobs,
        outdated: frozenset[str | None] = frozenset(),
        patience: float = PATIENCE,
        renew_every: float = RENEW_EVERY,
        told: Told | None = None,
    ) -> None:
        self._told = told
        self._renew_every = renew_every
        self._patience = patience
        self._fleet, self._databases, self._declared, self._outdated = fleet, databases, declared, outdated
        self._threads = fleet.settings.jobs_threads
        self._visits: list[RunningVisit] = []
        self._stuck: list[RunningVisit] = []
        self._wake = Event()
        self._renewed = self._added = -ADD_EVERY

    def run(self, stop: Event, *, until_idle: bool = False) -> None:
        """Work until ``stop`` is set or, with ``until_idle``, until no visit is due. Without declared jobs, do nothing.

        If the user database does not answer, the worker tries again later; with ``until_idle`` it raises the error.
        """
        try:
            while self._declared and not stop.is_set():
                self._wake.clear()
                pause = min(POLL_EVERY, self._renew_every)
                try:
                    if self._step() == 0 and not self._visits and until_idle:
                        return
                except DATABASE_ERRORS as error:
                    # No tables yet, or the database is down; either may change.
                    log.warning("No visits can be read: %s", error)
                    if until_idle:
                        raise
                    pause = POLL_WHEN_DOWN
                self._wake.wait(pause)
        finally:
            self._stop()

    def _step(self) -> int:
        """Do what is to be done now. Return how many visits were begun."""
        self._visits = [visit for visit in self._visits if not visit.over]
        self._leave_stuck()
        if time.monotonic() - self._renewed >= self._renew_every:
            self._renewed = time.monotonic()
            self._renew()
        if time.monotonic() - self._added >= ADD_EVERY:
            self._added = time.monotonic()
            add_missing_visits(self._fleet.user_db, timedelta(seconds=self._fleet.settings.jobs_sweep))
        return self._begin()

    def _begin(self) -> int:
        free = self._threads - len(self._visits)
        user_db = self._fleet.user_db
        if free <= 0 or len(self._stuck) > MOST_STUCK or not is_visit_due(user_db, self._outdated):
            return 0
        with user_db.begin() as session:
            claimed = claim_visits(session, free, self._outdated)
        for visit in claimed:
            running = RunningVisit(self._fleet, self._databases, self._declared, visit, self._told)
            self._visits.append(running)
            Thread(target=self._visit, args=(running,), name=f"jobs of {visit.place.slug}", daemon=True).start()
        return len(claimed)

    def _visit(self, running: RunningVisit) -> None:
        due_at = utcnow() + LEASE
        try:
            due_at = running.run()
        except Exception:
            log.exception("A visit to %s has failed.", running.visit.place.slug)
        finally:
            self._end(running.visit, due_at, seen=running.came)
            running.over = True
            self._wake.set()

    def _end(self, visit: Visit, due_at: datetime, *, seen: bool) -> None:
        try:
            with self._fleet.user_db.begin() as session:
                end_visit(session, visit, due_at, seen=seen)
        except DATABASE_ERRORS as error:
            log.warning("The visit to %s ends when its lease has run out: %s", visit.place.slug, error)

    def _renew(self) -> None:
        if not self._visits:
            return
        with self._fleet.user_db.begin() as session:
            for running in self._visits:
                job, (progress, text) = running.job, running.shown
                renewed = renew_visit(session, running.visit, job.id if job else None, progress, text)
                if renewed is None:
                    running.lost = not running.over
                else:
                    running.cancel_id = renewed.cancel_id
                    running.stopping = running.stopping or not renewed.served

    def _leave_stuck(self) -> None:
        """Let another thread have the place of a job that does not end. Its lease is not renewed any more."""
        late = time.monotonic() - self._patience
        for running in [visit for visit in self._visits if visit.deadline < late]:
            job = running.job
            log.error("The job %s of %s does not end.", job.name if job else None, running.visit.place.slug)
            self._visits.remove(running)
            self._stuck.append(running)
        self._stuck = [visit for visit in self._stuck if not visit.over]

    def _stop(self) -> None:
        for running in self._visits:
            running.stopping = True
        until = time.monotonic() + STOP_WAIT
        while time.monotonic() < until and not all(running.over for running in self._visits):
            self._wake.clear()
            self._wake.wait(0.1)


@contextmanager
def worker_databases(fleet: Fleet) -> Iterator[TenantDatabases]:
    """Yield the tenant databases of a worker, with a connection to each server for each thread that it may have.

    All connections are closed when the block ends.
    """
    most = fleet.settings.jobs_threads + MOST_STUCK + 1
    engines = {
        name: ServerEngines(server, limit=most, workers=1, timeout=CONNECTION_WAIT)
        for name, server in fleet.servers.items()
    }
    databases = TenantDatabases(fleet.servers, engines, changes_kept=timedelta(days=fleet.settings.changes_keep))
    databases.enqueue = Enqueue(fleet, lambda: fleet.declared.jobs)
    databases.on_watched = lambda tenant_id: note_after_commit(fleet.user_db, tenant_id, utcnow())
    try:
        yield databases
    finally:
        databases.dispose()


def job_host(worker: JobWorker) -> Background:
    """Return the thread of a worker of jobs. It waits a while for jobs to stop."""
    return Background("jobs", worker.run, STOP_WAIT + POLL_EVERY)
