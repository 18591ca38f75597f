"""What a tenant's database says about its files. The functions take a tenant session and know nothing of HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.files.storage import Written
from tenantapp.identity.errors import NotFound, PermissionMissing
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.known_tables import needs_table
from tenantapp.tenancy.models import TenantFile

TABLE = TenantFile.__tablename__


@dataclass(frozen=True, slots=True)
class Usage:
    """How many files a tenant has, and how many bytes they have together."""

    files: int
    bytes: int


def add_file(
    session: Session, access: Access, file_id: UUID, name: str, media_type: str, written: Written
) -> TenantFile:
    """Add the row of a file whose bytes are in the storage. Raises ``TenantMigrating``."""
    person = access.person
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


def get_file(session: Session, file_id: UUID, *, for_update: bool = False) -> TenantFile:
    """Return a file, with ``for_update`` locked against others. Raises ``NotFound`` and ``TenantMigrating``."""
    with needs_table(session, TABLE):
        file = session.get(TenantFile, file_id, with_for_update=for_update or None)
    if file is None:
        raise NotFound("file", file_id)
    return file


def list_files(session: Session, *, before: UUID | None = None, limit: int) -> Sequence[TenantFile]:
    """Return files, the newest first; with ``before``, those older than this id. Raises ``TenantMigrating``."""
    statement = select(TenantFile).order_by(TenantFile.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(TenantFile.id < before)
    with needs_table(session, TABLE):
        return session.scalars(statement).all()


def delete_file(session: Session, access: Access, file_id: UUID) -> None:
    """Delete the row of a file. The bytes are removed once that is committed.

    Only who has uploaded it may do that, or who may edit everybody's content. Raises ``NotFound``,
    ``PermissionMissing`` and ``TenantMigrating``.
    """
    file = get_file(session, file_id, for_update=True)
    if file.created_by_id != access.person.id and not access.may(Permission.CONTENT_EDIT_ANY):
        raise PermissionMissing(Permission.CONTENT_EDIT_ANY)
    session.delete(file)
    session.flush()


def usage(session: Session) -> Usage:
    """Return how much the files of a tenant are. Raises ``TenantMigrating``."""
    with needs_table(session, TABLE):
        row = session.execute(select(func.count(), func.coalesce(func.sum(TenantFile.size), 0))).one()
    return Usage(int(row[0]), int(row[1]))
