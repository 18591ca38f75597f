"""Find a backup, and check whether it can be restored."""

from typing import Final
from uuid import UUID

from tenantapp.databases.schemas.expected import check_revision
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.restoring import check_server
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import BackupRefused
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Server, Servers

LATEST: Final = "latest"


def find_backup(store: Store, tenant_id: UUID, slug: str, wanted: str | None) -> BackupRecord:
    """Return a tenant's backup or final copy by its id, or the newest. ``slug`` is for the message.

    Raises ``NotFound``, ``BackupRefused`` if the tenant has none, ``BackupDamaged`` and ``BackupFailed``.
    """
    # A final copy is newer than all backups.
    records = [*store.final_copies(tenant_id), *store.records(tenant_id)]
    if not records:
        raise BackupRefused(f"there is no backup of the tenant {slug}")
    if wanted in (None, LATEST):
        return records[0]
    for record in records:
        if record.id == wanted:
            return record
    raise NotFound("backup", wanted)


def check_whose(record: BackupRecord, present: str | None, slug: str) -> None:
    """Raise ``BackupRefused`` if the backup is not that of the tenant with this slug.

    ``present`` is the slug that the backup's tenant has now, or None if it was removed.
    """
    check_called(record.tenant_id, present or record.slug, slug)


def check_called(tenant_id: UUID, called: str, slug: str) -> None:
    """Raise ``BackupRefused`` if the tenant is not called by this slug, so that the id may be a mistake."""
    if called != slug:
        raise BackupRefused(f"the tenant {tenant_id} is called {called}, not {slug}")


def check_restorable(settings: Settings, record: BackupRecord, server: Server) -> None:
    """Check whether the server can take the backup. The dump is not read.

    Raises ``UnknownRevision`` and what ``check_server`` raises.
    """
    check_revision(settings, record.revision)
    check_server(settings, record, server)


def server_for(servers: Servers, tenant: Tenant | None, named: str | None) -> Server:
    """Return the server for a restore: the named one, or else the tenant's, or else the default.

    Raises ``ServerError``.
    """
    if named is not None:
        return servers[named]
    return servers.default if tenant is None else servers[tenant.server]
