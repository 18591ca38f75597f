"""What a kind of operation is made of: steps, and what they are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Session

from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation, OperationState


@dataclass(frozen=True, slots=True)
class Context:
    """What a step is given. ``result`` holds what the steps before it returned."""

    fleet: Fleet
    operation_id: UUID
    tenant_id: UUID | None
    slug: str | None
    arguments: Mapping[str, Any]
    result: dict[str, Any]
    progress: Callable[[float, str], None]
    """``progress(0.5, "half of it")``: say how much of this step is done. Also raises what ``check`` does."""
    check: Callable[[], None]
    """Raises ``LeaseLost``, ``OperationCancelled`` or ``WorkerStopped`` when the step is to go no further."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work, done outside the user database.

    ``run`` may be killed anywhere and is then run again, by somebody else or at the same time as one who was only
    paused: it goes on from what it finds, and never removes what another attempt may have finished. What it returns is
    kept in ``result``; it has to be JSON. ``undo`` removes whatever ``run`` has made, all, some or nothing of it.
    """

    name: str
    run: Callable[[Context], Mapping[str, Any] | None]
    undo: Callable[[Context], None] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of operation. Its functions on a session work in the transaction that records what they belong to.

    ``prepare`` when it is requested, or retried after it was undone; it may finish the operation there and then.
    ``complete`` when all steps are done. ``withdraw`` when all that was done is undone, or when it is cancelled before
    anything was. With ``undoes``, one that fails or is cancelled is undone from its step back to the first; without it,
    it stays where it is, to be retried. ``removes`` names the step from which on there is no way back:
    what one of these has left is still to go.
    """

    name: str
    steps: tuple[Step, ...]
    undoes: bool = False
    removes: str | None = None
    prepare: Callable[[Session, Operation], None] | None = None
    complete: Callable[[Session, Operation], None] | None = None
    withdraw: Callable[[Session, Operation], None] | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(step.name for step in self.steps))

    def position(self, step: str | None) -> int:
        """The index of a step; 0 for None. Raises ``ValueError`` for one that this version does not know."""
        return 0 if step is None else self.names.index(step)


Kinds = Mapping[str, Kind]


def is_half_done(kinds: Kinds) -> ColumnElement[bool]:
    """Whether it was given up half undone, or, where there is no way back, with something left to remove."""
    undoing = [kind.name for kind in kinds.values() if kind.undoes]
    half_undone = and_(Operation.state == OperationState.FAILED, Operation.kind.in_(undoing))
    half_removed = [
        and_(Operation.kind == kind.name, Operation.step.in_(kind.names[kind.position(kind.removes) :]))
        for kind in kinds.values()
        if kind.removes
    ]
    stopped = Operation.state.in_((OperationState.FAILED, OperationState.CANCELLED))
    # Of a step that is null the rest would be neither true nor false.
    return and_(Operation.step.is_not(None), or_(half_undone, *(and_(stopped, begun) for begun in half_removed)))
