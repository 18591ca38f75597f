"""What a tenant's database says about its files. The functions take a tenant session and know nothing of HTTP.

A file that other rows refer to cannot be deleted: the database refuses it, by their foreign keys.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.files.errors import FileInUse, FilesFull
from tenantapp.files.removed import remove_after_commit
from tenantapp.files.storage import Written
from tenantapp.identity.errors import NotFound, PermissionMissing
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.known_tables import needs_table
from tenantapp.tenancy.models import TenantFile

TABLE: Final = TenantFile.__tablename__
UPLOADS: Final = 7351926481  # the key of an advisory lock; it counts in one database


@dataclass(frozen=True, slots=True)
class Usage:
    """How many files a tenant has, and how many bytes they have together."""

    files: int
    bytes: int


def add_file(
    session: Session,
    access: Access,
    file_id: UUID,
    name: str,
    media_type: str,
    written: Written,
    *,
    most_bytes: int | None = None,
) -> TenantFile:
    """Add the row of a file whose bytes are in the storage.

    Raises ``TenantMigrating``, and ``FilesFull`` if all files of the tenant have more than ``most_bytes`` then.
    """
    person = access.person
    if most_bytes is not None:
        _lock_uploads(session)
        check_room(session, written.size, most_bytes)
    file = TenantFile(
        id=file_id,
        name=name,
        media_type=media_type,
        size=written.size,
        sha256=written.sha256,
        created_by_id=person.id,
        created_by_name=person.name,
    )
    session.add(file)
    with needs_table(session, TABLE):
        session.flush()
    return file


def check_room(session: Session, size: int, most_bytes: int) -> None:
    """Raise ``FilesFull`` if the tenant has no room for a file of this size, in bytes. Raises ``TenantMigrating``."""
    used = usage(session).bytes
    if used + size > most_bytes:
        raise FilesFull(used, most_bytes)


def _lock_uploads(session: Session) -> None:
    """Let one transaction after the other add files, until its end. On SQLite only one writes anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(UPLOADS)))


def get_file(session: Session, file_id: UUID, *, for_update: bool = False) -> TenantFile:
    """Return a file, with ``for_update`` locked against others. Raises ``NotFound`` and ``TenantMigrating``."""
    with needs_table(session, TABLE):
        file = session.get(TenantFile, file_id, with_for_update=for_update or None)
    if file is None:
        raise NotFound("file", file_id)
    return file


def list_files(
    session: Session, *, ids: Collection[UUID] | None = None, before: UUID | None = None, limit: int
) -> Sequence[TenantFile]:
    """Return files, the newest first: those with these ``ids``, and those older than ``before``, if it is said.

    Raises ``TenantMigrating``.
    """
    statement = select(TenantFile).order_by(TenantFile.id.desc()).limit(limit)
    if ids is not None:
        statement = statement.where(TenantFile.id.in_(ids))
    if before is not None:
        statement = statement.where(TenantFile.id < before)
    with needs_table(session, TABLE):
        return session.scalars(statement).all()


def delete_file(session: Session, access: Access, file_id: UUID) -> None:
    """Delete a file. Its bytes are removed once that is committed.

    Only who has uploaded it may do that, or who may edit everybody's content. Raises ``NotFound``, ``FileInUse``,
    ``PermissionMissing`` and ``TenantMigrating``.
    """
    file = get_file(session, file_id, for_update=True)
    if not _may_delete(access, file):
        raise PermissionMissing(Permission.CONTENT_EDIT_ANY)
    try:
        session.delete(file)
        session.flush()
    except IntegrityError as error:
        raise FileInUse from error
    remove_after_commit(session, file_id)


def delete_unused_file(session: Session, access: Access, file_id: UUID) -> bool:
    """Delete a file if the person may do that and no row refers to it any more. Return whether it was deleted.

    Call it in a hook, after the row that the file belongs to was deleted or has another file. Raises
    ``TenantMigrating``.
    """
    with needs_table(session, TABLE):
        file = session.get(TenantFile, file_id)
    if file is None or not _may_delete(access, file):
        return False
    try:
        with session.begin_nested():
            session.delete(file)
    except IntegrityError:
        return False
    remove_after_commit(session, file_id)
    return True


def _may_delete(access: Access, file: TenantFile) -> bool:
    return file.created_by_id == access.person.id or access.may(Permission.CONTENT_EDIT_ANY)


def usage(session: Session) -> Usage:
    """Return how much the files of a tenant are. Raises ``TenantMigrating``."""
    with needs_table(session, TABLE):
        row = session.execute(select(func.count(), func.coalesce(func.sum(TenantFile.size), 0))).one()
    return Usage(int(row[0]), int(row[1]))
