"""Each night, a worker tests whether the newest backup of some tenant can be restored."""

import zlib
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from tenantapp.fleet.backups.backup_kind import BACKUP
from tenantapp.fleet.backups.chunks import told
from tenantapp.fleet.backups.rehearsing import rehearse_restore
from tenantapp.fleet.backups.selection import find_backup
from tenantapp.fleet.backups.store import open_store
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.sql.times import utcnow

LOCK: Final = zlib.crc32(b"tenantapp nightly rehearsal")


def rehearse_nightly(fleet: Fleet) -> None:
    """Request the rehearsal of tonight, unless it was requested already: a chore of workers.

    It looks first without the write lock, of which SQLite has only one.
    """
    at = fleet.settings.backups_rehearse
    if at is None or fleet.settings.backups_store is None:
        return
    with fleet.user_db.begin(read_only=True) as session:
        if _due(session, at) is None:
            return
    with fleet.user_db.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.scalar(select(func.pg_advisory_xact_lock(LOCK)))
        tenant = _due(session, at)
        if tenant is not None:
            # The operation is not the tenant's: it reads only the store, so others may work on the tenant meanwhile.
            arguments = {"tenant": str(tenant.id)}
            request_operation(session, REHEARSE, None, arguments, local_requester(), slug=tenant.slug)


def _due(session: Session, at: time) -> Tenant | None:
    """Return the tenant to rehearse now, or None if there is none, or if this was done since the last ``at``."""
    latest = select(Operation.created_at).where(Operation.kind == REHEARSE.name).order_by(Operation.id.desc()).limit(1)
    requested = session.scalar(latest)
    if requested is not None and requested >= _last(at, utcnow()):
        return None
    # A tenant whose last rehearsal is the oldest: at first those that had none, in any order.
    last = select(func.max(Operation.created_at)).where(Operation.kind == REHEARSE.name, Operation.slug == Tenant.slug)
    backed_up = exists().where(
        Operation.kind == BACKUP.name,
        Operation.tenant_id == Tenant.id,
        Operation.state == OperationState.SUCCEEDED,
    )
    tenants = select(Tenant).where(Tenant.state.in_((TenantState.ACTIVE, TenantState.SUSPENDED)), backed_up)
    return session.scalar(tenants.order_by(last.scalar_subquery().nulls_first(), func.random()).limit(1))


def _last(at: time, now: datetime) -> datetime:
    """Return the last moment, up to now, at which it was this time of day in UTC."""
    today = datetime.combine(now.astimezone(UTC), at, UTC)
    return today if today <= now else today - timedelta(days=1)


def _rehearse(context: Context) -> dict[str, Any]:
    fleet = context.fleet
    with fleet.user_db.begin(read_only=True) as session:
        tenant = session.get(Tenant, UUID(context.arguments["tenant"]))
        if tenant is None:
            raise OperationRefused(f"The tenant {context.slug} does not exist any more.")
        tenant_id, slug, server = tenant.id, tenant.slug, fleet.servers[tenant.server]
    store = open_store(fleet.settings)
    record = find_backup(store, tenant_id, slug, None)
    progress = told(context, 2 * record.size)
    done = rehearse_restore(fleet, server, record, store, progress, key=context.operation_id)
    taken = record.model_dump(mode="json", include={"created_at"})["created_at"]
    rows = None if done.rows is None else sum(done.rows.values())
    restored = {"revision": done.revision, "rows": rows, "drift": list(done.drift)}
    return {"backup": record.id, "taken_at": taken, "server": server.name} | restored


REHEARSE: Final = Kind("rehearse", (Step("restore", _rehearse),))
