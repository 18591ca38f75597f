"""Delete what the store for backups has of a tenant that was removed: its final copies, and all before."""

from uuid import UUID

from sqlalchemy import select

from tenantapp.fleet.backups.store import open_store
from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import AuditEntry, Tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet


def forget_tenant(fleet: Fleet, slug: str, tenant_id: UUID | None) -> int:
    """Delete the copies and files in the store of a removed tenant for good. Return how many there were.

    Without ``tenant_id``, the tenant is the last one of this slug that was removed. Raises ``NotFound``,
    ``OperationRefused`` if the tenant still exists, ``BackupRefused`` and ``BackupFailed``.
    """
    store = open_store(fleet.settings)
    with fleet.user_db.begin() as session:
        if tenant_id is None:
            removed = select(AuditEntry.tenant_id).where(AuditEntry.action == "tenant.remove", AuditEntry.slug == slug)
            tenant_id = session.scalar(removed.order_by(AuditEntry.id.desc()).limit(1))
        if tenant_id is None:
            raise NotFound("removed tenant", slug)
        if session.get(Tenant, tenant_id) is not None:
            raise OperationRefused(f"The tenant {slug} still exists. Delete it first.")
        count = store.count_files(tenant_id)
        # First the entry: nothing disappears that the trail does not tell of.
        record(session, "tenant.forget", tenant_id=tenant_id, slug=slug, detail={"files": count})
    store.remove_tenant(tenant_id)
    return count
