"""Read and write the tags of a tenant. A tag is returned as ``{"id", "name", "nodes"}``."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.sql.upsert import insert_ignoring_conflicts
from tenantapp.tenancy.recording import record_change
from tenantapp.workspace.errors import NotFound, TagExists
from tenantapp.workspace.models import Node, Tag, node_tags


def tags_named(session: Session, names: Sequence[str]) -> list[Tag]:
    """Return the tags with these names. Missing tags are added, even if other transactions add the same at once."""
    if not names:
        return []
    found = list(session.scalars(_named(names)))
    missing = sorted(set(names) - {tag.name for tag in found})
    if missing:
        insert_ignoring_conflicts(session, Tag, [{"id": uuid7(), "name": name} for name in missing])
        found = list(session.scalars(_named(names)))
    return found


def list_tags(session: Session, *, after: str | None = None, limit: int) -> list[dict[str, Any]]:
    """Return tags by name, with the number of nodes that have each. ``after`` is the last name of the page before."""
    statement = _counted().order_by(Tag.name).limit(limit)
    if after is not None:
        statement = statement.where(Tag.name > after)
    return [dict(row) for row in session.execute(statement).mappings()]


def read_tag(session: Session, tag_id: UUID) -> dict[str, Any]:
    """Return one tag. Raises ``NotFound``."""
    row = session.execute(_counted().where(Tag.id == tag_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("tag")
    return dict(row)


def create_tag(session: Session, name: str) -> dict[str, Any]:
    """Add a tag. Raises ``TagExists``."""
    tag = Tag(name=name)
    session.add(tag)
    _flush(session, name)
    return read_tag(session, tag.id)


def rename_tag(session: Session, tag_id: UUID, name: str) -> dict[str, Any]:
    """Rename a tag on all nodes. Raises ``NotFound`` and ``TagExists``."""
    tag = _get(session, tag_id)
    if tag.name != name:
        tag.name = name
        _flush(session, name)
        _count_as_change(session, tag_id)
    return read_tag(session, tag_id)


def delete_tag(session: Session, tag_id: UUID) -> None:
    """Delete a tag and remove it from all nodes. Raises ``NotFound``."""
    tag = _get(session, tag_id)
    _count_as_change(session, tag_id)
    session.delete(tag)
    session.flush()


def _named(names: Sequence[str]) -> Select[Tag]:
    return select(Tag).where(Tag.name.in_(names))


def _counted() -> Select[*tuple[Any, ...]]:
    carried = select(func.count()).where(node_tags.c.tag_id == Tag.id).correlate(Tag).scalar_subquery()
    return select(Tag.id, Tag.name, carried.label("nodes"))


def _get(session: Session, tag_id: UUID) -> Tag:
    tag = session.get(Tag, tag_id)
    if tag is None:
        raise NotFound("tag")
    return tag


def _count_as_change(session: Session, tag_id: UUID) -> None:
    """Count a new version of each node with this tag: the nodes look different now, and their version is their ETag."""
    carrying = select(node_tags.c.node_id).where(node_tags.c.tag_id == tag_id)
    changed = {"version": Node.version + 1, "updated_at": utcnow()}
    statement = update(Node).where(Node.id.in_(carrying)).values(changed).returning(Node.id, Node.version)
    for node_id, version in session.execute(statement):
        record_change(session, Node, node_id, version=version)


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError:
        raise TagExists(name) from None
