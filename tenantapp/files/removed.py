"""Remove the bytes of files once the removal of their rows is committed.

If the process dies in between, or the session is one of a command without a storage, the bytes stay without a row. The
sweep removes them.
"""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from tenantapp.sql.prepared import DATABASE
from tenantapp.tenancy.models import TenantFile

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
