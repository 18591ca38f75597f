"""The kind of operation that migrates one tenant: requested by itself, or left by a killed run."""

import time
from typing import Any, Final

from sqlalchemy.orm import Session

from tenantapp.databases.errors import DatabaseBusy, HistoryError, MigrationRefused, UnknownRevision
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.closing.fence import fence_database, fence_kept
from tenantapp.fleet.migrating.fenced_move import FencedMove
from tenantapp.fleet.migrating.ledger import KIND
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder, retry_delay
from tenantapp.fleet.migrating.plan import make_plan
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import served_tenant
from tenantapp.operations.errors import LeaseLost, OperationStopped
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.leases import finish
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import request_operation

LOOK_EVERY: Final = 1.0  # seconds between two checks while it waits for a lock


def request_migration(
    session: Session, fleet: Fleet, slug: str, *, to: str | None = None, requested_by: str, **options: Any
) -> Operation:
    """Queue the migration of a tenant's database up to a revision, by default the newest.

    If the database is there already, the operation succeeds at once. ``options`` are those of ``request_operation``.
    Raises ``NotFound``, ``TenantUnfinished``, ``TenantDeleted``, ``UnknownRevision``, ``HistoryError``, and
    ``MigrationRefused`` if no way leads up to the revision.
    """
    history = TenantHistory(fleet.settings)
    plan = make_plan(session, history, _resolve(history, to), [slug])
    for refused in plan.refused:
        raise MigrationRefused(refused.error)
    tenant = served_tenant(session, slug)
    (order,) = [*plan.orders, *(done.order for done in plan.done)]
    return request_operation(session, MIGRATE, tenant, order.arguments, requested_by, **options)


def _resolve(history: TenantHistory, revision: str | None) -> str:
    if revision is None:
        return history.head
    try:
        return history.resolve(revision)
    except HistoryError as error:
        raise UnknownRevision(revision) from error


def _migrate(context: Context) -> None:
    if context.tenant_id is None:
        raise MigrationRefused("The tenant does not exist any more.")
    settings = context.fleet.settings
    order = MigrationOrder.of_operation(context.tenant_id, str(context.slug), context.arguments)
    user_db = fence_database(settings)

    def is_claimed(order: MigrationOrder) -> bool:
        try:
            context.check()
        except LeaseLost:
            return False
        except OperationStopped:
            pass  # this worker must end, but has the claim until then
        return True

    move = FencedMove(user_db, Migrator(context.fleet, TenantHistory(settings)), is_claimed)
    try:
        with fence_kept(user_db, order.tenant_id, snapshot=order.snapshot):
            _try(move, order, context)
    finally:
        user_db.dispose()


def _try(move: FencedMove, order: MigrationOrder, context: Context) -> None:
    attempts = context.fleet.settings.migrations_lock_attempts
    for attempt in range(1, attempts + 1):
        try:
            move.migrate(order)
            return
        except DatabaseBusy:
            if attempt == attempts:
                raise
        for _ in range(round(retry_delay(attempt) / LOOK_EVERY)):
            context.progress(0, "waiting for a lock")
            time.sleep(LOOK_EVERY)


def _finish_if_there(session: Session, operation: Operation) -> None:
    """Finish the operation if the tenant is at the revision already, so that it need not wait for a worker."""
    tenant = session.get(Tenant, operation.tenant_id)
    if tenant is not None and tenant.revision == operation.arguments["to"]:
        operation.progress = 1.0
        finish(session, operation, OperationState.SUCCEEDED)
        operation.started_at = operation.finished_at


MIGRATE: Final = Kind(KIND, (Step("database", _migrate),), prepare=_finish_if_there)
