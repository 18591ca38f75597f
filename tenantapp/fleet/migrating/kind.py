"""The kind of operation that migrates a tenant: what a worker does with a migration that whoever began it left."""

import time
from typing import Final

from sqlalchemy.orm import Session

from tenantapp.databases.errors import DatabaseBusy, MigrationRefused
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.closing.fence import fence_database, fence_kept
from tenantapp.fleet.migrating.fenced_move import TenantWorker
from tenantapp.fleet.migrating.ledger import KIND, order_of
from tenantapp.fleet.migrating.migrator import TenantMigrator
from tenantapp.fleet.migrating.orders import Order, retry_delay
from tenantapp.identity.models import Tenant
from tenantapp.operations.errors import LeaseLost, OperationStopped
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.leases import finish
from tenantapp.operations.models import Operation, OperationState

LOOK_EVERY: Final = 1.0  # seconds between two looks whether to go on waiting for a lock


def _migrate(context: Context) -> None:
    if context.tenant_id is None:
        raise MigrationRefused("The tenant is not there any more.")
    settings = context.fleet.settings
    order = order_of(context.tenant_id, str(context.slug), context.arguments)
    user_db = fence_database(settings)

    def is_claimed(order: Order) -> bool:
        try:
            context.check()
        except LeaseLost:
            return False
        except OperationStopped:
            pass  # it is to end, and is ours until it has
        return True

    worker = TenantWorker(user_db, TenantMigrator(context.fleet, TenantHistory(settings)), is_claimed)
    try:
        with fence_kept(user_db, order.tenant_id, snapshot=order.snapshot):
            _try(worker, order, context)
    finally:
        user_db.dispose()


def _try(worker: TenantWorker, order: Order, context: Context) -> None:
    attempts = context.fleet.settings.migrations_lock_attempts
    for attempt in range(1, attempts + 1):
        try:
            worker.migrate(order)
            return
        except DatabaseBusy:
            if attempt == attempts:
                raise
        for _ in range(round(retry_delay(attempt) / LOOK_EVERY)):
            context.progress(0, "waiting for a lock")
            time.sleep(LOOK_EVERY)


def _finish_if_there(session: Session, operation: Operation) -> None:
    """A tenant that is at the revision already need not wait for a worker."""
    tenant = session.get(Tenant, operation.tenant_id)
    if tenant is not None and tenant.revision == operation.arguments["to"]:
        operation.progress = 1.0
        finish(session, operation, OperationState.SUCCEEDED)
        operation.started_at = operation.finished_at


MIGRATE: Final = Kind(KIND, (Step("database", _migrate),), prepare=_finish_if_there)
