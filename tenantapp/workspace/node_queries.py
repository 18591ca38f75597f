"""Reading nodes: plain rows, one statement however many."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Integer, Select, String, Uuid, bindparam, func, literal_column, select
from sqlalchemy.orm import Session

from tenantapp.tenancy.prepared import PreparedSelect
from tenantapp.workspace.errors import NotFound
from tenantapp.workspace.models import Author, Node, Status, Tag, node_tags

# Tag names are single lines, so a line feed parts them. A literal: parameters of a prepared statement are counted.
_LINE_FEED: Any = literal_column("'\n'", String)
_TAG_NAMES = (
    select(func.aggregate_strings(Tag.name, _LINE_FEED))
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


def node_object(row: Any) -> dict[str, Any]:
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


_ONE: Final = PreparedSelect(
    "workspace_node", NODE_ROWS.where(Node.id == bindparam("node_id", type_=Uuid())), {"node_id": "uuid"}
)
_LIMITED: Final = NODE_ROWS.order_by(Node.id).limit(bindparam("limit", type_=Integer()))
_FIRST_PAGE: Final = PreparedSelect("workspace_first_page", _LIMITED, {"limit": "int"})
_NEXT_PAGE: Final = PreparedSelect(
    "workspace_next_page",
    _LIMITED.where(Node.id > bindparam("after", type_=Uuid())),
    {"limit": "int", "after": "uuid"},
)


def read_node(session: Session, node_id: UUID) -> dict[str, Any]:
    """One node. Raises ``NotFound``."""
    rows = _ONE.rows(session, {"node_id": node_id})
    if not rows:
        raise NotFound("node")
    return node_object(rows[0])


def list_page(session: Session, *, after: UUID | None = None, limit: int) -> list[dict[str, Any]]:
    """Nodes in the order they were made; keyset by id."""
    page = _FIRST_PAGE if after is None else _NEXT_PAGE
    return [node_object(row) for row in page.rows(session, {"after": after, "limit": limit})]


def find_nodes(
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
    """Those of the nodes that fit, likewise. ``roots``: only those without a parent."""
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
