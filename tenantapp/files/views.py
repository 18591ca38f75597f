"""Files over HTTP: upload, list, download, delete."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pyramid.response import Response

from tenantapp.answers import Answer, Page
from tenantapp.api.query import Ids, NoQuery, PageQuery, page_of
from tenantapp.api.views import api_view, path_id
from tenantapp.files import rows
from tenantapp.files.content import FileName
from tenantapp.files.downloads import download
from tenantapp.files.storage import open_storage
from tenantapp.files.uploads import Upload
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.models import TenantFile
from tenantapp.tenancy.request import TenantRequest


class Uploader(Answer):
    """Who has uploaded a file, with the name that they had then."""

    id: UUID
    name: str


class File(Answer):
    """A file of the tenant. ``size`` is in bytes, ``sha256`` in hexadecimal.

    ``media_type`` is what the client said it is, or what its name suggests. Nobody has compared it with the content.
    """

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime
    created_by: Uploader


class Usage(Answer):
    """How many files a tenant has, and how many bytes they have together, of ``most_bytes`` if there is a bound."""

    files: int
    bytes: int
    most_bytes: int | None


class FilesQuery(PageQuery):
    """The query parameters of the list of files."""

    ids: Ids | None = None


class UploadQuery(NoQuery):
    """The query parameters of an upload."""

    name: FileName


def file_object(file: TenantFile) -> dict[str, Any]:
    """Return what is shown of a file."""
    return {
        "id": file.id,
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "sha256": file.sha256,
        "created_at": file.created_at,
        "created_by": {"id": file.created_by_id, "name": file.created_by_name},
    }


def upload_file(request: TenantRequest) -> dict[str, Any]:
    """Upload a file: the body is its content as it is.

    In a browser, `fetch("/api/v1/files?name=" + encodeURIComponent(file.name), {method: "POST", body: file})` does it,
    with the header `X-CSRF-Token`. `Content-Type` states the type of the file.
    """
    upload: Upload = request.checked_body
    name = request.checked_query.name
    most = request.registry.app_settings.files_most_bytes
    described = upload.id, name, upload.media_type, upload.written
    file = rows.add_file(request.tenant_session, request.access, *described, most_bytes=most)
    upload.kept = True
    request.response.location = request.route_path("file", id=file.id)
    return file_object(file)


@api_view("files", "GET", permission=Permission.CONTENT_READ, query=FilesQuery, answer=Page[File])
def list_files(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the tenant's files, newest first. `ids` asks for these."""
    query: FilesQuery = request.checked_query
    session, limit = request.tenant_session, query.limit
    found = rows.list_files(session, ids=query.ids, before=query.after_id(), limit=limit + 1)
    page = page_of(found, query.limit, lambda file: str(file.id))
    return {"items": [file_object(file) for file in page["items"]], "next": page["next"]}


@api_view("files_usage", "GET", permission=Permission.CONTENT_READ, answer=Usage)
def read_usage(request: TenantRequest) -> dict[str, Any]:
    """Return how many files the tenant has, how many bytes they have together, and how many they may have."""
    usage = rows.usage(request.tenant_session)
    most = request.registry.app_settings.files_most_bytes
    return {"files": usage.files, "bytes": usage.bytes, "most_bytes": most}


@api_view("file", "GET", permission=Permission.CONTENT_READ, answer=File, problems=("not_found",))
def read_file(request: TenantRequest) -> dict[str, Any]:
    """Return what is known of a file, without its content."""
    return file_object(rows.get_file(request.tenant_session, path_id(request)))


@api_view("file", "DELETE", permission=Permission.CONTENT_CREATE, answer=None, problems=("not_found", "in_use"))
def delete_file(request: TenantRequest) -> None:
    """Delete a file that you have uploaded, or with the permission `content.edit_any` anybody's.

    A file that rows refer to is not deleted.
    """
    rows.delete_file(request.tenant_session, request.access, path_id(request))


@api_view(
    "file_content",
    "GET",
    permission=Permission.CONTENT_READ,
    answer=bytes,
    headers=("Accept-Ranges", "Content-Disposition", "ETag"),
    problems=("not_found", "files_not_configured", "files_unavailable"),
    reads_server=True,  # the content is gone as soon as the file is deleted
)
def download_file(request: TenantRequest) -> Response:
    """Download the content of a file, or with `Range` a part of it.

    It is sent as an attachment of the type `application/octet-stream`, so that no browser shows it as a page.
    """
    file = rows.get_file(request.tenant_session, path_id(request))
    return download(request, open_storage(request.registry.app_settings), file)
