"""The kind of operation that writes a tenant's bundle into the store, where it can be fetched for a while."""

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.databases.servers.working_directories import working_directory
from tenantapp.fleet.backups.chunks import chunks_of
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, place_of, refuse_deleted
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import UNFINISHED, Operation, OperationState
from tenantapp.operations.outcomes import counted
from tenantapp.operations.queue import request_operation
from tenantapp.tenancy.access import TenantPlace

MOST_KEPT: Final = 3  # exports of a tenant; each takes about as much room as the tenant's data


def request_export(session: Session, fleet: Fleet, slug: str, *, requested_by: str, **options: Any) -> Operation:
    """Queue the export of a tenant. A tenant exports once at a time, and has at most ``MOST_KEPT`` finished exports.

    ``options`` are those of ``request_operation``. Raises ``NotFound``, ``TenantDeleted``, ``OperationRefused``, and
    ``BackupRefused`` if the settings name no store.
    """
    open_store(fleet.settings)
    # Other requests for the tenant wait for this transaction.
    tenant = get_tenant(session, slug, for_update=True)
    refuse_deleted(tenant)
    exports = select(func.count()).where(Operation.tenant_id == tenant.id, Operation.kind == EXPORT.name)
    if session.scalar(exports.where(Operation.state.in_(UNFINISHED))):
        raise OperationRefused(f"The tenant {slug} is being exported already.")
    keep_days = fleet.settings.backups_keep_exports
    kept_since = database_time(session) - timedelta(days=keep_days)
    kept = exports.where(Operation.state == OperationState.SUCCEEDED, Operation.finished_at > kept_since)
    if session.scalars(kept).one() >= MOST_KEPT:
        raise OperationRefused(f"The tenant {slug} has {MOST_KEPT} exports already; fetch the newest of them.")
    arguments = {"keep_days": keep_days}
    return request_operation(session, EXPORT, tenant, arguments, requested_by, **options)


def list_exports(session: Session, tenant_id: UUID, *, before: UUID | None = None, limit: int) -> list[Operation]:
    """Return the exports of a tenant, the newest first. ``before`` continues a list: only smaller ids are returned."""
    statement = select(Operation).where(Operation.tenant_id == tenant_id, Operation.kind == EXPORT.name)
    if before is not None:
        statement = statement.where(Operation.id < before)
    return list(session.scalars(statement.order_by(Operation.id.desc()).limit(limit)))


def finished_export(session: Session, operation_id: UUID, tenant_id: UUID) -> Operation:
    """Return a successful export of this tenant. Raises ``NotFound`` for every other operation."""
    operation = session.get(Operation, operation_id)
    if (
        operation is None
        or (operation.kind, operation.tenant_id) != (EXPORT.name, tenant_id)
        or operation.state != OperationState.SUCCEEDED
    ):
        raise NotFound("export", operation_id)
    return operation


def read_export(fleet: Fleet, operation: Operation) -> Iterator[bytes]:
    """Return the bundle that an export has written, in chunks. Raises ``NotFound`` if it was removed meanwhile."""
    chunks = open_store(fleet.settings).read(operation.result["file"])
    try:
        first = next(chunks, b"")
    except FileNotFoundError:
        raise NotFound("export", operation.id) from None

    def content() -> Iterator[bytes]:
        yield first
        yield from chunks

    return content()


def remove_exports(fleet: Fleet, tenant_id: UUID) -> None:
    """Remove the bundles of all exports of a tenant. Do nothing if the settings name no store."""
    if fleet.settings.backups_store is None:
        return
    with fleet.user_db.begin(read_only=True) as session:
        exports = select(Operation.id).where(Operation.tenant_id == tenant_id, Operation.kind == EXPORT.name)
        found = session.scalars(exports).all()
    store = open_store(fleet.settings)
    for operation_id in found:
        store.remove_directory(_directory(operation_id))


def _export(context: Context) -> dict[str, Any]:
    fleet, progress = context.fleet, counted(context.progress, "{} rows")
    with working_directory("export") as directory:
        bundle = directory / "bundle"
        manifest = export_bundle(fleet, _place(context), bundle, progress)
        context.progress(0.5, "storing")
        # Each attempt writes its own file, because an attempt that only stalled may still be writing.
        file = f"{_directory(context.operation_id)}/{secrets.token_hex(4)}.bundle"
        size, sha256 = open_store(fleet.settings).write(file, chunks_of(bundle))
    return {"file": file, "size": size, "sha256": sha256, "rows": manifest.rows, "revision": manifest.revision}


@checkpoint("export.find_tenant")
def _place(context: Context) -> TenantPlace:
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = session.get(Tenant, context.tenant_id) if context.tenant_id else None
        if tenant is None:
            raise NotFound("tenant", context.slug)
        refuse_deleted(tenant)
        return place_of(tenant)


def _directory(operation_id: UUID) -> str:
    return f"exports/{operation_id.hex}"


def _remove(context: Context) -> None:
    exported = context.arguments.get("export")
    open_store(context.fleet.settings).remove_directory(
        _directory(UUID(exported) if exported else context.operation_id)
    )


def _remove_later(session: Session, operation: Operation) -> None:
    """Queue the removal of the bundle. That operation has no tenant, so that it works after the tenant is removed."""
    after = timedelta(days=operation.arguments["keep_days"])
    arguments = {"export": str(operation.id)}
    request_operation(
        session, DISCARD_EXPORT, None, arguments, operation.requested_by, slug=operation.slug, after=after
    )


EXPORT: Final = Kind("export", (Step("bundle", _export, _remove),), undoes=True, complete=_remove_later)
DISCARD_EXPORT: Final = Kind("discard_export", (Step("bundle", _remove),), removes="bundle")
