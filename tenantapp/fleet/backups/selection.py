"""Which backup is meant, and whether it can be restored."""

from typing import Final
from uuid import UUID

from tenantapp.databases.schemas.expected import check_revision
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.restoring import check_engine
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import BackupRefused
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Server, Servers

LATEST: Final = "latest"


def find_backup(store: Store, tenant_id: UUID, slug: str, wanted: str | None) -> BackupRecord:
    """The backup, or the final copy, of a tenant that has this id, or the newest. ``slug`` is for the message.

    Raises ``NotFound``, ``BackupRefused`` when there is none at all, ``BackupDamaged`` and ``BackupFailed``.
    """
    # A final copy is made last.
    records = [*store.final_copies(tenant_id), *store.records(tenant_id)]
    if not records:
        raise BackupRefused(f"there is none of the tenant {slug}")
    if wanted in (None, LATEST):
        return records[0]
    for record in records:
        if record.id == wanted:
            return record
    raise NotFound("backup", wanted)


def check_whose(record: BackupRecord, present: str | None, slug: str) -> None:
    """Raise ``BackupRefused`` for a backup of another tenant than the one of this slug.

    ``present`` is what the tenant whose backup it is is called by now; None if it is gone.
    """
    named = present or record.slug
    if named != slug:
        raise BackupRefused(f"the tenant {record.tenant_id} is called {named}, and not {slug}")


def check_restorable(settings: Settings, record: BackupRecord, server: Server) -> None:
    """Raise ``BackupRefused`` or ``UnknownRevision`` for what cannot be restored on a server; the dump is not read."""
    check_engine(record, server)
    check_revision(settings, record.revision)


def server_for(servers: Servers, tenant: Tenant | None, named: str | None) -> Server:
    """Where a backup is restored: on the named server, or where the tenant is, or, if it is gone, on the default one.

    Raises ``ServerError``.
    """
    if named is not None:
        return servers[named]
    return servers.default if tenant is None else servers[tenant.server]
