"""Delete tenants: from then on nobody is served, and after a grace period everything is removed."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from tenantapp.databases.errors import (
    ExtensionElsewhere,
    ExtensionRowsNotCarried,
    ExtensionsMissing,
    NotRestorable,
    PrivilegesNotCarried,
    ProvisioningFailed,
    ReadingFailed,
    RolesMissing,
)
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.federation.ending import end_with_tenant
from tenantapp.fleet.backups.export_kind import remove_exports
from tenantapp.fleet.backups.final_copies import final_copy
from tenantapp.fleet.closing.discarding import is_kept, remove_database, replaced_databases
from tenantapp.fleet.copying.branches import is_rehearsal
from tenantapp.fleet.errors import BackupError, CopyRequired, NotCopied
from tenantapp.fleet.hooks.after import deleted_hooks, request_deleted_hooks
from tenantapp.fleet.tenant_files import remove_files
from tenantapp.identity.audit import record
from tenantapp.identity.errors import TenantNotDeleted
from tenantapp.identity.models import ApiToken, Grant, Tenant, TenantState, User, WebSession
from tenantapp.identity.tenants import delete_tenant, get_tenant, place_of, undelete_tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet, time_of_requests
from tenantapp.operations.kinds import Context, Kind, Kinds, Step
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import ACTIVE, FINISHED, UNFINISHED, Operation, OperationState
from tenantapp.operations.queue import cancel_operation, local_requester, request_operation
from tenantapp.tenancy.access import TenantPlace

COPY: Final = "copy"  # the step that makes the final copy, and the argument that says whether there must be one
FORMERLY: Final = "bundle"  # the name of both in earlier versions, whose copy was a bundle
KEEPING: Final = (COPY, FORMERLY)
# Why there is no final copy, where the cause may be what the tenant's people have put into the database.
UNCOPIED: Final = (
    *(BackupError, NotRestorable, PrivilegesNotCarried, ReadingFailed, RolesMissing),
    *(ExtensionElsewhere, ExtensionRowsNotCarried, ExtensionsMissing),
)


def delete_later(session: Session, slug: str, grace: timedelta) -> Tenant:
    """Refuse the tenant's people from the next request on, and let a worker purge the tenant after ``grace``.

    Until then ``undelete`` brings the tenant back, and its slug stays taken. The time of a tenant that is deleted
    already does not change. Raises ``NotFound`` and ``TenantUnfinished``.
    """
    return delete_tenant(session, slug, database_time(session) + grace)


def undelete(session: Session, slug: str, kinds: Kinds) -> Tenant:
    """Bring back a deleted tenant whose removal has not begun.

    Raises ``NotFound``, ``OperationRefused`` and ``TenantNotDeleted``.
    """
    tenant = undelete_tenant(session, slug)
    purges = select(Operation).where(Operation.tenant_id == tenant.id, Operation.kind == DELETE.name)
    for operation in session.scalars(purges.with_for_update()):
        if operation.step not in (None, *KEEPING) or operation.state in ACTIVE:
            raise OperationRefused(f"The removal of the tenant {slug} has begun.")
        if operation.state == OperationState.QUEUED:
            cancel_operation(session, operation.id, kinds)
        # A removal that failed before it began must not prevent a later one.
        operation.step = None
    return tenant


def request_purge(
    session: Session, fleet: Fleet, slug: str, *, requested_by: str, copy: bool = True, **options: Any
) -> Operation:
    """Queue the removal of a deleted tenant with everything that belongs to it.

    Unless ``copy`` is false, a final copy is written to the store and proved before anything is removed. If the same
    removal is queued or running already, it is returned. ``options`` are those of ``request_operation``. Raises
    ``NotFound``, ``TenantNotDeleted``, and ``CopyRequired`` if there is no store for the copy.
    """
    tenant = _deleted_tenant(session, slug)
    if copy and fleet.settings.backups_store is None:
        raise CopyRequired(slug)
    return _request(session, tenant, requested_by, copy=copy, **options)


def _deleted_tenant(session: Session, slug: str) -> Tenant:
    # Other requests for the tenant wait for this transaction.
    tenant = get_tenant(session, slug, for_update=True)
    if tenant.state != TenantState.DELETED:
        raise TenantNotDeleted(slug, tenant.state)
    return tenant


def _request(session: Session, tenant: Tenant, requested_by: str, *, copy: bool, **options: Any) -> Operation:
    purges = select(Operation).where(Operation.tenant_id == tenant.id, Operation.kind == DELETE.name)
    for operation in session.scalars(purges.order_by(Operation.id)):
        given = operation.arguments
        is_same = (given["server"], given["database"], _wants_copy(given)) == (tenant.server, tenant.database, copy)
        if operation.state not in FINISHED and is_same:
            return operation
    arguments = {"server": tenant.server, "database": tenant.database, COPY: copy}
    return request_operation(session, DELETE, tenant, arguments, requested_by, **options)


def _wants_copy(arguments: Mapping[str, Any]) -> bool:
    return bool(arguments.get(COPY, arguments.get(FORMERLY, True)))


def purge_deleted(fleet: Fleet) -> None:
    """Request the removal of tenants whose grace period is over, each with a final copy. A branch is a copy already.

    If the copy cannot be made, the removal fails before anything is removed, and waits for an operator.
    """
    with fleet.user_db.begin(read_only=True) as session:
        due = session.scalars(_due(session)).all()
    for slug in due:
        with fleet.user_db.begin() as session:
            # Another worker may have requested it meanwhile.
            if session.scalar(_due(session).where(Tenant.slug == slug).with_for_update()) is not None:
                tenant = _deleted_tenant(session, slug)
                _request(session, tenant, local_requester(), copy=tenant.expires_at is None)


def delete_expired(fleet: Fleet) -> None:
    """Delete the branches whose time is over, as an operator would: a chore of workers."""
    with fleet.user_db.begin(read_only=True) as session:
        expired = session.scalars(_expired(session)).all()
    for slug in expired:
        with fleet.user_db.begin() as session:
            # Meanwhile somebody may have given it more time.
            if session.scalar(_expired(session).where(Tenant.slug == slug).with_for_update()) is not None:
                delete_later(session, slug, timedelta(days=fleet.settings.fleet_delete_grace))


def _expired(session: Session) -> Select[str]:
    return select(Tenant.slug).where(Tenant.is_served, Tenant.expires_at <= database_time(session))


def _due(session: Session) -> Select[str]:
    """Return a SELECT of the slugs to purge now, without tenants that an operation works on or failed to purge."""
    begun = (Operation.kind == DELETE.name) & Operation.step.is_not(None)
    stopped_in_time = (Operation.state == OperationState.CANCELLED) & Operation.step.in_(KEEPING)
    known = select(Operation.tenant_id).where(
        Operation.tenant_id.is_not(None), Operation.state.in_(UNFINISHED) | (begun & ~stopped_in_time)
    )
    deleted = select(Tenant.slug).where(Tenant.state == TenantState.DELETED, Tenant.id.not_in(known))
    return deleted.where(Tenant.purge_after <= database_time(session))


def _keep(context: Context) -> dict[str, Any]:
    """Make and prove the final copy. This is the first step: nothing is removed before it."""
    fleet = context.fleet
    deleted_hooks(fleet)  # a domain that cannot be loaded is noticed before anything is removed
    with fleet.user_db.begin(read_only=True) as session:
        tenant = None if context.tenant_id is None else session.get(Tenant, context.tenant_id)
        if tenant is None:
            return {"final_copy": None}
        if tenant.state != TenantState.DELETED:
            raise OperationRefused(f"The tenant {tenant.slug} was brought back; it is {tenant.state}.")
        place, since = place_of(tenant), database_time(session) - (tenant.purge_after or database_time(session))
        earlier, uncopied = _earlier_results(session, tenant.id), _uncopied(session, tenant)
    if (kept := _earlier_copy(fleet, place, earlier)) is not None or not _wants_copy(context.arguments):
        return {"final_copy": kept}
    if fleet.settings.backups_store is None:
        raise CopyRequired(place.slug)
    _check_copied(fleet, place, uncopied)
    # Requests that were let in just before the tenant was deleted may still be writing.
    wait = timedelta(seconds=time_of_requests(fleet.settings))
    time.sleep(max(timedelta(0), wait - max(timedelta(0), since)).total_seconds())
    try:
        return {"final_copy": final_copy(context, place)}
    except UNCOPIED as error:
        raise NotCopied(place.slug, str(error)) from error


def _uncopied(session: Session, tenant: Tenant) -> dict[str, str]:
    """Return what would be removed too but is in no copy: a phrase for each, by the name of a database.

    For the tenant's present database, that is the copy that an unsuccessful migration may have left.
    """
    migrations = select(Operation.state).where(Operation.tenant_id == tenant.id, Operation.kind == "migrate")
    last = session.scalar(migrations.order_by(Operation.id.desc()).limit(1))
    snapshot = "the copy that its last migration has left" if last not in (None, OperationState.SUCCEEDED) else ""
    before = [found.arguments["database"] for found in replaced_databases(session, tenant.id) if is_kept(found)]
    return {tenant.database: snapshot} | {name: f"its earlier database {name}" for name in before}


def _check_copied(fleet: Fleet, place: TenantPlace, uncopied: dict[str, str]) -> None:
    """Raise ``OperationRefused`` if the tenant has data that its final copy would not have."""
    snapshot = snapshot_of(fleet.servers[place.server], place.database, f"the database of {place.slug}")
    there = [words for name, words in uncopied.items() if words and (name != place.database or snapshot.exists())]
    if there:
        raise OperationRefused(
            f"The tenant {place.slug} is not removed: {' and '.join(there)} would be removed too, and there is no copy "
            "of that. Bring the tenant back and mend that, or remove it without a copy."
        )


def _earlier_results(session: Session, tenant_id: UUID) -> list[dict[str, Any]]:
    """Return the results of removals that got past the copy and were given up. Since then nobody could write."""
    further = select(Operation).where(Operation.tenant_id == tenant_id, Operation.kind == DELETE.name)
    further = further.where(Operation.step.in_([name for name in DELETE.names if name != COPY]))
    return [operation.result for operation in session.scalars(further.order_by(Operation.id))]


def _earlier_copy(fleet: Fleet, place: TenantPlace, results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the copy that an earlier removal made: the database may be removed already.

    A bundle of an earlier version was not proved, so it counts only if the database does not exist any more.
    """
    for name in ("final_copy", "final_bundle"):
        for result in results:
            if result.get(name) is not None:
                is_all = name == "final_copy" or not databases_on(fleet.servers[place.server]).exists(place.database)
                return dict(result[name]) if is_all else None
    return None


