"""What the kinds of operation that make a tenant have in common, wherever its data come from.

Their arguments have the new tenant's ``slug``, ``name`` and ``server``, and our ``mark``; ``tenant_id`` is added when
the row of the tenant is made. Their result has the ``revision`` of the new database.
"""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import database_name, place_of, register_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.foreground import Request, run_now
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import Report
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace


def register(session: Session, operation: Operation, tenant_id: UUID | None = None) -> Tenant:
    """Make the row, which claims the slug, under this id or a new one. Raises ``InvalidValue`` and ``AlreadyExists``.

    Each attempt makes a tenant, and so a database, of its own.
    """
    given = operation.arguments
    tenant_id = tenant_id or uuid7()
    tenant = register_tenant(session, tenant_id, given["slug"], name=given["name"], server=given["server"])
    operation.tenant_id, operation.slug = tenant_id, tenant.slug
    operation.arguments = {**given, "tenant_id": str(tenant_id)}
    return tenant


def _prepare(session: Session, operation: Operation) -> None:
    register(session, operation)


def _activate(session: Session, operation: Operation) -> None:
    """The database is ready: serve the tenant."""
    creating = update(Tenant).where(Tenant.id == _tenant_id(operation), Tenant.state == TenantState.CREATING)
    session.execute(creating.values(state=TenantState.ACTIVE, revision=operation.result["revision"]))


def _withdraw(session: Session, operation: Operation) -> None:
    """The database is gone again: so is the tenant."""
    session.execute(delete(Tenant).where(Tenant.id == _tenant_id(operation), Tenant.state == TenantState.CREATING))


def _tenant_id(operation: Operation) -> UUID:
    return UUID(operation.arguments["tenant_id"])


def tenant_kind(name: str, *steps: Step, prepare: Callable[[Session, Operation], None] = _prepare) -> Kind:
    """A kind of operation that makes a tenant: all of it, or nothing of it."""
    return Kind(name, steps, undoes=True, prepare=prepare, complete=_activate, withdraw=_withdraw)


def new_tenant(context: Context) -> TenantPlace:
    """The tenant that is being made."""
    with context.fleet.user_db.begin(read_only=True) as session:
        return place_of(session.get_one(Tenant, context.tenant_id))


def drop_new_database(context: Context) -> None:
    """Undo what has made the database of the tenant of the arguments, whatever there is of it."""
    given = context.arguments
    databases_on(context.fleet.servers[given["server"]]).drop(database_name(UUID(given["tenant_id"])))


def make_tenant(fleet: Fleet, kind: Kind, request: Request, report: Report) -> TenantPlace:
    """Request the operation that makes a tenant, work on it here, and say where the tenant is.

    Raises what ``run_now`` does.
    """
    operation_id = run_now(fleet, {kind.name: kind}, request, report=report)
    made = select(Tenant).join(Operation, Operation.tenant_id == Tenant.id).where(Operation.id == operation_id)
    with fleet.user_db.begin(read_only=True) as session:
        return place_of(session.scalars(made).one())
