"""Which tenants are to be migrated, by the user database alone. No tenant database is asked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.databases.errors import MigrationRefused
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.fleet.migrating.status import failed_tenants
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, served_tenant


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The orders, in the order in which they begin; the tenants already there; and those that cannot get there."""

    wanted: str
    orders: list[MigrationOrder] = field(default_factory=list)
    done: list[MigrationResult] = field(default_factory=list)
    refused: list[MigrationResult] = field(default_factory=list)


def make_plan(
    session: Session,
    history: TenantHistory,
    revision: str = "head",
    slugs: Sequence[str] = (),
    *,
    left_out: Collection[str] = (),
    retry_failed: bool = False,
    down: bool = False,
    snapshot: bool = False,
) -> MigrationPlan:
    """Return a plan: compare the revision of each tenant with the wanted one.

    The plan is for the named tenants, or for all, without those that are ``left_out``. With ``retry_failed`` it is only
    for those whose last migration failed. ``down`` and ``snapshot`` go into the orders. Raises ``HistoryError``,
    ``NotFound``, ``TenantUnfinished``, ``TenantDeleted``, and ``MigrationRefused`` for a downgrade unless exactly one
    tenant is named.
    """
    if down and len(set(slugs)) != 1:
        raise MigrationRefused("A downgrade is for one tenant, which has to be named.")
    wanted = history.resolve(revision)
    plan = MigrationPlan(wanted)
    without = {get_tenant(session, slug).slug for slug in left_out}
    rows = [row for row in _tenants(session, slugs) if row.slug not in without]
    if retry_failed:
        failed = failed_tenants(session)
        rows = [row for row in rows if row.id in failed]
    refusals = {revision: _why_not(history, revision, wanted, down) for revision in {row.revision for row in rows}}
    for row in rows:
        order = MigrationOrder(row.id, row.slug, row.revision, wanted, down, snapshot)
        if row.revision == wanted:
            plan.done.append(MigrationResult(order, MigrationState.ALREADY_THERE))
        elif (refusal := refusals[row.revision]) is not None:
            plan.refused.append(MigrationResult(order, MigrationState.FAILED, refusal))
        else:
            plan.orders.append(order)
    return plan


def _why_not(history: TenantHistory, found: str | None, wanted: str, down: bool) -> str | None:
    try:
        history.direction(found, wanted, down=down)
    except MigrationRefused as refused:
        return str(refused)
    return None


def _tenants(session: Session, slugs: Sequence[str]) -> list[Any]:
    if slugs:
        return [served_tenant(session, slug) for slug in dict.fromkeys(slugs)]
    served = select(Tenant.id, Tenant.slug, Tenant.revision).where(Tenant.is_served)
    return list(session.execute(served.order_by(Tenant.slug)))
