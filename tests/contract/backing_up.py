"""A program that backs up a tenant, and hangs when it has begun, to be killed there."""

import json
from uuid import UUID

from tenantapp.fleet.backups.backing_up import backup_tenant
from tenantapp.fleet.backups.store import open_store
from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings
from tenantapp.tenancy.access import TenantPlace
from tests.contract.hanging import hang


def main(values: str, place: str) -> None:
    """Back up the tenant of this place."""
    settings = read_settings(json.loads(values), {})
    tenant_id, *described = json.loads(place)
    backup_tenant(fleet_of(settings), TenantPlace(UUID(tenant_id), *described), open_store(settings), lambda *_: hang())
