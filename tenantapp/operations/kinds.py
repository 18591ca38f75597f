"""What a kind of operation is made of: its steps, and what a step gets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Session

from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation, OperationState
from tenantapp.tenancy.access import TenantPlace


@dataclass(frozen=True, slots=True)
class Context:
    """What a step gets. ``result`` holds what the steps before it returned."""

    fleet: Fleet
    operation_id: UUID
    tenant_id: UUID | None
    slug: str | None
    arguments: Mapping[str, Any]
    result: dict[str, Any]
    progress: Callable[[float, str], None]
    """``progress(0.5, "half of it")`` reports how much of this step is done. Raises what ``check`` raises."""
    check: Callable[[], None]
    """Raises ``LeaseLost``, ``OperationCancelled`` or ``WorkerStopped`` if the step must stop."""

    def place(self) -> TenantPlace:
        """Return where the tenant's database is now. Raises ``OperationRefused`` if there is no such tenant."""
        with self.fleet.user_db.begin(read_only=True) as session:
            tenant = None if self.tenant_id is None else session.get(Tenant, self.tenant_id)
            if tenant is None:
                raise OperationRefused(f"The tenant {self.slug} does not exist any more.")
            return place_of(tenant)


@dataclass(frozen=True, slots=True)
class Step:
    """A part of an operation, done outside the user database.

    A worker may die at any point of ``run``. Another worker then calls ``run`` again, perhaps while the first one was
    only paused. So ``run`` continues from the state it finds, and never removes what another attempt may have finished.
    ``run`` returns None or JSON, which is added to ``result``. ``undo`` removes all that ``run`` has made, even if
    ``run`` made only a part of it, or nothing.
    """

    name: str
    run: Callable[[Context], Mapping[str, Any] | None]
    undo: Callable[[Context], None] | None = None
    needed: Callable[[Context], bool] | None = None
    """Returns whether there is anything to do. If not, the step is not begun, which saves a transaction."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of operation: its name, its steps, and what it changes in the user database.

    The functions that take a session run in the transaction that records the event. ``prepare`` runs when the operation
    is requested, or retried after it was undone. It may finish the operation at once. ``complete`` runs when all steps
    are done. ``withdraw`` runs when all steps are undone, or when a queued operation is cancelled.

    With ``undoes``, an operation that fails or is cancelled is undone, from its present step back to the first. Without
    it, the operation stays at its step and can be retried. ``removes`` names the first step that cannot be undone. An
    operation that stopped at this step or later still has something to remove. With ``keeps``, an operation removes
    only what a proved copy was kept of, unless its argument ``copy`` is false. With ``repeats``, an operation that
    fails is queued again, and waits longer each time, until it succeeds or somebody cancels it. ``formerly`` maps the
    names that earlier versions gave to steps to their present names.
    """

    name: str
    steps: tuple[Step, ...]
    undoes: bool = False
    removes: str | None = None
    keeps: bool = False
    repeats: bool = False
    prepare: Callable[[Session, Operation], None] | None = None
    complete: Callable[[Session, Operation], None] | None = None
    withdraw: Callable[[Session, Operation], None] | None = None
    formerly: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(step.name for step in self.steps))

    def position(self, step: str | None) -> int:
        """Return the index of a step, 0 for None. Raises ``ValueError`` if this version does not know the step."""
        return 0 if step is None else self.names.index(self.formerly.get(step, step))


Kinds = Mapping[str, Kind]


def is_half_done(kinds: Kinds) -> ColumnElement[bool]:
    """Return the SQL condition that selects operations which stopped half done.

    Either the undoing was given up, or the operation stopped at a step from which there is no way back.
    """
    undoing = [kind.name for kind in kinds.values() if kind.undoes]
    half_undone = and_(Operation.state == OperationState.FAILED, Operation.kind.in_(undoing))
    half_removed = [
        and_(Operation.kind == kind.name, Operation.step.in_(kind.names[kind.position(kind.removes) :]))
        for kind in kinds.values()
        if kind.removes
    ]
    stopped = Operation.state.in_((OperationState.FAILED, OperationState.CANCELLED))
    # With a step that is NULL, the rest would be NULL too, neither true nor false.
    return and_(Operation.step.is_not(None), or_(half_undone, *(and_(stopped, begun) for begun in half_removed)))
