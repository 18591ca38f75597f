"""Remove the bytes of files once the removal of their rows is committed.

If the process dies in between, the bytes stay without a row, and the sweep removes them.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from tenantapp.files.errors import FilesUnavailable
from tenantapp.files.storage import Storage, open_storage
from tenantapp.settings import Settings
from tenantapp.sql.prepared import DATABASE
from tenantapp.tenancy.models import TenantFile

log = logging.getLogger(__name__)

REMOVED: Final = "tenantapp_removed_files"  # the key in a session's ``info`` of the files whose rows were deleted
Remove = Callable[[UUID], None]
"""Takes the id of a file, and removes its bytes."""


def remove_after_commit(session: Session, file_id: UUID) -> None:
    """Remove the bytes of a file whose row was deleted in this transaction, unless that is rolled back."""
    if REMOVED not in session.info:
        event.listen(session, "before_commit", _leave_what_is_there)
        event.listen(session, "after_commit", _remove)
    removed: set[UUID] = session.info.setdefault(REMOVED, set())
    removed.add(file_id)


def _leave_what_is_there(session: Session) -> None:
    """Forget the files whose rows came back, because a savepoint or an earlier transaction was rolled back."""
    removed: set[UUID] = session.info[REMOVED]
    if removed and not session.in_nested_transaction():
        removed -= set(session.scalars(select(TenantFile.id).where(TenantFile.id.in_(removed))))


def _remove(session: Session) -> None:
    if session.in_nested_transaction():
        return  # only a savepoint is released
    removed: set[UUID] = session.info[REMOVED]
    remove: Remove | None = getattr(session.info.get(DATABASE), "on_file_removed", None)
    while removed:
        file_id = removed.pop()
        if remove is not None:
            remove(file_id)


def remove_bytes(settings: Settings, tenant_id: UUID, file_id: UUID) -> None:
    """Remove the bytes of a file from the storage, if there is one."""
    if settings.files_storage is not None:
        with _quietly(file_id):
            open_storage(settings).remove(tenant_id, file_id)


def remove_quietly(storage: Storage, tenant_id: UUID, file_id: UUID) -> None:
    """Remove bytes that have no row. If the storage does not answer, the sweep removes them later."""
    with _quietly(file_id):
        storage.remove(tenant_id, file_id)


@contextmanager
def _quietly(file_id: UUID) -> Iterator[None]:
    try:
        yield
    except FilesUnavailable as error:
        log.warning("The bytes of file %s were not removed (%s); the sweep will do it.", file_id, error.reason)
