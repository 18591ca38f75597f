"""Looking whether the databases that were migrated are what their revision should be."""

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import select

from tenantapp.fleet.migrating.orders import MigrationState, Result
from tenantapp.fleet.querying.parallel import databases_of_our_own
from tenantapp.fleet.verifying.verification import Verdict, Verification
from tenantapp.identity.models import SERVED, Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.access import TenantPlace


def verify_migrated(
    fleet: Fleet, results: Sequence[Result], *, jobs: int, progress: Callable[[Verdict], None] = lambda verdict: None
) -> list[Verdict]:
    """Compare the databases that these results are about, as far as they were migrated, with their revision.

    That a migration ended well says nothing of what somebody had altered by hand before it. Raises
    ``UserDatabaseUnavailable``, ``HistoryError`` and what making a scratch database raises.
    """
    migrated = [result.order.tenant_id for result in results if result.state == MigrationState.MIGRATED]
    places = _places(fleet, migrated)
    if not places:
        return []
    with databases_of_our_own(fleet.servers, jobs) as databases:
        # Their revisions are recorded: there is no need for a second look.
        verification = Verification(fleet, databases, looks=1)
        return list(verification.verify_all(places, jobs=jobs, progress=progress))


def _places(fleet: Fleet, tenant_ids: Sequence[UUID]) -> list[TenantPlace]:
    """Of those that are still there."""
    there = select(Tenant).where(Tenant.id.in_(tenant_ids), Tenant.state.in_(SERVED)).order_by(Tenant.slug)
    with fleet.user_db.begin(read_only=True) as session:
        return [place_of(tenant) for tenant in session.scalars(there)]
