"""Show operations and backups over HTTP, and check what requests about the fleet have in common."""

from datetime import timedelta
from typing import Any, Final

from pydantic import Field

from tenantapp.databases.errors import UnknownRevision
from tenantapp.databases.histories.histories import script_directory
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.copying.branches import LONGEST, SHORTEST
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.errors import InvalidValue
from tenantapp.operations.leases import is_worker_gone, worker_of
from tenantapp.operations.models import Operation, OperationState
from tenantapp.tenancy.request import TenantRequest

# A slug in a route's pattern. Anything else is answered 404 before a view runs.
SLUG: Final = "{slug:[a-z0-9][a-z0-9-]{0,62}}"
# The field of a body: after how many seconds a branch expires.
EXPIRES_IN: Final[Any] = Field(None, ge=int(SHORTEST.total_seconds()), le=int(LONGEST.total_seconds()))


def operation_object(operation: Operation) -> dict[str, Any]:
    """Return an operation as operators see it. ``progress`` is from 0 to 1."""
    return {
        **own_operation_object(operation),
        "tenant_id": operation.tenant_id,
        "slug": operation.slug,
        "steps": _steps(operation),
        "step": operation.step,
        "progress_text": operation.progress_text,
        "arguments": operation.arguments,
        "result": operation.result,
        "error": operation.error,
        "requested_by": operation.requested_by,
        "attempts": operation.attempts,
        "due_at": operation.lease_until if operation.state == OperationState.QUEUED else None,
        "cancel_requested": operation.cancel_requested,
        "worker": worker_of(operation.lease_owner),
        "worker_gone": is_worker_gone(operation),
    }


def _steps(operation: Operation) -> tuple[str, ...]:
    kind = KINDS.get(operation.kind)
    return () if kind is None else kind.names


def own_operation_object(operation: Operation) -> dict[str, Any]:
    """Return an operation as its tenant's people see it: without servers, databases and operators."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": operation.state,
        "progress": operation.progress,
        "created_at": operation.created_at,
        "started_at": operation.started_at,
        "finished_at": operation.finished_at,
    }


def export_object(operation: Operation) -> dict[str, Any]:
    """Return an export as its tenant's people see it, with what they need to fetch its bundle."""
    written = operation.state == OperationState.SUCCEEDED and operation.finished_at is not None
    kept = timedelta(days=operation.arguments["keep_days"])
    return {
        **own_operation_object(operation),
        "size": operation.result.get("size") if written else None,
        "kept_until": operation.finished_at + kept if written and operation.finished_at else None,
    }


def backup_object(record: BackupRecord) -> dict[str, Any]:
    """Return a backup as the API shows it. ``size`` is in bytes."""
    return {
        "id": record.id,
        "created_at": record.created_at,
        "engine": record.engine,
        "revision": record.revision,
        "size": record.size,
        "sha256": record.sha256,
    }


def accepted(request: TenantRequest, operation: Operation) -> dict[str, Any]:
    """Return an operation that was just requested, and set ``Location`` to its address."""
    request.response.location = request.route_path("fleet_operation", id=operation.id)
    return operation_object(operation)


def check_server(request: TenantRequest, name: str | None) -> None:
    """Raise ``InvalidValue`` if the settings have no such server."""
    if name is not None and name not in request.registry.servers:
        raise InvalidValue("server", f"There is no server {name} in the settings.")


def check_revision(request: TenantRequest, revision: str | None) -> None:
    """Raise ``UnknownRevision`` unless this is the full id of a revision. Alembic also accepts ``heads`` and ``8b``."""
    script = script_directory(request.registry.app_settings, "tenant")
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise UnknownRevision(revision)
