"""Operations that are finished, and yet have left something to be done."""

from sqlalchemy import ColumnElement, and_, or_

from tenantapp.fleet.operations.kinds import Kinds
from tenantapp.fleet.operations.models import Operation, OperationState


def is_half_done(kinds: Kinds) -> ColumnElement[bool]:
    """Whether it was given up half undone, or, where there is no way back, with something left to remove.

    One that was only stopped counts from the step on that removes.
    """
    of_these = [kind.name for kind in kinds.values() if kind.undoes or kind.removes]
    begun = [
        and_(Operation.kind == kind.name, Operation.step.in_(kind.names[kind.position(kind.removes) :]))
        for kind in kinds.values()
        if kind.removes
    ]
    failed = and_(Operation.state == OperationState.FAILED, Operation.step.is_not(None), Operation.kind.in_(of_these))
    return or_(failed, and_(Operation.state == OperationState.CANCELLED, or_(*begun))) if begun else failed
