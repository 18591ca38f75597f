"""Delete the backups of a tenant that was removed, its final copies too, and what was shipped of its databases."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import select

from tenantapp.fleet.archives.ship_directory import archive_directory
from tenantapp.fleet.archives.shipped_pages import shipped_files
from tenantapp.fleet.archives.shipped_removal import remove_all, shipped_of_tenant
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.errors import BackupFailed
from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import AuditEntry, Tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet


def forget_tenant(fleet: Fleet, slug: str, tenant_id: UUID | None) -> int:
    """Delete the copies and shipped files of a removed tenant for good. Return how many there were.

    Without ``tenant_id``, the tenant is the last one of this slug that was removed. Raises ``NotFound``,
    ``OperationRefused`` if the tenant still exists, ``BackupRefused``, ``BackupFailed``, and ``ShippedDamaged`` if
    nobody can tell whose a shipped database is.
    """
    settings = fleet.settings
    store = open_store(settings) if settings.backups_ship is None or settings.backups_store is not None else None
    with fleet.user_db.begin() as session:
        if tenant_id is None:
            removed = select(AuditEntry.tenant_id).where(AuditEntry.action == "tenant.remove", AuditEntry.slug == slug)
            tenant_id = session.scalar(removed.order_by(AuditEntry.id.desc()).limit(1))
        if tenant_id is None:
            raise NotFound("removed tenant", slug)
        if session.get(Tenant, tenant_id) is not None:
            raise OperationRefused(f"The tenant {slug} still exists. Delete it first.")
        with _translated(slug):
            shipped = [] if settings.backups_ship is None else shipped_of_tenant(archive_directory(settings), tenant_id)
            count = sum(len(shipped_files(directory)) for directory in shipped)
        count += 0 if store is None else store.count_files(tenant_id)
        # First the entry: nothing disappears that the trail does not tell of.
        record(session, "tenant.forget", tenant_id=tenant_id, slug=slug, detail={"files": count})
    if store is not None:
        store.remove_tenant(tenant_id)
    with _translated(slug):
        for directory in shipped:
            remove_all(directory)
    return count


@contextmanager
def _translated(slug: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed("The archive", f"what was shipped of {slug}", str(error)) from error
