"""Reading nodes: plain rows, one statement however many."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from tenantapp.workspace.errors import NotFound
from tenantapp.workspace.models import Author, Node, Status, Tag, node_tags

# Tag names are single lines, so a line feed parts them.
_TAG_NAMES = (
    select(func.aggregate_strings(Tag.name, "\n"))
    .join(node_tags, node_tags.c.tag_id == Tag.id)
    .where(node_tags.c.node_id == Node.id)
    .correlate(Node)
    .scalar_subquery()
)


# Nodes with their owner's name and their tags. Built once: building takes longer than executing.
NODE_ROWS: Final[Select[*tuple[Any, ...]]] = select(
    Node.id,
    Node.title,
    Node.body,
    Node.status,
    Node.parent_id,
    Node.version,
    Node.created_at,
    Node.updated_at,
    Node.owner_id,
    Author.name.label("owner_name"),
    _TAG_NAMES.label("tag_names"),
).join(Author, Author.id == Node.owner_id)


def node_object(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """A node as the API shows it."""
    return {
        "id": row.id,
        "title": row.title,
        "body": row.body,
        "status": row.status,
        "parent_id": row.parent_id,
        "owner": {"id": row.owner_id, "name": row.owner_name},
        "tags": sorted(row.tag_names.split("\n")) if row.tag_names else [],
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def read_node(session: Session, node_id: UUID) -> dict[str, Any]:
    """One node. Raises ``NotFound``."""
    row = session.execute(NODE_ROWS.where(Node.id == node_id)).one_or_none()
    if row is None:
        raise NotFound("node")
    return node_object(row)


def list_nodes(
    session: Session,
    *,
    after: UUID | None = None,
    limit: int,
    status: Status | None = None,
    owner_id: UUID | None = None,
    tag: str | None = None,
    parent_id: UUID | None = None,
    roots: bool = False,
) -> list[dict[str, Any]]:
    """Nodes in the order they were made; keyset by id. ``roots``: only those without a parent."""
    statement = NODE_ROWS.order_by(Node.id).limit(limit)
    if after is not None:
        statement = statement.where(Node.id > after)
    if status is not None:
        statement = statement.where(Node.status == status)
    if owner_id is not None:
        statement = statement.where(Node.owner_id == owner_id)
    if parent_id is not None:
        statement = statement.where(Node.parent_id == parent_id)
    if roots:
        statement = statement.where(Node.parent_id.is_(None))
    if tag is not None:
        carrying = select(node_tags.c.node_id).join(Tag, Tag.id == node_tags.c.tag_id).where(Tag.name == tag)
        statement = statement.where(Node.id.in_(carrying))
    return [node_object(row) for row in session.execute(statement)]
