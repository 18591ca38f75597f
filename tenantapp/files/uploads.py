"""Receive a file: its bytes go to the storage as they arrive, before its row is written."""

from functools import partial
from typing import Any, Self
from uuid import UUID

from tenantapp.api.problems import ApiError
from tenantapp.api.streamed import StreamedBody, pieces_of
from tenantapp.files.media_types import is_permitted, media_type_of
from tenantapp.files.removed import remove_quietly
from tenantapp.files.rows import check_room
from tenantapp.files.storage import Written, open_storage
from tenantapp.settings import Settings
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.request import TenantRequest


class Upload(StreamedBody):
    """A file whose bytes are in the storage. They are removed again, unless its row is committed.

    The view sets ``kept`` when it has written the row. If the request with the same ``Idempotency-Key`` was carried out
    before, it does not.
    """

    id: UUID
    media_type: str
    written: Written
    kept: bool = False

    @classmethod
    def receive(cls, request: TenantRequest) -> Self:
        """Write the body to the storage. Raises ``ApiError``, ``FilesOff``, ``FilesFull`` and ``FilesUnavailable``."""
        settings: Settings = request.registry.app_settings
        media_type = _media_type(request, settings)
        _check_room(request, settings)
        storage, tenant_id, file_id = open_storage(settings), request.access.require_tenant().id, uuid7()
        written = storage.write(tenant_id, file_id, pieces_of(request, settings.files_max_size))
        upload = cls(digest=written.sha256, id=file_id, media_type=media_type, written=written)
        remove = partial(remove_quietly, storage, tenant_id, file_id)
        transaction: Any = request.tm.get()
        transaction.addAfterAbortHook(remove)
        # A commit that has failed may have been carried out all the same: then the bytes stay for the sweep to decide.
        transaction.addAfterCommitHook(lambda succeeded: remove() if succeeded and not upload.kept else None)
        return upload


def _media_type(request: TenantRequest, settings: Settings) -> str:
    try:
        media_type = media_type_of(request.headers.get("Content-Type", ""), request.checked_query.name)
    except ValueError:
        raise ApiError(415, "unsupported_media_type", "The Content-Type is no media type.") from None
    if not is_permitted(media_type, settings.files_types):
        permitted = ", ".join(sorted(settings.files_types))
        raise ApiError(415, "unsupported_media_type", f"Files may be of these types: {permitted}.")
    return media_type


def _check_room(request: TenantRequest, settings: Settings) -> None:
    """Raise ``FilesFull`` before the body arrives, if it is known not to fit. When it is there, the row decides.

    A file that is sent again under the same key is there already, and has its room.
    """
    if settings.files_most_bytes is not None and "Idempotency-Key" not in request.headers:
        # Not in the request's own session: on SQLite that keeps others from writing until the body is there.
        with request.registry.tenant_dbs.begin(request.access, read_only=True) as session:
            check_room(session, request.content_length or 0, settings.files_most_bytes)