def _drop(context: Context) -> None:
    for server, database in _databases(context):
        remove_database(context.fleet.servers[server], database, f"the database of {context.slug}")


def _remove_exports(context: Context) -> None:
    if context.tenant_id is not None:
        remove_exports(context.fleet, context.tenant_id)


def _remove_files(context: Context) -> None:
    if context.tenant_id is not None:
        remove_files(context.fleet.settings, context.tenant_id, context.slug or "")


def _check(context: Context) -> dict[str, Any]:
    for server, database in _databases(context):
        place = context.fleet.servers[server]
        left = [found.name for found in databases_on(place).found() if found.name == database]
        if left or snapshot_of(place, database, f"the database of {context.slug}").exists():
            raise ProvisioningFailed(f"server {server}", f"{database} or a copy of it still exists")
    hooks = deleted_hooks(context.fleet)
    return {"database": "removed", "role": "removed"} | ({"hooks": hooks} if hooks else {})


def _databases(context: Context) -> set[tuple[str, str]]:
    """Return the server and the name of the tenant's database, and of its former databases that are still kept."""
    given = context.arguments
    places = {(given["server"], given["database"])}
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = None if context.tenant_id is None else session.get(Tenant, context.tenant_id)
        if tenant is not None:
            before = replaced_databases(session, tenant.id)
            places |= {(operation.arguments["server"], operation.arguments["database"]) for operation in before}
            # The tenant may have another database than when this was requested.
            places.add((tenant.server, tenant.database))
    return places


