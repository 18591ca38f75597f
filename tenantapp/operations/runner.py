"""Work on one claimed operation in this process, step by step."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Final

from sqlalchemy.orm import Session

from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import LeaseLost, OperationCancelled, OperationStopped, WorkerStopped
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Kinds, Step
from tenantapp.operations.leases import (
    LEASE,
    RENEW_EVERY,
    Claim,
    finish,
    give_back,
    hold,
    lease_kept,
    look,
    release,
)
from tenantapp.operations.models import PROGRESS_LENGTH, Operation, OperationState
from tenantapp.operations.outcomes import Outcome, Report, is_expected, no_report, sentence
from tenantapp.tenancy.errors import UserDatabaseUnavailable
from tenantapp.trace_context import Work, traced_work

log = logging.getLogger(__name__)
FIRST_PAUSE: Final = timedelta(seconds=15)  # after the first failure of an operation whose kind repeats
LONGEST_PAUSE: Final = timedelta(hours=1)
FAILURES: Final = "failures"  # how often it has failed, in the result of such an operation


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a step's progress is written and the lease is renewed, in seconds."""

    report_every: float = 0.5
    renew_every: float = RENEW_EVERY


USUAL_PACE: Final = Pace()


def run_operation(
    fleet: Fleet,
    kinds: Kinds,
    claim: Claim,
    *,
    report: Report = no_report,
    stop: Event | None = None,
    pace: Pace = USUAL_PACE,
) -> Outcome:
    """Work on a claimed operation until it is finished.

    ``report`` is called with the progress of the whole operation, from 0 to 1, and what is being done. If a step fails,
    the error is in the returned ``Outcome``. Raises ``LeaseLost`` if another worker has taken over, ``WorkerStopped``
    if ``stop`` was set before the operation was finished, and ``UserDatabaseUnavailable``. ``stop`` does not stop the
    undoing.
    """
    with lease_kept(fleet.user_db, claim, pace.renew_every) as lost:
        run = _Run(fleet, kinds, claim, report, lost, stop or Event(), pace.report_every)
        with traced_work(fleet.tracer, run.work) as failed:
            outcome = run.undo() if run.state == OperationState.UNDOING else run.forward()
            if outcome.error is not None:
                failed(outcome.error)
            return outcome


def abandon(fleet: Fleet, kinds: Kinds, claim: Claim) -> None:
    """Cancel our operation after an interrupt: undo it, or leave it to be retried if its kind does not undo.

    Does nothing if the claim is lost. Raises ``UserDatabaseUnavailable``.
    """
    try:
        with fleet.user_db.begin() as session:
            operation = hold(session, claim)
            operation.cancel_requested = True
            if not kinds[operation.kind].undoes:
                finish(session, operation, OperationState.CANCELLED, "Interrupted.")
                return
            operation.state = OperationState.UNDOING
        run_operation(fleet, kinds, claim)
    except LeaseLost:
        return


