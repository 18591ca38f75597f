"""Deleting tenants: at first nobody is served any more, later nothing is left."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from tenantapp.databases.errors import ProvisioningFailed
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.backups.export_kind import remove_exports
from tenantapp.fleet.backups.final_copies import final_copy
from tenantapp.fleet.closing.discarding import is_kept, remove_database, replaced_databases
from tenantapp.fleet.errors import CopyRequired
from tenantapp.identity.errors import TenantNotDeleted
from tenantapp.identity.models import Grant, Tenant, TenantState, WebSession
from tenantapp.identity.tenants import delete_tenant, get_tenant, place_of, undelete_tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet, time_of_requests
from tenantapp.operations.kinds import Context, Kind, Kinds, Step
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import ACTIVE, FINISHED, Operation, OperationState
from tenantapp.operations.queue import cancel_operation, local_requester, request_operation
from tenantapp.tenancy.access import TenantPlace

COPY: Final = "copy"  # the step before anything is removed, and the argument that says whether there is to be one
FORMERLY: Final = "bundle"  # what both were called as long as the copy was a bundle
KEEPING: Final = (COPY, FORMERLY)


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
        if operation.step not in (None, *KEEPING) or operation.state in ACTIVE:
            raise OperationRefused(f"The removal of the tenant {slug} has begun.")
        if operation.state == OperationState.QUEUED:
            cancel_operation(session, operation.id, kinds)
        # One that could not even begin keeps no later removal from being requested.
        operation.step = None
    return tenant


def request_purge(
    session: Session, fleet: Fleet, slug: str, *, requested_by: str, copy: bool = True, **options: Any
) -> Operation:
    """Queue the removal of a deleted tenant and of all that is left of it. It cannot be brought back.

    A final copy goes to the store of the settings first, and is proved, unless ``copy`` is false. Where the same
    removal is queued or at work already, that one is returned. ``options`` are those of ``request_operation``. Raises
    ``NotFound``, ``TenantNotDeleted``, and ``CopyRequired`` if there is no store for the copy.
    """
    tenant = _deleted_tenant(session, slug)
    if copy and fleet.settings.backups_store is None:
        raise CopyRequired(slug)
    return _request(session, tenant, requested_by, copy=copy, **options)


def _deleted_tenant(session: Session, slug: str) -> Tenant:
    # Whoever asks at the same moment waits for us.
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
    """Request the removal of the tenants whose grace period is over, each with a final copy.

    Where there can be none, the removal fails before it has begun, and waits for somebody to see to it.
    """
    with fleet.user_db.begin(read_only=True) as session:
        due = session.scalars(_due(session)).all()
    for slug in due:
        with fleet.user_db.begin() as session:
            # Another worker may be at it.
            if session.scalar(_due(session).where(Tenant.slug == slug).with_for_update()) is not None:
                _request(session, _deleted_tenant(session, slug), local_requester(), copy=True)


def _due(session: Session) -> Select[str]:
    """The slugs of those to be purged now, less those that an operation is about already or could not purge."""
    begun = (Operation.kind == DELETE.name) & Operation.step.is_not(None)
    stopped_in_time = (Operation.state == OperationState.CANCELLED) & Operation.step.in_(KEEPING)
    known = select(Operation.tenant_id).where(
        Operation.tenant_id.is_not(None), Operation.state.not_in(FINISHED) | (begun & ~stopped_in_time)
    )
    deleted = select(Tenant.slug).where(Tenant.state == TenantState.DELETED, Tenant.id.not_in(known))
    return deleted.where(Tenant.purge_after <= database_time(session))


def _keep(context: Context) -> dict[str, Any]:
    """The first step: nothing has been removed before, and nothing is until the copy of it is proved."""
    fleet = context.fleet
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
    # What was let in just before the tenant was deleted may still be writing.
    wait = timedelta(seconds=time_of_requests(fleet.settings))
    time.sleep(max(timedelta(0), wait - max(timedelta(0), since)).total_seconds())
    return {"final_copy": final_copy(context, place)}


def _uncopied(session: Session, tenant: Tenant) -> dict[str, str]:
    """What a copy of its database does not have, though it would be removed too: in words, by a database's name.

    Of its own database that is what a migration has copied that did not succeed, if that is there.
    """
    migrations = select(Operation.state).where(Operation.tenant_id == tenant.id, Operation.kind == "migrate")
    last = session.scalar(migrations.order_by(Operation.id.desc()).limit(1))
    snapshot = "the copy that its last migration has left" if last not in (None, OperationState.SUCCEEDED) else ""
    before = [found.arguments["database"] for found in replaced_databases(session, tenant.id) if is_kept(found)]
    return {tenant.database: snapshot} | {name: f"its earlier database {name}" for name in before}


def _check_copied(fleet: Fleet, place: TenantPlace, uncopied: dict[str, str]) -> None:
    """Raise ``OperationRefused`` if there is anything of a tenant that its final copy would not have."""
    snapshot = snapshot_of(fleet.servers[place.server], place.database, f"the database of {place.slug}")
    there = [words for name, words in uncopied.items() if words and (name != place.database or snapshot.exists())]
    if there:
        raise OperationRefused(
            f"The tenant {place.slug} is not removed, for {' and '.join(there)} would go too, and is in no copy: "
            "bring it back and mend that, or remove it without a copy."
        )


def _earlier_results(session: Session, tenant_id: UUID) -> list[dict[str, Any]]:
    """What removals that got further and were given up have returned; since then nobody was let in."""
    further = select(Operation).where(Operation.tenant_id == tenant_id, Operation.kind == DELETE.name)
    further = further.where(Operation.step.in_([name for name in DELETE.names if name != COPY]))
    return [operation.result for operation in session.scalars(further.order_by(Operation.id))]


def _earlier_copy(fleet: Fleet, place: TenantPlace, results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What was kept then: there may be no database any more to keep a copy of.

    A bundle, which an earlier version has kept, was not proved: it counts only where there is nothing else.
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
    (Step(COPY, _keep), Step("database", _drop), Step("exports", _remove_exports), Step("check", _check)),
    removes="database",
    keeps=True,
    complete=_remove_rows,
    formerly={FORMERLY: COPY},
)
