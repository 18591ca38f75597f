"""A worker works on one operation after the other, in its own process or in threads of the serving process."""

import atexit
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import Final
from uuid import UUID

from tenantapp.operations.background import DATABASE_ERRORS, Background
from tenantapp.operations.errors import FleetError, OperationStopped, TenantBusy
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.leases import Claim, claim_next, give_back, is_work_waiting
from tenantapp.operations.models import OperationState
from tenantapp.operations.outcomes import Outcome
from tenantapp.operations.runner import USUAL_PACE, Pace, run_operation
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
POLL_EVERY: Final = 1.0  # seconds
POLL_WHEN_DOWN: Final = 10.0  # seconds, while the user database does not answer
CHORES_EVERY: Final = 5.0  # seconds
Chore = Callable[[Fleet], None]
Told = Callable[[UUID, Outcome], None]


@dataclass
class Worker:
    """Works on one operation at a time.

    ``chores`` are called every few seconds, between operations, and request work that is due. ``told`` is called after
    each operation with its id and outcome.
    """

    fleet: Fleet
    kinds: Kinds
    chores: Sequence[Chore] = ()
    told: Told | None = None
    pace: Pace = USUAL_PACE
    _chores_done: float = -CHORES_EVERY

    def run(self, stop: Event, *, until_idle: bool = False) -> None:
        """Work until ``stop`` is set or, with ``until_idle``, until no operation is waiting.

        If the user database does not answer, the worker tries again later; with ``until_idle`` it raises the error. On
        ``SystemExit`` or ``KeyboardInterrupt`` it releases its operation, so that another worker can resume at once.
        """
        while not stop.is_set():
            try:
                worked = self.work(stop)
                if not worked or time.monotonic() - self._chores_done >= CHORES_EVERY:
                    self._do_chores()
                    worked = worked or (until_idle and self.is_work_waiting())
            except DATABASE_ERRORS as error:
                # No tables yet, or the database is down; either may change.
                log.warning("No operations can be read: %s", error)
                if until_idle:
                    raise
                stop.wait(POLL_WHEN_DOWN)
                continue
            if not worked:
                if until_idle:
                    return
                stop.wait(POLL_EVERY)

    def work(self, stop: Event) -> bool:
        """Work on one operation, if one is waiting. Return whether to look for another one at once."""
        try:
            claim = self._claim()
        except TenantBusy:
            return True
        if claim is None:
            return False
        try:
            outcome = run_operation(self.fleet, self.kinds, claim, stop=stop, pace=self.pace)
        except OperationStopped as stopped:
            log.info("Operation %s: %s", claim.operation_id, stopped)
        except (KeyboardInterrupt, SystemExit):
            self._release(claim)
            raise
        except (SqlError, TenancyError):
            raise
        except Exception:
            log.exception("Operation %s can be resumed when its lease runs out.", claim.operation_id)
        else:
            self._tell(claim, outcome)
        return True

    def is_work_waiting(self) -> bool:
        """Return whether an operation is waiting to be claimed."""
        with self.fleet.user_db.begin(read_only=True) as session:
            return is_work_waiting(session, self.kinds)

    def _do_chores(self) -> None:
        if time.monotonic() - self._chores_done < CHORES_EVERY:
            return
        self._chores_done = time.monotonic()
        for chore in self.chores:
            try:
                chore(self.fleet)
            except FleetError as error:
                log.warning("%s", error)
            except DATABASE_ERRORS:
                raise
            except Exception:
                log.exception("A chore of workers failed. It is tried again, and the others are done.")

    def _claim(self) -> Claim | None:
        # Look first without the write lock, of which SQLite has only one.
        if not self.is_work_waiting():
            return None
        with self.fleet.user_db.begin() as session:
            return claim_next(session, self.kinds)

    def _release(self, claim: Claim) -> None:
        try:
            with self.fleet.user_db.begin() as session:
                give_back(session, claim)
        except (OperationStopped, SqlError, TenancyError):
            log.info("Operation %s can be resumed when its lease runs out.", claim.operation_id)

    def _tell(self, claim: Claim, outcome: Outcome) -> None:
        if outcome.state == OperationState.FAILED:
            log.warning("Operation %s failed: %s", claim.operation_id, outcome.error)
        else:
            log.info("Operation %s: %s", claim.operation_id, outcome.state)
        if self.told is not None:
            self.told(claim.operation_id, outcome)


class WorkerHost:
    """Threads of this process that work on operations while the application serves, and others beside them.

    They stop when the process ends. If a step has not stopped by then, its lease runs out, and another worker resumes
    the operation.
    """

    def __init__(self, fleet: Fleet, kinds: Kinds, chores: Sequence[Chore], jobs: int) -> None:
        self._number = jobs
        self._threads = [
            Background(f"worker {number}", Worker(fleet, kinds, chores).run) for number in range(1, jobs + 1)
        ]
        self._lock = Lock()
        self.started = jobs == 0

    def add(self, beside: Background) -> None:
        """Let a thread begin and end with the others."""
        self._threads.append(beside)

    def start(self) -> None:
        """Start the threads. Do nothing if they were started already, or if there are to be none."""
        with self._lock:
            if self.started:
                return
            self.started = True
        for thread in self._threads:
            thread.start()
        atexit.register(self.stop)
        log.info("This process works on operations, %d at once.", self._number)

    def stop(self) -> None:
        """Ask all threads to end, and wait a few seconds for each."""
        for thread in self._threads:
            thread.ask_to_stop()
        for thread in self._threads:
            thread.stop()
        atexit.unregister(self.stop)
