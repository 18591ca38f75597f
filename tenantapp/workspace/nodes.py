"""Write nodes: check permissions and versions, so that no change overwrites another."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

from tenantapp.identity.permissions import Permission
from tenantapp.sql.times import utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.access import Access, Person
from tenantapp.workspace.content import NodeContent
from tenantapp.workspace.errors import EditConflict, NodeHasChildren, NotFound, NotOwner, VersionMismatch
from tenantapp.workspace.models import Author, Node
from tenantapp.workspace.node_queries import ShownNode, read_node
from tenantapp.workspace.tags import tags_named
from tenantapp.workspace.tree import check_parent, lock_node

Precondition = Callable[[int], bool]
"""Takes a node's version and returns whether the change is meant for it."""


def any_version(version: int) -> bool:
    """Accept every version. This is the precondition of an unconditional change."""
    return True


def create_node(session: Session, access: Access, content: NodeContent) -> ShownNode:
    """Add a node that the access's person owns. Raises ``InvalidNode`` if the parent is missing or too deep."""
    remember_author(session, access.person)
    check_parent(session, content.parent_id)
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
    precondition: Precondition = any_version,
) -> ShownNode:
    """Change a node's content by ``change``, which takes the present content. An unchanged content is not written.

    Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``, ``InvalidNode`` and ``EditConflict``.
    """
    node = _changeable(session, access, node_id, precondition)
    before = _content_of(node)
    after = change(before)
    if after != before:
        remember_author(session, access.person)
        if after.parent_id != before.parent_id:
            lock_node(session, node)
            check_parent(session, after.parent_id, moving=node)
        _apply(session, node, after)
        node.updated_at = utcnow()
        _flush(session)
    return read_node(session, node_id)


def delete_node(session: Session, access: Access, node_id: UUID, precondition: Precondition = any_version) -> None:
    """Delete a node without children.

    Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``, ``NodeHasChildren`` and ``EditConflict``.
    """
    node = _changeable(session, access, node_id, precondition)
    if session.scalar(select(exists().where(Node.parent_id == node_id))):
        raise NodeHasChildren
    session.delete(node)
    _flush(session)


def remember_author(session: Session, person: Person) -> None:
    """Update this tenant's copy of the person's name."""
    if session.scalar(select(Author.name).where(Author.id == person.id)) == person.name:
        # An upsert locks the row even if it changes nothing, and the person's other writes would wait for the lock.
        return
    insert = insert_for(session, Author).values(id=person.id, name=person.name)
    session.execute(insert.on_conflict_do_update(index_elements=[Author.id], set_={"name": insert.excluded.name}))


def _changeable(session: Session, access: Access, node_id: UUID, precondition: Precondition) -> Node:
    node = session.get(Node, node_id, options=[selectinload(Node.tags)])
    if node is None:
        raise NotFound("node")
    if node.owner_id != access.person.id and not access.may(Permission.CONTENT_EDIT_ANY):
        raise NotOwner
    if not precondition(node.version):
        current = read_node(session, node_id)
        raise VersionMismatch(current.version, current.json)
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


def _flush(session: Session) -> None:
    try:
        session.flush()
    except StaleDataError:
        # The request must not be retried: the change was meant for a version that no longer exists.
        raise EditConflict from None
