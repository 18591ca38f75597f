"""The tags of a tenant, each with the number of nodes that have it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, More, Resource, Translation, Write
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.recording import record_change
from tenantapp.workspace.content import TagContent
from tenantapp.workspace.models import Node, Tag, node_tags


def number_of_nodes(page: Any) -> More:
    """Return the member ``nodes`` for a page of tags: how many nodes have each."""
    carried = select(func.count()).where(node_tags.c.tag_id == page.c.id).correlate(page).scalar_subquery()
    return More({"nodes": carried})


IN_GERMAN: Final = Translation(
    label="Schlagwörter", noun="Schlagwort", labels={"name": "Name", "nodes": "Knoten", "id": "Angelegt"}
)
tags: Final = Resource(
    "tags",
    Tag,
    body=TagContent,
    shows=("nodes",),
    more=number_of_nodes,
    types={"nodes": int},
    read=Permission.CONTENT_READ,
    create=Permission.CONTENT_CREATE,
    write=Permission.CONTENT_EDIT_ANY,
    sorts={"name": Tag.name, "id": Tag.id},
    display=Display(
        icon="tag",
        order=2,
        labels={"id": "Created"},
        undo=False,  # nodes lose it
        translations={"de": IN_GERMAN},
    ),
)


@tags.on("change", "delete")
def count_as_change_of_nodes(write: Write[Tag]) -> Iterator[None]:
    """Count a new version of each node with this tag: the nodes look different now, and their version is their ETag."""
    carrying = select(node_tags.c.node_id).where(node_tags.c.tag_id == write.row.id)
    node_ids = list(write.session.scalars(carrying))
    yield
    count_as_change(write.session, node_ids)


def count_as_change(session: Session, node_ids: Sequence[UUID]) -> None:
    """Count a new version of these nodes."""
    changed = {"version": Node.version + 1, "updated_at": utcnow()}
    statement = update(Node).where(Node.id.in_(node_ids)).values(changed).returning(Node.id, Node.version)
    for node_id, version in session.execute(statement):
        record_change(session, Node, node_id, version=version)


def tags_named(session: Session, names: Sequence[str]) -> list[Tag]:
    """Return the tags with these names. Missing tags are added, even if other transactions add the same at once."""
    if not names:
        return []
    found = list(session.scalars(_named(names)))
    missing = sorted(set(names) - {tag.name for tag in found})
    if missing:
        insert = insert_for(session, Tag).on_conflict_do_nothing().returning(Tag.id)
        for tag_id in session.scalars(insert, [{"id": uuid7(), "name": name} for name in missing]):
            record_change(session, Tag, tag_id, "created")
        found = list(session.scalars(_named(names)))
    return found


def _named(names: Sequence[str]) -> Select[Tag]:
    return select(Tag).where(Tag.name.in_(names))
