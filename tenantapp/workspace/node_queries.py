"""What rows show beside their columns: the names of their owners, and nodes their tags."""

from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, select

from tenantapp.resources import More
from tenantapp.sql.json_columns import json_array, json_object
from tenantapp.workspace.models import Author, Node, Tag, node_tags


def with_owner(page: Any) -> More:
    """Return the member ``owner`` for a page of rows that have an ``owner_id``."""

    def joined(rows: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        return rows.join(Author, Author.id == page.c.owner_id)

    return More({"owner": json_object(id=page.c.owner_id, name=Author.name)}, joined)


def owner_and_tags(page: Any) -> More:
    """Return the members ``owner`` and ``tags`` for a page of nodes.

    One subquery gathers the tags of all nodes. Tags read node by node would cost as much as the rest.
    """
    words = (
        select(node_tags.c.node_id, Tag.name)
        .join_from(page, node_tags, node_tags.c.node_id == page.c.id)
        .join(Tag, Tag.id == node_tags.c.tag_id)
        .order_by(Tag.name)
        .subquery("words")
    )
    names = select(words.c.node_id, json_array(words.c.name).label("names")).group_by(words.c.node_id).subquery("names")

    owner = with_owner(page)

    def joined(nodes: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        return owner.joined(nodes).outerjoin(names, names.c.node_id == page.c.id)

    # A literal, because a prepared statement has a fixed list of parameters.
    no_names: Any = literal_column("'[]'")
    return More({**owner.members, "tags": func.coalesce(names.c.names, no_names)}, joined)


def carries(name: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a node has the tag with this name."""
    # Not joined: for one tag, the index on tag and node has the nodes in their order.
    tag = select(Tag.id).where(Tag.name == name).scalar_subquery()
    return Node.id.in_(select(node_tags.c.node_id).where(node_tags.c.tag_id == tag))


def has_children(node: Node) -> ColumnElement[bool]:
    """Return the condition that there are nodes below this one."""
    return exists().where(Node.parent_id == node.id)
