"""Writing nodes: who may, and without overwriting anybody."""

from collections.abc import Callable, Collection
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.access import Access, Person
from tenantapp.tenancy.times import utcnow
from tenantapp.tenancy.upsert import insert_for
from tenantapp.workspace.content import NodeContent
from tenantapp.workspace.errors import EditConflict, InvalidNode, NodeHasChildren, NotFound, NotOwner, VersionMismatch
from tenantapp.workspace.models import Author, Node
from tenantapp.workspace.node_queries import read_node
from tenantapp.workspace.tags import tags_named

MAX_DEPTH: Final = 100

Versions = Collection[int] | None
"""The versions a change is meant for, or None if any will do."""


def create_node(session: Session, access: Access, content: NodeContent) -> dict[str, Any]:
    """Make a node owned by whoever asks. Raises ``InvalidNode`` for a parent that is not there."""
    remember_author(session, access.person)
    _check_parent(session, content.parent_id)
    now = utcnow()
    node = Node(owner_id=access.person.id, created_at=now, updated_at=now)
    _apply(session, node, content)
    session.add(node)
    session.flush()
    return read_node(session, node.id)


def change_node(
    session: Session,
    access: Access,
    node_id: UUID,
    change: Callable[[NodeContent], NodeContent],
    versions: Versions = None,
) -> dict[str, Any]:
    """Change a node's content; nothing is written if it stays the same.

    Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``, ``InvalidNode`` and ``EditConflict``.
    """
    node = _changeable(session, access, node_id, versions)
    before = _content_of(node)
    after = change(before)
    if after != before:
        remember_author(session, access.person)
        if after.parent_id != before.parent_id:
            _lock(session, node)
            _check_parent(session, after.parent_id, moving=node_id)
        _apply(session, node, after)
        node.updated_at = utcnow()
        _flush(session)
    return read_node(session, node_id)


def delete_node(session: Session, access: Access, node_id: UUID, versions: Versions = None) -> None:
    """Delete a leaf of the tree.

    Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``, ``NodeHasChildren`` and ``EditConflict``.
    """
    node = _changeable(session, access, node_id, versions)
    if session.scalar(select(exists().where(Node.parent_id == node_id))):
        raise NodeHasChildren
    session.delete(node)
    _flush(session)


def remember_author(session: Session, person: Person) -> None:
    """Keep this tenant's copy of the person's name up to date."""
    insert = insert_for(session, Author).values(id=person.id, name=person.name)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[Author.id],
            set_={"name": insert.excluded.name},
            where=Author.name != insert.excluded.name,
        )
    )


def _changeable(session: Session, access: Access, node_id: UUID, versions: Versions) -> Node:
    node = session.get(Node, node_id, options=[selectinload(Node.tags)])
    if node is None:
        raise NotFound("node")
    if node.owner_id != access.person.id and not access.may(Permission.CONTENT_EDIT_ANY):
        raise NotOwner
    if versions is not None and node.version not in versions:
        raise VersionMismatch(read_node(session, node_id))
    return node


def _content_of(node: Node) -> NodeContent:
    return NodeContent.model_construct(
        title=node.title,
        body=node.body,
        status=node.status,
        parent_id=node.parent_id,
        tags=sorted(tag.name for tag in node.tags),
    )


def _apply(session: Session, node: Node, content: NodeContent) -> None:
    node.title, node.body, node.status = content.title, content.body, content.status
    node.parent_id = content.parent_id
    node.tags = tags_named(session, content.tags)


def _lock(session: Session, node: Node) -> None:
    """Hold the node while its ancestors are read: two moves at once could otherwise make a circle of each other."""
    version = node.version
    session.refresh(node, ["version"], with_for_update=True)
    if node.version != version:
        raise EditConflict


def _check_parent(session: Session, parent_id: UUID | None, moving: UUID | None = None) -> None:
    """Walk up from the new parent: it has to exist, and not to be below the node that is moving."""
    for _ in range(MAX_DEPTH):
        if parent_id is None:
            return
        if parent_id == moving:
            raise InvalidNode("parent_id", "A node cannot be below itself.")
        above = select(Node.parent_id).where(Node.id == parent_id)
        row = session.execute(above.with_for_update() if moving else above).one_or_none()
        if row is None:
            raise InvalidNode("parent_id", "There is no such node.")
        parent_id = row.parent_id
    raise InvalidNode("parent_id", f"The tree is at most {MAX_DEPTH} nodes deep.")


def _flush(session: Session) -> None:
    try:
        session.flush()
    except StaleDataError:
        # Not left to be tried again: the change was made for the version that is gone.
        raise EditConflict from None
