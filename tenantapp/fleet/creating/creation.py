"""The kind of operation that makes a tenant."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from tenantapp.fleet.creating.from_template import STEPS
from tenantapp.fleet.creating.warm import take_warm
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import place_of, register_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.foreground import run_now
from tenantapp.operations.kinds import Kind
from tenantapp.operations.leases import finish
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.outcomes import Report
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace


def register(session: Session, operation: Operation, tenant_id: UUID) -> Tenant:
    """The row claims the slug. Raises ``InvalidValue`` and ``AlreadyExists``."""
    given = operation.arguments
    tenant = register_tenant(session, tenant_id, given["slug"], name=given["name"], server=given["server"])
    operation.tenant_id, operation.slug = tenant_id, tenant.slug
    operation.arguments = {**given, "tenant_id": str(tenant_id)}
    return tenant


def _prepare(session: Session, operation: Operation) -> None:
    """With a database that is ready, the row is all there is to do."""
    given = operation.arguments
    warm = take_warm(session, given["server"], given["template"])
    tenant = register(session, operation, uuid7() if warm is None else warm.tenant_id)
    if warm is not None:
        tenant.state, tenant.revision = TenantState.ACTIVE, warm.revision
        operation.result, operation.progress = {"template": warm.template, "revision": warm.revision, "warm": True}, 1.0
        finish(session, operation, OperationState.SUCCEEDED)
        operation.started_at = operation.finished_at
        session.flush()


def activate(session: Session, operation: Operation) -> None:
    """The database is ready: serve the tenant."""
    creating = update(Tenant).where(Tenant.id == _tenant_id(operation), Tenant.state == TenantState.CREATING)
    session.execute(creating.values(state=TenantState.ACTIVE, revision=operation.result["revision"]))


def withdraw(session: Session, operation: Operation) -> None:
    """The database is gone again: so is the tenant."""
    session.execute(delete(Tenant).where(Tenant.id == _tenant_id(operation), Tenant.state == TenantState.CREATING))


def _tenant_id(operation: Operation) -> UUID:
    return UUID(operation.arguments["tenant_id"])


def make_now(fleet: Fleet, kind: Kind, request: Callable[[Session, UUID], Operation], report: Report) -> TenantPlace:
    """Make the tenant that is requested, and say where it is. Raises what ``run_now`` does."""
    places: list[TenantPlace] = []

    def requested(session: Session, operation_id: UUID) -> Operation:
        operation = request(session, operation_id)
        places.append(place_of(session.get_one(Tenant, operation.tenant_id)))
        return operation

    run_now(fleet, {kind.name: kind}, requested, report=report)
    return places[-1]


CREATE: Final = Kind("create", STEPS, undoes=True, prepare=_prepare, complete=activate, withdraw=withdraw)
