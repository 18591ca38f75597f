"""Remove the content of files that no row lists: what a killed process, or a restore in place, has left."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.files.errors import FilesOff
from tenantapp.files.storage import open_storage
from tenantapp.fleet.tenant_files import carrying, counts, listed_files
from tenantapp.identity.tenants import get_tenant, refuse_deleted, refuse_unfinished
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import request_operation
from tenantapp.sql.times import utcnow

UPLOADING: Final = timedelta(days=1)  # no upload takes longer: its row is not written yet


def request_sweep(
    session: Session, fleet: Fleet, slug: str, *, requested_by: str, operation_id: UUID | None = None
) -> Operation:
    """Queue the removal of a tenant's content without rows. As an operation, it runs beside no restore of the tenant.

    Raises ``NotFound``, ``TenantUnfinished``, ``TenantDeleted``, and ``OperationRefused`` if there is no storage.
    """
    tenant = get_tenant(session, slug)
    refuse_unfinished(tenant)
    refuse_deleted(tenant)
    if fleet.settings.files_storage is None:
        raise OperationRefused(str(FilesOff()))
    return request_operation(session, SWEEP_FILES, tenant, {}, requested_by, operation_id=operation_id)


@checkpoint("files.sweep")
def _sweep(context: Context) -> dict[str, Any]:
    fleet, place = context.fleet, context.place()
    with carrying(place.slug):
        storage = open_storage(fleet.settings)
        # First what lies there, then the rows: a file that is uploaded in between is in neither.
        lying = storage.sizes(place.id)
        url = fleet.servers[place.server].tenant_url(place.database)
        listed = listed_files(url, f"the database of {place.slug}")
        unlisted = lying.keys() - {file.id for file in listed}
        before = utcnow() - UPLOADING
        removed = [file_id for file_id in unlisted if storage.written_at(place.id, file_id) < before]
        for file_id in removed:
            context.check()
            storage.remove(place.id, file_id)
    missing = sum(lying.get(file.id) != file.size for file in listed)
    return {"removed": len(removed), "bytes": sum(map(lying.__getitem__, removed)), **counts(len(listed), missing)}


SWEEP_FILES: Final = Kind("sweep_files", (Step("files", _sweep),))
