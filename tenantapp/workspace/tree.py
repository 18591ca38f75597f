"""Keep the nodes a tree: without cycles, and at most ``MAX_DEPTH`` deep."""

from typing import Final
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from tenantapp.resources.errors import InvalidField
from tenantapp.workspace.models import Node

MAX_DEPTH: Final = 100


def check_parent(session: Session, parent_id: UUID | None, moving: Node | None = None) -> None:
    """Raise ``InvalidField`` if this parent is missing, is below the moving node, or would make the tree too deep.

    The function walks from the parent to the root.
    """
    room = MAX_DEPTH - (1 if moving is None or parent_id is None else _height(session, moving.id))
    while parent_id is not None:
        if moving is not None and parent_id == moving.id:
            raise InvalidField("parent_id", "A node cannot be below itself.")
        above = select(Node.parent_id).where(Node.id == parent_id)
        row = session.execute(above if moving is None else above.with_for_update()).one_or_none()
        if row is None:
            raise InvalidField("parent_id", "There is no such node.")
        if room <= 0:
            raise InvalidField("parent_id", f"The tree is at most {MAX_DEPTH} nodes deep.")
        room -= 1
        parent_id = row.parent_id


def _height(session: Session, node_id: UUID) -> int:
    """Return the number of levels from this node down to the deepest node below it, both included."""
    below = select(Node.id, literal(1).label("depth")).where(Node.id == node_id).cte("below", recursive=True)
    below = below.union_all(select(Node.id, below.c.depth + 1).join(below, Node.parent_id == below.c.id))
    return session.scalar(select(func.max(below.c.depth))) or 1
