"""A run of migrations: first the waves, then the rest, several at once, each tenant by itself."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.closing.fence import lower_fence
from tenantapp.fleet.migrating import ledger
from tenantapp.fleet.migrating.ledger import KIND, leases_kept
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState, retry_delay
from tenantapp.fleet.migrating.plan import MigrationPlan
from tenantapp.fleet.migrating.processes import DIED, Crew
from tenantapp.fleet.migrating.rehearsals import Rehearsal, RehearsalState, Rehearse
from tenantapp.fleet.migrating.run_record import RunRecord, Stage, StoppedBy
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.leases import new_owner
from tenantapp.operations.queue import local_requester

CLAIMED_AT_ONCE: Final = 20  # tenants for each job
AHEAD: Final = 4  # orders for each process
RECORD_AT_ONCE: Final = 40  # results; always as many, so that the statement is compiled once
RECORD_EVERY: Final = 2.0  # seconds after which fewer are recorded too
ASK_EVERY: Final = 1.0  # seconds between two checks whether another operation has let a tenant go
GONE: Final = "The tenant does not exist any more."
BUSY: Final = "Another operation, {}, is at work on the tenant."
Told = Callable[[MigrationResult], None]


class MigrationRun:
    """Carries out a plan, with ``jobs`` tenants at once.

    ``waves``: migrate this many tenants first, then this many, and so on. The next wave, or the rest, is begun only if
    no tenant has failed. ``stop_after``: begin no more after this many failures. ``told`` is called with each result,
    in the order in which tenants end. ``rehearse`` is called before anything else, and if a rehearsal does not pass, no
    tenant is migrated; with ``only_rehearse`` none is in any case.
    """

    def __init__(
        self,
        fleet: Fleet,
        history: TenantHistory,
        plan: MigrationPlan,
        told: Told,
        *,
        jobs: int = 1,
        waves: Sequence[int] = (),
        stop_after: int | None = None,
        rehearse: Rehearse | None = None,
        only_rehearse: bool = False,
    ) -> None:
        self.plan = plan
        self.rehearsals: list[Rehearsal] = []
        """The results of the rehearsals so far."""
        self._rehearse, self._only_rehearse = rehearse, only_rehearse
        self.results: list[MigrationResult] = []
        """The results so far."""
        self._fleet, self._history, self._told = fleet, history, told
        self._jobs, self._waves, self._stop_after = jobs, waves, stop_after
        self._owner, self._requester = new_owner(), local_requester()
        self._waiting: deque[MigrationOrder] = deque()
        self._claimed: deque[MigrationOrder] = deque()
        self._delayed: list[tuple[float, MigrationOrder, bool]] = []
        self._tries: dict[MigrationOrder, int] = {}
        self._busy_since: dict[MigrationOrder, float] = {}
        self._unrecorded: list[MigrationResult] = []
        self._recorded_at = time.monotonic()
        self._is_ending = self._is_wave = False
        self._stage = Stage("rest", 0)
        self._record_of_run = RunRecord(fleet.user_db, plan.wanted, self._requester, self._owner, jobs)

    @property
    def failed(self) -> list[MigrationResult]:
        """Return the results of the tenants that could not be migrated."""
        return [result for result in self.results if result.state == MigrationState.FAILED]

    @property
    def badly_rehearsed(self) -> list[Rehearsal]:
        """Return the rehearsals that did not pass."""
        return [each for each in self.rehearsals if each.state != RehearsalState.PASSED]

    @property
    def left(self) -> list[MigrationOrder]:
        """Return the orders of the plan that were not carried out."""
        told = {result.order.tenant_id for result in self.results}
        return [order for order in self.plan.orders if order.tenant_id not in told]

    def carry_out(self) -> None:
        """Migrate the tenants. Raises ``UserDatabaseUnavailable``, after the tenants under way are finished.

        On an interrupt, too, the tenants under way are finished before it is raised again.
        """
        for result in [*self.plan.done, *self.plan.refused]:
            self._tell(result)
        if self.plan.orders and not self._must_stop():
            stages = [] if self._only_rehearse else stages_of(len(self.plan.orders), self._waves)
            with self._recorded(stages):
                if self._rehearse is not None:
                    self._rehearse(self._rehearsed)
                if stages and not self.badly_rehearsed:
                    self._migrate(stages)

    def _rehearsed(self, rehearsal: Rehearsal) -> None:
        self.rehearsals.append(rehearsal)
        self._record_of_run.rehearsed(rehearsal)

    def _migrate(self, stages: Sequence[Stage]) -> None:
        jobs = min(self._jobs, len(self.plan.orders))
        self._fleet.user_db.dispose()  # a forked process must not share a connection
        self._crew = Crew(self._fleet.settings, self._history, self._owner, jobs)
        with leases_kept(self._fleet.user_db, self._owner, lambda: self._crew.at_work), self._ended_in_order():
            self._in_stages(stages)

    def _in_stages(self, stages: Sequence[Stage]) -> None:
        orders = deque(self.plan.orders)
        for stage in stages:
            self._stage, self._is_wave = stage, stage is not stages[-1]
            self._work([orders.popleft() for _ in range(stage.tenants)])
            if self._is_wave and self.failed:
                break

    @contextmanager
    def _recorded(self, stages: Sequence[Stage]) -> Iterator[None]:
        self._record_of_run.begin(stages)
        try:
            yield
        except Exception:
            self._record_of_run.end(StoppedBy.ERROR)
            raise
        except BaseException:
            self._record_of_run.end(StoppedBy.INTERRUPT)
            raise
        self._record_of_run.end(self._stopped_by())

    def _stopped_by(self) -> StoppedBy | None:
        if self.badly_rehearsed:
            return StoppedBy.REHEARSAL
        if self._only_rehearse or not self.left:
            return None
        return StoppedBy.FAILURES if self._must_stop() else StoppedBy.FAILED_STAGE

    def _work(self, orders: Iterable[MigrationOrder]) -> None:
        self._waiting.extend(orders)
        while True:
            if not self._must_stop():
                self._take_delayed()
                self._claim()
                for _ in range(min(len(self._claimed), self._crew.room(ahead=self._ahead()))):
                    self._crew.give(self._claimed.popleft())
            if not self._crew.at_work and (self._must_stop() or not self._is_more()):
                break
            for result in self._crew.results(ASK_EVERY if self._crew.at_work else ASK_EVERY / 10):
                self._note(result)
            self._record()
        self._record(all_of_them=True)

    def _ahead(self) -> int:
        """Return how many orders a process may have in advance, so that it need not wait for us.

        None near the end, where an order could wait behind a slow tenant while other processes are idle. None where a
        failure must keep the next orders from beginning.
        """
        many = len(self._waiting) + len(self._claimed) > (1 + AHEAD) * self._jobs
        return AHEAD if many and self._stop_after is None and not self._is_wave else 0

    def _is_more(self) -> bool:
        return bool(self._waiting or self._claimed or self._delayed)

    def _must_stop(self) -> bool:
        return self._stop_after is not None and len(self.failed) >= self._stop_after

    def _claim(self) -> None:
        if not self._waiting or len(self._claimed) > self._jobs * AHEAD:
            return
        orders = [self._waiting.popleft() for _ in range(min(len(self._waiting), CLAIMED_AT_ONCE * self._jobs))]
        with self._fleet.user_db.begin() as session:
            claimed = ledger.claim(session, self._owner, orders, self._requester)
        self._claimed.extend(claimed.orders)
        for order in claimed.done:
            self._tell(MigrationResult(order, MigrationState.ALREADY_THERE))
        for order in claimed.gone:
            self._tell(MigrationResult(order, MigrationState.FAILED, GONE))
        for order, kind in claimed.busy.items():
            self._wait_for_others(order, kind)

    def _wait_for_others(self, order: MigrationOrder, kind: str) -> None:
        now = time.monotonic()
        since = self._busy_since.setdefault(order, now)
        if kind != KIND and now - since > self._fleet.settings.migrations_wait:
            self._tell(MigrationResult(order, MigrationState.FAILED, BUSY.format(kind)))
        else:
            self._delayed.append((now + ASK_EVERY, order, False))

    def _take_delayed(self) -> None:
        now = time.monotonic()
        due = [entry for entry in self._delayed if entry[0] <= now]
        self._delayed = [entry for entry in self._delayed if entry[0] > now]
        for _, order, is_claimed in due:
            (self._claimed if is_claimed else self._waiting).append(order)

    def _note(self, result: MigrationResult) -> None:
        order = result.order
        if result.state == MigrationState.LEFT:
            # Not begun: its process was told to stop, or died while it migrated another tenant.
            self._claimed.append(order)
            return
        tries = self._tries[order] = self._tries.get(order, 0) + 1
        if result.state == MigrationState.BUSY:
            if tries < self._fleet.settings.migrations_lock_attempts and not self._is_ending:
                # Other tenants are migrated meanwhile, and this tenant's people are served: its fence is down.
                self._delayed.append((time.monotonic() + retry_delay(tries), order, True))
                return
            result = replace(result, state=MigrationState.FAILED)
        elif result.error == DIED:
            if tries == 1 and not self._is_ending:
                self._claimed.append(order)
                return
            if not order.snapshot:
                with self._fleet.user_db.begin() as session:
                    lower_fence(session.connection(), order.tenant_id)
        self._unrecorded.append(result)
        self._tell(result)

    def _tell(self, result: MigrationResult) -> None:
        self.results.append(result)
        if result.state == MigrationState.FAILED:
            self._stage.failed += 1
        else:
            self._stage.done += 1
        self._told(result)

    def _record(self, *, all_of_them: bool = False) -> None:
        is_time = all_of_them or time.monotonic() - self._recorded_at > RECORD_EVERY
        while self._unrecorded and (is_time or len(self._unrecorded) >= RECORD_AT_ONCE):
            with self._fleet.user_db.begin() as session:
                ledger.finish(session, self._owner, self._unrecorded[:RECORD_AT_ONCE])
            del self._unrecorded[:RECORD_AT_ONCE]
            self._recorded_at = time.monotonic()
        self._record_of_run.write()

    @contextmanager
    def _ended_in_order(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._is_ending = True
            self._crew.stop()
            try:
                while self._crew.at_work:
                    for result in self._crew.results(ASK_EVERY):
                        self._note(result)
                    self._record_of_run.write()
            finally:
                # Also after a second interrupt: the processes wait for orders, and we would wait for the processes.
                self._crew.end()
            self._record(all_of_them=True)
            with self._fleet.user_db.begin() as session:
                ledger.give_back(session, self._owner)


def stages_of(tenants: int, waves: Sequence[int]) -> list[Stage]:
    """Return the stages of a run over this many tenants: the waves as far as there are tenants, and the rest."""
    stages = []
    for number, wave in enumerate(waves, 1):
        if 0 < wave < tenants:
            stages.append(Stage(f"wave {number}", wave))
            tenants -= wave
    return [*stages, Stage("rest", tenants)]
