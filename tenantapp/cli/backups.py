"""The work of ``tenants backup`` and ``tenants backups``."""

from typing import Any, Final
from uuid import UUID

from tenantapp.cli.installation import Installation
from tenantapp.cli.on_tenants import OnTenants
from tenantapp.cli.output import show_rows
from tenantapp.fleet.backups import requests as service
from tenantapp.fleet.backups.records import FinalBundle, FinalCopy, StoredFile
from tenantapp.fleet.backups.store import open_store

BACK_UP: Final = OnTenants(service.request_backup, ("slug", "backup", "size", "revision", "sha256"), "backed up", {})


def list_backups(installation: Installation, slug: str, tenant_id: UUID | None, as_json: bool) -> None:
    """Print a tenant's backups and final copies."""
    store = open_store(installation.settings)
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, tenant_id)
    files: list[StoredFile] = [*store.final_copies(of), *store.final_bundles(of), *store.records(of)]
    show_rows(map(_row, files), ("id", "kind", "created_at", "size", "revision", "engine"), as_json=as_json)


def _row(record: StoredFile) -> dict[str, Any]:
    return {"id": record.id, "kind": _kind(record), **record.model_dump(exclude={"format", "version"})}


def _kind(record: StoredFile) -> str:
    if isinstance(record, FinalCopy):
        return "final copy"
    return "final bundle" if isinstance(record, FinalBundle) else "backup"