class _Run:
    """One worker's work on one operation."""

    def __init__(
        self,
        fleet: Fleet,
        kinds: Kinds,
        claim: Claim,
        report: Report,
        lost: Event,
        stop: Event,
        report_every: float,
    ) -> None:
        self._fleet, self._claim, self._report, self._lost, self._stop = fleet, claim, report, lost, stop
        self._report_every = report_every
        self._reported = 0.0
        # Reading is enough: the claim has recorded the step already.
        with fleet.user_db.begin(read_only=True) as session:
            operation = look(session, claim)
            self._kind: Kind = kinds[operation.kind]
            self.work = Work("operations", operation.kind, operation.id, operation.tenant_id, operation.traceparent)
            self.state = operation.state
            self._position = self._kind.position(operation.step)
            self._context = self._context_of(operation)
            self._refusal = self._why_not(operation)

    @checkpoint("operation.run")
    def forward(self) -> Outcome:
        """Do the steps that are left. If one fails, undo all steps, if the kind undoes."""
        try:
            if self._refusal is not None:
                raise self._refusal
            for number, step in enumerate(self._kind.steps[self._position :]):
                if step.needed is None or step.needed(self._context):
                    if number:
                        self._begin(step)
                    self._context.result.update(step.run(self._context) or {})
                self._position += 1
            return self._complete()
        except OperationCancelled as cancelled:
            return self._give_up(OperationState.CANCELLED, cancelled)
        except WorkerStopped:
            with self._fleet.user_db.begin() as session:
                give_back(session, self._claim)
            raise
        except (LeaseLost, UserDatabaseUnavailable):
            # Nothing can be recorded. Another worker resumes when the lease has run out.
            raise
        except Exception as error:
            return self._give_up(OperationState.FAILED, error)

    def undo(self, error: Exception | None = None) -> Outcome:
        """Undo the steps from the present one back to the first."""
        try:
            for step in reversed(self._kind.steps[: self._position + 1]):
                self._tell(step, 0, f"undoing {step.name}")
                if step.undo is not None:
                    step.undo(self._context)
                self._position -= 1
        except OperationStopped:
            raise
        except Exception as failure:
            return self._leave_undoing(failure, error)
        with self._fleet.user_db.begin() as session:
            operation = hold(session, self._claim)
            if self._kind.withdraw is not None:
                self._kind.withdraw(session, operation)
            state = OperationState.CANCELLED if operation.cancel_requested else OperationState.FAILED
            operation.step, operation.progress = None, 0.0
            finish(session, operation, state, operation.error)
        return Outcome(state, error)

    @checkpoint("operation.begin_step")
    def _begin(self, step: Step) -> None:
        with self._fleet.user_db.begin() as session:
            operation = hold(session, self._claim)
            self._refuse_to_go_on(operation)
            # One transaction records the result of the step before and the start of this one.
            operation.result = dict(self._context.result)
            self._show(operation, step, 0, step.name)

    @checkpoint("operation.complete")
    def _complete(self) -> Outcome:
        with self._fleet.user_db.begin() as session:
            operation = hold(session, self._claim)
            self._refuse_to_go_on(operation)
            operation.result = dict(self._context.result)
            if self._kind.complete is not None:
                self._kind.complete(session, operation)
            operation.progress, operation.progress_text = 1.0, None
            finish(session, operation, OperationState.SUCCEEDED)
        self._report(1.0, "done")
        return Outcome(OperationState.SUCCEEDED)

    def _give_up(self, state: OperationState, error: Exception) -> Outcome:
        if not is_expected(error):
            log.error("Operation %s (%s) failed.", self._claim.operation_id, self._kind.name, exc_info=error)
        with self._fleet.user_db.begin() as session:
            operation = hold(session, self._claim)
            operation.error = sentence(error)
            if self._kind.repeats and state == OperationState.FAILED:
                _have_repeated(session, operation)
                return Outcome(operation.state, error)
            if not self._kind.undoes:
                finish(session, operation, state, operation.error)
                return Outcome(state, error)
            operation.state = OperationState.UNDOING
        return self.undo(error)

    def _leave_undoing(self, failure: Exception, error: Exception | None) -> Outcome:
        """Leave the rest of the undoing to a later attempt, by any worker."""
        log.error("Operation %s could not be undone.", self._claim.operation_id, exc_info=failure)
        with self._fleet.user_db.begin() as session:
            operation = hold(session, self._claim)
            operation.error = (
                f"{(operation.error or 'Cancelled').rstrip('.')}. It could not be undone yet: {sentence(failure)}"
            )
            release(session, operation, wait=LEASE)
        return Outcome(OperationState.UNDOING, error or failure)

    def _tell(self, step: Step, fraction: float, text: str) -> None:
        self._reported = time.monotonic()
        with self._fleet.user_db.begin() as session:
            operation = hold(session, self._claim)
            self._refuse_to_go_on(operation)
            self._show(operation, step, fraction, text)

    def _show(self, operation: Operation, step: Step, fraction: float, text: str) -> None:
        operation.step = step.name
        operation.progress = (self._kind.position(step.name) + fraction) / len(self._kind.steps)
        operation.progress_text = text[:PROGRESS_LENGTH]
        self._report(operation.progress, text)

    def _context_of(self, operation: Operation) -> Context:
        return Context(
            fleet=self._fleet,
            operation_id=operation.id,
            tenant_id=operation.tenant_id,
            slug=operation.slug,
            arguments=operation.arguments,
            result=dict(operation.result),
            progress=self._progress,
            check=self._check,
        )

    @checkpoint("operation.progress")
    def _progress(self, fraction: float, text: str) -> None:
        if self._lost.is_set():
            raise LeaseLost
        if time.monotonic() - self._reported >= self._report_every:
            self._tell(self._kind.steps[self._position], fraction, text)

    def _check(self) -> None:
        if self._lost.is_set():
            raise LeaseLost
        with self._fleet.user_db.begin() as session:
            self._refuse_to_go_on(hold(session, self._claim))

    def _refuse_to_go_on(self, operation: Operation) -> None:
        refusal = self._why_not(operation)
        if refusal is not None:
            raise refusal

    def _why_not(self, operation: Operation) -> OperationStopped | None:
        if operation.state != OperationState.RUNNING:
            return None
        if operation.cancel_requested:
            return OperationCancelled()
        return WorkerStopped() if self._stop.is_set() else None


def _have_repeated(session: Session, operation: Operation) -> None:
    """Queue an operation that failed again, after a pause that is twice as long each time, an hour at most."""
    failures = int(operation.result.get(FAILURES, 0)) + 1
    operation.result = {**operation.result, FAILURES: failures}
    operation.state, operation.attempts = OperationState.QUEUED, 0
    release(session, operation, wait=min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE))
