"""The files at nodes. A file goes with its last attachment, if the person may delete it."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Select

from tenantapp.files.rows import delete_unused_file
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, More, Owned, Resource, Translation, Write
from tenantapp.tenancy.models import TenantFile
from tenantapp.workspace.authors import Owner, remember_author
from tenantapp.workspace.content import AttachmentContent
from tenantapp.workspace.models import Attachment
from tenantapp.workspace.node_queries import with_owner


def owner_and_file(page: Any) -> More:
    """Return the member ``owner`` and what is known of the file, for a page of attachments."""
    owner = with_owner(page)

    def joined(attachments: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        return owner.joined(attachments).join(TenantFile, TenantFile.id == page.c.file_id)

    file: dict[str, Any] = {"name": TenantFile.name, "media_type": TenantFile.media_type, "size": TenantFile.size}
    return More({**owner.members, **file}, joined)


IN_GERMAN: Final = Translation(
    label="Anhänge",
    noun="Anhang",
    labels={
        "node_id": "Knoten",
        "file_id": "Datei",
        "name": "Name",
        "media_type": "Typ",
        "size": "Größe",
        "owner": "Eigentümer",
        "owner_id": "Eigentümer",
        "id": "Angelegt",
        "created_at": "Angelegt",
    },
)
attachments: Final = Resource(
    "attachments",
    Attachment,
    body=AttachmentContent,
    shows=("name", "media_type", "size", "owner", "created_at"),
    more=owner_and_file,
    types={"name": str, "media_type": str, "size": int, "owner": Owner},
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    owner=Owned(Attachment.owner_id, over=Permission.CONTENT_EDIT_ANY),
    filters={"node_id": Attachment.node_id, "file_id": Attachment.file_id, "owner_id": Attachment.owner_id},
    can=("create", "delete"),
    display=Display(
        icon="file",
        order=4,
        within="node_id",
        title="name",
        columns=("name", "size", "owner", "created_at"),
        labels={"node_id": "Node", "file_id": "File", "owner_id": "Owner", "id": "Created", "created_at": "Created"},
        translations={"de": IN_GERMAN},
    ),
)


@attachments.on("create")
def remember_who_attaches(write: Write[Attachment]) -> None:
    """Remember the name of who writes."""
    remember_author(write.session, write.access.person)


@attachments.on("delete")
def take_file_along(write: Write[Attachment]) -> Iterator[None]:
    """Delete the file too, unless other rows refer to it, or the person may not delete it."""
    file_id = write.row.file_id
    yield
    delete_unused_file(write.session, write.access, file_id)
