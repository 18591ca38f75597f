"""The nodes of a tenant: who may change them, and the rules of the tree."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tenantapp.files.rows import delete_unused_file
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, Match, Owned, Related, Resource, Translation, Value, Write
from tenantapp.tenancy.recording import record_change
from tenantapp.workspace.authors import Owner, remember_author
from tenantapp.workspace.content import NodeContent, TagName
from tenantapp.workspace.errors import NodeHasChildren
from tenantapp.workspace.models import Attachment, Comment, Node
from tenantapp.workspace.node_queries import carries, has_children, owner_and_tags
from tenantapp.workspace.tags import tags_named
from tenantapp.workspace.tree import check_parent


def tag_names(node: Node) -> list[str]:
    """Return the names of a node's tags, sorted."""
    return sorted(tag.name for tag in node.tags)


def set_tags(session: Session, node: Node, names: list[str]) -> None:
    """Give a node the tags with these names."""
    node.tags = tags_named(session, names)


IN_GERMAN: Final = Translation(
    label="Knoten",
    noun="Knoten",
    labels={
        "title": "Titel",
        "body": "Text",
        "status": "Status",
        "parent_id": "Übergeordneter Knoten",
        "tags": "Schlagwörter",
        "tag": "Schlagwort",
        "owner": "Eigentümer",
        "owner_id": "Eigentümer",
        "version": "Version",
        "id": "Angelegt",
        "created_at": "Angelegt",
        "updated_at": "Geändert",
    },
    choices={
        "status": {"draft": "Entwurf", "published": "veröffentlicht", "archived": "archiviert"},
        "parent_id": {"root": "oberste Ebene"},
    },
)
nodes: Final = Resource(
    "nodes",
    Node,
    body=NodeContent,
    values={"tags": Value(tag_names, set_tags)},
    shows=("owner", "version", "created_at", "updated_at"),
    more=owner_and_tags,
    types={"owner": Owner},
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    owner=Owned(Node.owner_id, over=Permission.CONTENT_EDIT_ANY),
    search=True,
    filters={
        "status": Match(Node.status, value=NodeContent.model_fields["status"].annotation),
        "owner_id": Node.owner_id,
        "parent_id": Match(Node.parent_id, words={"root": Node.parent_id.is_(None)}),
        "updated_at": Node.updated_at,
        "tag": Related(TagName, carries),
    },
    problems=("node_has_children",),
    most=200,  # each may be moved in the tree, where the way to the root is looked at
    sorts={"id": Node.id, "title": Node.title, "updated_at": Node.updated_at},
    display=Display(
        icon="file",
        order=1,
        columns=("title", "status", "tags", "owner", "updated_at"),
        labels={"parent_id": "Parent", "owner_id": "Owner", "id": "Created", "updated_at": "Updated"},
        hints={"body": "markdown"},
        suggests={"tags": "tags"},
        translations={"de": IN_GERMAN},
    ),
)


@nodes.on("create", "change")
def keep_a_tree(write: Write[Node]) -> None:
    """Remember who writes, and check the parent. Raises ``InvalidField``."""
    remember_author(write.session, write.access.person)
    if write.before is None:
        check_parent(write.session, write.after.parent_id)
    elif write.changes("parent_id"):
        check_parent(write.session, write.after.parent_id, moving=write.row)


@nodes.on("delete")
def keep_children(write: Write[Node]) -> None:
    """Raise ``NodeHasChildren`` if there are nodes below this one."""
    if write.session.scalar(select(has_children(write.row))):
        raise NodeHasChildren


@nodes.on("delete")
def take_along(write: Write[Node]) -> Iterator[None]:
    """Delete the comments and attachments of the node, and record each, for those who follow the changes."""
    session, node_id = write.session, write.row.id
    # Until the commit nobody adds one: a new row locks its node by FOR KEY SHARE, which waits for FOR UPDATE alone.
    session.execute(select(Node.id).where(Node.id == node_id).with_for_update())
    attachments = session.execute(select(Attachment.id, Attachment.file_id).where(Attachment.node_id == node_id)).all()
    comments = session.execute(select(Comment.id, Comment.version).where(Comment.node_id == node_id)).all()
    for attachment_id, _ in attachments:
        record_change(session, Attachment, attachment_id, "deleted")
    for comment_id, version in comments:
        record_change(session, Comment, comment_id, "deleted", version)
    for model in (Attachment, Comment):
        session.execute(delete(model).where(model.node_id == node_id))
    yield
    for file_id in {file_id for _, file_id in attachments}:
        delete_unused_file(session, write.access, file_id)