def _remove_rows(session: Session, operation: Operation) -> None:
    """Remove the tenant's row and what refers to it, and count that in the result."""
    tenant_id = operation.tenant_id
    counts = {
        "grants": session.scalar(select(func.count()).select_from(Grant).where(Grant.tenant_id == tenant_id)),
        "web_sessions": session.scalar(
            select(func.count()).select_from(WebSession).where(WebSession.tenant_id == tenant_id)
        ),
        "api_tokens": session.scalar(select(func.count()).select_from(ApiToken).where(ApiToken.tenant_id == tenant_id)),
        "service_accounts": session.scalar(
            select(func.count()).select_from(User).where(User.service_tenant_id == tenant_id)
        ),
        "operations_cancelled": _settle_others(session, operation),
    }
    operation.result = {**operation.result, **counts}
    tenant = None if tenant_id is None else session.get(Tenant, tenant_id)
    if tenant is not None:
        # The rights in it go with it, so nothing else tells of them.
        record(session, "tenant.remove", tenant_id=tenant.id, slug=tenant.slug, detail=counts)
        if not is_rehearsal(session, tenant.id):
            request_deleted_hooks(session, operation.result.get("hooks", ()), tenant, operation.requested_by)
        end_with_tenant(session, tenant)
        session.delete(tenant)
    session.flush()


def _settle_others(session: Session, operation: Operation) -> int:
    """Settle the other operations on the tenant, and the removals of its former databases, which are gone now.

    Returns the number of operations that were cancelled.
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
    (
        Step(COPY, _keep),
        Step("database", _drop),
        Step("exports", _remove_exports),
        Step("files", _remove_files),
        Step("check", _check),
    ),
    removes="database",
    keeps=True,
    complete=_remove_rows,
    formerly={FORMERLY: COPY},
)
