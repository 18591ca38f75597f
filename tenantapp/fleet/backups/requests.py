"""The services that request backups and restores. Commands and views call them."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.backups.backup_kind import BACKUP
from tenantapp.fleet.backups.moments import Moment, moment_arguments
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.restore_kinds import RESTORE, RESTORE_AS
from tenantapp.fleet.backups.selection import check_restorable, check_whose, find_backup, server_for
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.closing.switching import switch_arguments
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, refuse_branch, refuse_unfinished
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import request_operation
from tenantapp.tenancy.servers import Server


def list_backups(fleet: Fleet, tenant_id: UUID) -> list[BackupRecord]:
    """Return a tenant's backups, newest first. Raises ``BackupRefused``, ``BackupDamaged`` and ``BackupFailed``."""
    return open_store(fleet.settings).records(tenant_id)


def source_of(session: Session, slug: str, tenant_id: UUID | None) -> UUID:
    """Return the id of the tenant whose backups are meant: ``tenant_id``, or else that of the tenant ``slug``.

    A given ``tenant_id`` may be that of a removed tenant. Raises ``NotFound``.
    """
    return get_tenant(session, slug).id if tenant_id is None else tenant_id


def request_backup(
    session: Session, fleet: Fleet, slug: str, *, requested_by: str, operation_id: UUID | None = None
) -> Operation:
    """Queue the backup of a tenant. Raises ``NotFound``, ``TenantUnfinished`` and ``BackupRefused``."""
    tenant = get_tenant(session, slug)
    refuse_unfinished(tenant)
    open_store(fleet.settings)
    return request_operation(session, BACKUP, tenant, {}, requested_by, operation_id=operation_id)


def request_restore(
    session: Session,
    fleet: Fleet,
    slug: str,
    *,
    backup: str | None = None,
    at: Moment | None = None,
    accept_drift: bool = False,
    requested_by: str,
    operation_id: UUID | None = None,
) -> Operation:
    """Queue the restore of a tenant in place: from the backup with this id or from the newest, or as it was ``at``.

    With ``accept_drift``, the structure need not be that of the revision. Raises ``NotFound``, ``TenantExpires``,
    ``OperationRefused``, ``BackupRefused``, ``BackupDamaged``, ``BackupFailed`` and ``UnknownRevision``; for a moment,
    what ``moment_arguments`` raises.
    """
    tenant = get_tenant(session, slug)
    refuse_branch(tenant, "restored in place")
    server = fleet.servers[tenant.server]
    arguments = switch_arguments(fleet, tenant, server)
    if at is not None:
        about = moment_arguments(session, fleet, tenant.id, slug, at, server)
    else:
        about = {"backup": _restorable(fleet, tenant.id, slug, backup, server).id}
    arguments |= about | _about(session, tenant.id, accept_drift=accept_drift)
    return request_operation(session, RESTORE, tenant, arguments, requested_by, operation_id=operation_id)


def request_restore_as(
    session: Session,
    fleet: Fleet,
    slug: str,
    new_slug: str,
    *,
    backup: str | None = None,
    at: Moment | None = None,
    name: str | None = None,
    server: str | None = None,
    tenant_id: UUID | None = None,
    accept_drift: bool = False,
    requested_by: str,
    operation_id: UUID | None = None,
) -> Operation:
    """Queue the making of a new tenant from a backup of the tenant ``slug``, or from what it had ``at`` a moment.

    If that tenant was removed, ``tenant_id`` is needed. ``server`` defaults to the tenant's server, or to the default
    one if the tenant was removed; ``name`` defaults to the name in the backup. Raises what ``request_restore`` raises,
    ``BackupRefused`` if ``tenant_id`` is not that of ``slug``, ``InvalidValue``, ``AlreadyExists`` and ``ServerError``.
    """
    of = source_of(session, slug, tenant_id)
    tenant = session.get(Tenant, of)
    place = server_for(fleet.servers, tenant, server)
    if at is not None:
        about = moment_arguments(session, fleet, of, slug, at, place)
        called = slug if tenant is None else tenant.name
    else:
        record = _restorable(fleet, of, slug, backup, place)
        check_whose(record, None if tenant is None else tenant.slug, slug)
        about, called = {"backup": record.id}, record.name
    arguments = {"slug": new_slug, "name": name or called, "server": place.name, "source_slug": slug}
    arguments |= about | _about(session, of, accept_drift=accept_drift)
    return request_operation(session, RESTORE_AS, None, arguments, requested_by, operation_id=operation_id)


def _restorable(fleet: Fleet, tenant_id: UUID, slug: str, backup: str | None, server: Server) -> BackupRecord:
    record = find_backup(open_store(fleet.settings), tenant_id, slug, backup)
    check_restorable(fleet.settings, record, server)
    return record


def _about(session: Session, tenant_id: UUID, *, accept_drift: bool) -> dict[str, Any]:
    """Return the arguments that both kinds of restore have."""
    return {
        "backup_of": str(tenant_id),
        "accept_drift": accept_drift,
        "mark": installation_mark(session),
    }
