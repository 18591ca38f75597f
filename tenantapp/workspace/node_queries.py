"""Read nodes: one statement for any number of nodes. The database writes their JSON."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Integer, Select, Text, Uuid, bindparam, cast, func, literal_column, select
from sqlalchemy.orm import Session

from tenantapp.sql.json_columns import json_array, json_object
from tenantapp.sql.prepared import LoneSelect, PreparedSelect
from tenantapp.workspace.errors import NotFound
from tenantapp.workspace.models import Author, Node, Status, Tag, node_tags


class ShownNode(NamedTuple):
    """A node as the API shows it. ``key`` is its id as text, ``text`` its JSON, which goes into an answer unchanged."""

    key: str
    version: int
    text: str

    @property
    def id(self) -> UUID:
        """Return the node's id."""
        return UUID(self.key)

    @property
    def json(self) -> orjson.Fragment:
        """Return the node as JSON."""
        return orjson.Fragment(self.text)


def shown(nodes: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return the SELECT of the columns of ``ShownNode``, by id, for the nodes of another SELECT.

    One subquery gathers the tags of all nodes. Tags read node by node would cost as much as the rest.
    """
    page = nodes.cte("page")
    words = (
        select(node_tags.c.node_id, Tag.name)
        .join_from(page, node_tags, node_tags.c.node_id == page.c.id)
        .join(Tag, Tag.id == node_tags.c.tag_id)
        .order_by(Tag.name)
        .subquery("words")
    )
    names = select(words.c.node_id, json_array(words.c.name).label("names")).group_by(words.c.node_id).subquery("names")
    # A literal, because a prepared statement has a fixed list of parameters.
    no_names: Any = literal_column("'[]'")
    node = json_object(
        id=page.c.id,
        title=page.c.title,
        body=page.c.body,
        status=page.c.status,
        parent_id=page.c.parent_id,
        owner=json_object(id=page.c.owner_id, name=Author.name),
        tags=func.coalesce(names.c.names, no_names),
        version=page.c.version,
        created_at=page.c.created_at,
        updated_at=page.c.updated_at,
    )
    return (
        select(cast(page.c.id, Text).label("key"), page.c.version, cast(node, Text).label("text"))
        .join_from(page, Author, Author.id == page.c.owner_id)
        .outerjoin(names, names.c.node_id == page.c.id)
        .order_by(page.c.id)
    )


USUAL_PAGE: Final = 50  # nodes; most requests for a list ask for this many
_NODES: Final[Select[*tuple[Any, ...]]] = select(*Node.__table__.columns)
_CONDITIONS: Final[dict[str, ColumnElement[bool]]] = {
    "after": Node.id > bindparam("after", type_=Uuid()),
    "status": Node.status == bindparam("status"),
    "owner_id": Node.owner_id == bindparam("owner_id"),
    "parent_id": Node.parent_id == bindparam("parent_id"),
    "root": Node.parent_id.is_(None),
    "tag": Node.id.in_(
        select(node_tags.c.node_id).join(Tag, Tag.id == node_tags.c.tag_id).where(Tag.name == bindparam("tag"))
    ),
}
_ONE: Final = PreparedSelect(
    "workspace_node", shown(_NODES.where(Node.id == bindparam("node_id", type_=Uuid()))), {"node_id": "uuid"}, ShownNode
)


def read_node(session: Session, node_id: UUID) -> ShownNode:
    """Return one node. Raises ``NotFound``."""
    rows = _ONE.rows(session, {"node_id": node_id})
    if not rows:
        raise NotFound("node")
    return rows[0]


def find_nodes(
    session: Session,
    *,
    limit: int = USUAL_PAGE,
    after: UUID | None = None,
    status: Status | None = None,
    owner_id: UUID | None = None,
    parent_id: UUID | Literal["root"] | None = None,
    tag: str | None = None,
) -> Sequence[ShownNode]:
    """Return the nodes that meet all conditions, in the order in which they were made.

    ``parent_id="root"`` selects nodes without a parent. ``after`` is the id of the last node of the page before.
    """
    wanted: dict[str, Any] = {"after": after, "status": status, "owner_id": owner_id, "tag": tag}
    wanted["root" if parent_id == "root" else "parent_id"] = parent_id
    values = {name: value for name, value in wanted.items() if value is not None}
    conditions = frozenset(values)
    if limit - USUAL_PAGE in (0, 1) and conditions <= {"after"}:
        return usual_page(conditions, limit).rows(session, values)
    return _narrowed(conditions).rows(session, values | {"limit": limit})


@cache
def usual_page(conditions: frozenset[str], limit: int) -> PreparedSelect[ShownNode]:
    """Return the statement of a frequent page. It is prepared, so PostgreSQL plans it once per connection.

    The limit is a literal. For a parameter, PostgreSQL would plan for a tenth of the table.
    """
    name = "_".join(["workspace_page", *sorted(conditions), str(limit)])
    nodes = _ordered(conditions).limit(literal_column(str(limit)))
    return PreparedSelect(name, shown(nodes), dict.fromkeys(conditions, "uuid"), ShownNode)


@cache
def _narrowed(conditions: frozenset[str]) -> LoneSelect[ShownNode]:
    """Return the statement for these conditions. It is cached: building it takes longer than executing it."""
    return LoneSelect(shown(_ordered(conditions).limit(bindparam("limit", type_=Integer()))), ShownNode)


def _ordered(conditions: frozenset[str]) -> Select[*tuple[Any, ...]]:
    return _NODES.where(*(_CONDITIONS[name] for name in sorted(conditions))).order_by(Node.id)
