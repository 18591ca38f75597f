"""Deleting tenants: at first nobody is served any more, later nothing is left."""

import time
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from tenantapp.databases.errors import ProvisioningFailed
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.backups.export_kind import remove_exports
from tenantapp.fleet.backups.final_bundles import final_bundle
from tenantapp.fleet.closing.discarding import remove_database, replaced_databases
from tenantapp.identity.errors import TenantNotDeleted
from tenantapp.identity.models import Grant, Tenant, TenantState, WebSession
from tenantapp.identity.tenants import delete_tenant, get_tenant, place_of, undelete_tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet, time_of_requests
from tenantapp.operations.kinds import Context, Kind, Kinds, Step
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import ACTIVE, FINISHED, Operation, OperationState
from tenantapp.operations.queue import cancel_operation, local_requester, request_operation

BUNDLE: Final = "bundle"  # the step before anything is removed


def delete_later(session: Session, slug: str, grace: timedelta) -> Tenant:
    """Serve nobody from the next request on, and have a worker purge the tenant after ``grace``.

    Until then ``undelete`` brings it back; its slug stays taken. One that is deleted is purged when it was to be.
    Raises ``NotFound`` and ``TenantUnfinished``.
    """
    return delete_tenant(session, slug, database_time(session) + grace)


def undelete(session: Session, slug: str, kinds: Kinds) -> Tenant:
    """Bring back a deleted tenant whose removal nobody has begun.

    Raises ``NotFound``, ``OperationRefused`` and ``TenantNotDeleted``.
    """
    tenant = undelete_tenant(session, slug)
    purges = select(Operation).where(Operation.tenant_id == tenant.id, Operation.kind == DELETE.name)
    for operation in session.scalars(purges.with_for_update()):
        if operation.step not in (None, BUNDLE) or operation.state in ACTIVE:
            raise OperationRefused(f"The removal of the tenant {slug} has begun.")
        if operation.state == OperationState.QUEUED:
            cancel_operation(session, operation.id, kinds)
        # One that could not even begin keeps no later removal from being requested.
        operation.step = None
    return tenant


def request_purge(session: Session, slug: str, *, requested_by: str, bundle: bool = True, **options: Any) -> Operation:
    """Queue the removal of a deleted tenant and of all that is left of it. It cannot be brought back.

    Where the settings name a store, a final bundle goes there first, unless ``bundle`` is false. Where the same removal
    is queued or at work already, that one is returned. ``options`` are those of ``request_operation``. Raises
    ``NotFound`` and ``TenantNotDeleted``.
    """
    # Whoever asks at the same moment waits for us.
    tenant = get_tenant(session, slug, for_update=True)
    if tenant.state != TenantState.DELETED:
        raise TenantNotDeleted(slug, tenant.state)
    arguments = {"server": tenant.server, "database": tenant.database, "bundle": bundle}
    purges = select(Operation).where(Operation.tenant_id == tenant.id, Operation.kind == DELETE.name)
    for operation in session.scalars(purges.order_by(Operation.id)):
        if operation.state not in FINISHED and operation.arguments == arguments:
            return operation
    return request_operation(session, DELETE, tenant, arguments, requested_by, **options)


def purge_deleted(fleet: Fleet) -> None:
    """Request the removal of the tenants whose grace period is over."""
    with fleet.user_db.begin(read_only=True) as session:
        due = session.scalars(_due(session)).all()
    for slug in due:
        with fleet.user_db.begin() as session:
            # Another worker may be at it.
            if session.scalar(_due(session).where(Tenant.slug == slug).with_for_update()) is not None:
                request_purge(session, slug, requested_by=local_requester())


def _due(session: Session) -> Select[str]:
    """The slugs of those to be purged now, less those that an operation is about already or could not purge."""
    begun = (Operation.kind == DELETE.name) & Operation.step.is_not(None)
    stopped_in_time = (Operation.state == OperationState.CANCELLED) & (Operation.step == BUNDLE)
    known = select(Operation.tenant_id).where(
        Operation.tenant_id.is_not(None), Operation.state.not_in(FINISHED) | (begun & ~stopped_in_time)
    )
    deleted = select(Tenant.slug).where(Tenant.state == TenantState.DELETED, Tenant.id.not_in(known))
    return deleted.where(Tenant.purge_after <= database_time(session))


