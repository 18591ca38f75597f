"""The comments on nodes."""

from typing import Final

from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, Owned, Resource, Translation, Write
from tenantapp.workspace.authors import Owner, remember_author
from tenantapp.workspace.content import CommentContent
from tenantapp.workspace.models import Comment
from tenantapp.workspace.node_queries import with_owner

IN_GERMAN: Final = Translation(
    label="Kommentare",
    noun="Kommentar",
    labels={
        "node_id": "Knoten",
        "text": "Text",
        "owner": "Verfasser",
        "owner_id": "Verfasser",
        "version": "Version",
        "id": "Angelegt",
        "created_at": "Angelegt",
        "updated_at": "Geändert",
    },
)
comments: Final = Resource(
    "comments",
    Comment,
    body=CommentContent,
    shows=("owner", "created_at", "updated_at"),
    more=with_owner,
    types={"owner": Owner},
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    owner=Owned(Comment.owner_id, over=Permission.CONTENT_EDIT_ANY),
    filters={"node_id": Comment.node_id, "owner_id": Comment.owner_id},
    display=Display(
        icon="mail",
        order=3,
        within="node_id",
        title="text",
        columns=("text", "owner", "created_at"),
        labels={"node_id": "Node", "owner_id": "Owner", "id": "Created", "created_at": "Created"},
        translations={"de": IN_GERMAN},
    ),
)


@comments.on("create", "change")
def remember_who_comments(write: Write[Comment]) -> None:
    """Remember the name of who writes."""
    remember_author(write.session, write.access.person)
