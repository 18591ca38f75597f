"""What all kinds of operation that make a tenant share, wherever the data come from.

Their arguments hold the new tenant's ``slug``, ``name`` and ``server``, and our ``mark``; some also the login of its
first ``administrator``, and those of a branch when it ``expires_at``. ``tenant_id`` is added when the tenant's row is
made. Their result holds the ``revision`` of the new database.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.hooks.declarations import HookEvent
from tenantapp.fleet.hooks.steps import hook_step
from tenantapp.identity.administrators import name_administrator
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import ask_the_same, database_name, place_of, register_tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.foreground import Request, run_now
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import SOURCES
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace


def register(session: Session, operation: Operation, tenant_id: UUID | None = None) -> Tenant:
    """Make the tenant's row, which claims the slug, under the given id or a new one.

    Each attempt makes a new tenant, and so a new database. If a first administrator is named, they get their role at
    once, and can enter when the tenant is ready; if the attempt is undone, the role goes with the row. If the data are
    those of another tenant that still exists, it asks the same of people. Raises ``InvalidValue``, ``AlreadyExists``,
    and ``OperationRefused`` for a branch whose time is over.
    """
    given = operation.arguments
    tenant_id = tenant_id or uuid7()
    tenant = register_tenant(
        session,
        tenant_id,
        given["slug"],
        name=given["name"],
        server=given["server"],
        expires_at=_expiry(session, given.get("expires_at")),
    )
    original_id = next((UUID(given[name]) for name in SOURCES if name in given), None)
    if original_id is not None and (original := session.get(Tenant, original_id)) is not None:
        ask_the_same(tenant, original)
    operation.tenant_id, operation.slug = tenant_id, tenant.slug
    operation.arguments = {**given, "tenant_id": str(tenant_id)}
    if given.get("administrator") is not None:
        name_administrator(session, tenant_id, given["administrator"])
    return tenant


def _expiry(session: Session, text: str | None) -> datetime | None:
    """Return the time at which a branch expires. An operation that was undone may be retried when it is over."""
    expires_at = None if text is None else datetime.fromisoformat(text)
    if expires_at is not None and expires_at <= database_time(session):
        raise OperationRefused("The branch would have expired by now. Make another one.")
    return expires_at


def _prepare(session: Session, operation: Operation) -> None:
    register(session, operation)


def _activate(session: Session, operation: Operation) -> None:
    """Serve the tenant: its database is ready."""
    creating = update(Tenant).where(Tenant.id == _tenant_id(operation), Tenant.state == TenantState.CREATING)
    session.execute(creating.values(state=TenantState.ACTIVE, revision=operation.result["revision"]))


def _withdraw(session: Session, operation: Operation) -> None:
    """Remove the tenant's row: its database has been removed."""
    session.execute(delete(Tenant).where(Tenant.id == _tenant_id(operation), Tenant.state == TenantState.CREATING))


def _tenant_id(operation: Operation) -> UUID:
    return UUID(operation.arguments["tenant_id"])


def tenant_kind(
    name: str, *steps: Step, event: HookEvent, prepare: Callable[[Session, Operation], None] = _prepare
) -> Kind:
    """Return a kind of operation that makes a tenant completely, or is undone completely.

    Its last step runs the domain's hooks of the event, before the tenant is served.
    """
    return Kind(name, (*steps, hook_step(event)), undoes=True, prepare=prepare, complete=_activate, withdraw=_withdraw)


def new_tenant(context: Context) -> TenantPlace:
    """Return the tenant that is being made."""
    with context.fleet.user_db.begin(read_only=True) as session:
        return place_of(session.get_one(Tenant, context.tenant_id))


def drop_new_database(context: Context) -> None:
    """Undo the making of the tenant's database, complete or not."""
    given = context.arguments
    databases_on(context.fleet.servers[given["server"]]).drop(database_name(UUID(given["tenant_id"])))


def make_tenant(fleet: Fleet, kind: Kind, request: Request, report: Report) -> TenantPlace:
    """Request the operation that makes a tenant, work on it in this process, and return the tenant's place.

    Raises what ``run_now`` raises.
    """
    operation_id = run_now(fleet, {kind.name: kind}, request, report=report)
    made = select(Tenant).join(Operation, Operation.tenant_id == Tenant.id).where(Operation.id == operation_id)
    with fleet.user_db.begin(read_only=True) as session:
        return place_of(session.scalars(made).one())
