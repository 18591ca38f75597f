"""Operations that are finished, and yet have left something to be done."""

from sqlalchemy import ColumnElement, and_, or_

from tenantapp.fleet.operations.kinds import Kinds
from tenantapp.fleet.operations.models import Operation, OperationState


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
