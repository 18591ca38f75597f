"""What is to be done with which tenant, as the user database has it: no tenant's database is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session, aliased

from tenantapp.databases.errors import MigrationRefused
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.ledger import KIND
from tenantapp.fleet.migrating.orders import MigrationState, Order, Result
from tenantapp.identity.errors import NotFound, TenantDeleted, TenantUnfinished
from tenantapp.identity.models import SERVED, Tenant, TenantState
from tenantapp.operations.models import Operation, OperationState


@dataclass(frozen=True, slots=True)
class Plan:
    """The tenants in the order in which they are begun; those that are there already; those that cannot get there."""

    wanted: str
    orders: list[Order]
    done: list[Result]
    refused: list[Result]


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator asks for: to which revision, of which tenants (all if none is named), and how."""

    revision: str = "head"
    slugs: Sequence[str] = ()
    retry_failed: bool = False
    down: bool = False
    snapshot: bool = False


def make_plan(session: Session, history: TenantHistory, wish: Wish) -> Plan:
    """Compare every tenant's revision with the one that is wanted.

    Raises ``HistoryError``, ``NotFound``, ``TenantUnfinished``, ``TenantDeleted``, and ``MigrationRefused`` where
    several tenants are to be moved down.
    """
    if wish.down and len(set(wish.slugs)) != 1:
        raise MigrationRefused("A downgrade is for one tenant, which has to be named.")
    wanted = history.resolve(wish.revision)
    plan = Plan(wanted, [], [], [])
    rows = _tenants(session, wish)
    ways = {revision: _way(history, revision, wanted) for revision in {row.revision for row in rows}}
    for row in rows:
        order = Order(row.id, row.slug, row.revision, wanted, wish.down, wish.snapshot)
        way = ways[row.revision]
        if way == "none":
            plan.done.append(Result(order, MigrationState.ALREADY_THERE))
        elif isinstance(way, MigrationRefused):
            plan.refused.append(Result(order, MigrationState.FAILED, str(way)))
        elif way == "down" and not wish.down:
            reason = f"It is at {row.revision}, which is newer than {wanted}."
            plan.refused.append(Result(order, MigrationState.FAILED, reason))
        elif way == "up" and wish.down:
            reason = f"It is at {row.revision}, which is older than {wanted}."
            plan.refused.append(Result(order, MigrationState.FAILED, reason))
        else:
            plan.orders.append(order)
    return plan


def failed_tenants(session: Session) -> set[UUID]:
    """Those whose latest migration failed."""
    failed = latest_migrations().where(Operation.state == OperationState.FAILED)
    return {operation.tenant_id for operation in session.scalars(failed) if operation.tenant_id is not None}


def latest_migrations() -> Select[Operation]:
    """Of each tenant the last row of the ledger."""
    later = aliased(Operation)
    is_later = (later.tenant_id == Operation.tenant_id) & (later.kind == KIND) & (later.id > Operation.id)
    return select(Operation).where(Operation.kind == KIND, ~exists().where(is_later))


def _tenants(session: Session, wish: Wish) -> list[Any]:
    columns = (Tenant.id, Tenant.slug, Tenant.revision, Tenant.state)
    if wish.slugs:
        rows = {row.slug: row for row in session.execute(select(*columns).where(Tenant.slug.in_(wish.slugs)))}
        for slug in wish.slugs:
            if slug not in rows:
                raise NotFound("tenant", slug)
            if rows[slug].state == TenantState.CREATING:
                raise TenantUnfinished(slug)
            if rows[slug].state == TenantState.DELETED:
                raise TenantDeleted(slug)
        found = [rows[slug] for slug in dict.fromkeys(wish.slugs)]
    else:
        served = select(*columns).where(Tenant.state.in_(SERVED)).order_by(Tenant.slug)
        found = list(session.execute(served))
    failed = failed_tenants(session) if wish.retry_failed else set()
    return [row for row in found if not wish.retry_failed or row.id in failed]


def _way(history: TenantHistory, found: str | None, wanted: str) -> str | MigrationRefused:
    try:
        return history.direction(found, wanted)
    except MigrationRefused as refused:
        return refused