def _keep(context: Context) -> dict[str, Any]:
    """The first step: nothing has been removed before."""
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = None if context.tenant_id is None else session.get(Tenant, context.tenant_id)
        if tenant is None:
            return {"final_bundle": None}
        if tenant.state != TenantState.DELETED:
            raise OperationRefused(f"The tenant {tenant.slug} was brought back; it is {tenant.state}.")
        if (earlier := _earlier_bundle(session, tenant.id)) is not None:
            return {"final_bundle": earlier}
        place, since = place_of(tenant), database_time(session) - (tenant.purge_after or database_time(session))
    if context.arguments.get("bundle", True) is False or context.fleet.settings.backups_store is None:
        return {"final_bundle": None}
    # What was let in just before the tenant was deleted may still be writing.
    wait = timedelta(seconds=time_of_requests(context.fleet.settings))
    time.sleep(max(timedelta(0), wait - max(timedelta(0), since)).total_seconds())
    return {"final_bundle": final_bundle(context, place)}


def _earlier_bundle(session: Session, tenant_id: UUID) -> dict[str, Any] | None:
    """What a removal that got further and was given up has kept: there may be no database any more to keep one of."""
    further = select(Operation).where(Operation.tenant_id == tenant_id, Operation.kind == DELETE.name)
    further = further.where(Operation.step.in_([name for name in DELETE.names if name != BUNDLE]))
    for operation in session.scalars(further.order_by(Operation.id)):
        if operation.result.get("final_bundle") is not None:
            return dict(operation.result["final_bundle"])
    return None


def _drop(context: Context) -> None:
    for server, database in _databases(context):
        remove_database(context.fleet.servers[server], database, f"the database of {context.slug}")


def _remove_exports(context: Context) -> None:
    if context.tenant_id is not None:
        remove_exports(context.fleet, context.tenant_id)


def _check(context: Context) -> dict[str, Any]:
    for server, database in _databases(context):
        place = context.fleet.servers[server]
        left = [found.name for found in databases_on(place).found() if found.name == database]
        if left or snapshot_of(place, database, f"the database of {context.slug}").exists():
            raise ProvisioningFailed(f"server {server}", f"{database} or a copy of it is still there")
    return {"database": "removed", "role": "removed"}


def _databases(context: Context) -> set[tuple[str, str]]:
    """Server and name of the tenant's database, and of those it had before that are still kept."""
    given = context.arguments
    places = {(given["server"], given["database"])}
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = None if context.tenant_id is None else session.get(Tenant, context.tenant_id)
        if tenant is not None:
            before = replaced_databases(session, tenant.id)
            places |= {(operation.arguments["server"], operation.arguments["database"]) for operation in before}
            # It may have got another one since this was requested.
            places.add((tenant.server, tenant.database))
    return places


def _remove_rows(session: Session, operation: Operation) -> None:
    """What refers to the tenant goes with it; the report says how much that was."""
    tenant_id = operation.tenant_id
    counts = {
        "grants": session.scalar(select(func.count()).select_from(Grant).where(Grant.tenant_id == tenant_id)),
        "web_sessions": session.scalar(
            select(func.count()).select_from(WebSession).where(WebSession.tenant_id == tenant_id)
        ),
        "operations_cancelled": _settle_others(session, operation),
    }
    operation.result = {**operation.result, **counts}
    tenant = None if tenant_id is None else session.get(Tenant, tenant_id)
    if tenant is not None:
        session.delete(tenant)
    session.flush()


def _settle_others(session: Session, operation: Operation) -> int:
    """Operations on the tenant, and removals of databases it had before, which are removed with it.

    Returns how many were cancelled.
    """
    before = (
        [] if operation.tenant_id is None else [kept.id for kept in replaced_databases(session, operation.tenant_id)]
    )
    # Removals that failed have nothing left to remove.
    failed = update(Operation).where(
        ((Operation.tenant_id == operation.tenant_id) & (Operation.kind == DELETE.name)) | Operation.id.in_(before),
        Operation.state.in_(FINISHED),
    )
    session.execute(failed.values(step=None))
    queued = update(Operation).where(
        (Operation.tenant_id == operation.tenant_id) | Operation.id.in_(before),
        Operation.state == OperationState.QUEUED,
        Operation.id != operation.id,
    )
    cancelled = queued.values(
        state=OperationState.CANCELLED, finished_at=database_time(session), error="The tenant was deleted."
    )
    return len(session.execute(cancelled.returning(Operation.id)).all())


DELETE: Final = Kind(
    "delete",
    (Step(BUNDLE, _keep), Step("database", _drop), Step("exports", _remove_exports), Step("check", _check)),
    removes="database",
    complete=_remove_rows,
)
