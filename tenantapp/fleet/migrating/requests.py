"""Asking for the migration of one tenant, as an operation that a worker works on."""

from typing import Any

from sqlalchemy.orm import Session

from tenantapp.databases.errors import HistoryError, MigrationRefused, UnknownRevision
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.kind import MIGRATE
from tenantapp.fleet.migrating.ledger import arguments_of
from tenantapp.fleet.migrating.plan import Wish, make_plan
from tenantapp.identity.errors import TenantDeleted
from tenantapp.identity.models import TenantState
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import request_operation


def request_migration(
    session: Session, fleet: Fleet, slug: str, *, to: str | None = None, requested_by: str, **options: Any
) -> Operation:
    """Queue the migration of a tenant's database up to a revision, the newest if none is named.

    One that is there already is succeeded at once. ``options`` are those of ``request_operation``.
    Raises ``NotFound``, ``TenantUnfinished``, ``TenantDeleted``, ``UnknownRevision``, ``HistoryError``, and
    ``MigrationRefused`` for a way that leads down or nowhere.
    """
    history = TenantHistory(fleet.settings)
    plan = make_plan(session, history, Wish(revision=_resolve(history, to), slugs=[slug]))
    for refused in plan.refused:
        raise MigrationRefused(refused.error)
    tenant = get_tenant(session, slug)
    if tenant.state == TenantState.DELETED:
        raise TenantDeleted(slug)
    (order,) = [*plan.orders, *(done.order for done in plan.done)]
    return request_operation(session, MIGRATE, tenant, arguments_of(order), requested_by, **options)


def _resolve(history: TenantHistory, revision: str | None) -> str:
    if revision is None:
        return history.head
    try:
        return history.resolve(revision)
    except HistoryError as error:
        raise UnknownRevision(revision) from error
