"""Jobs in the tests: declared here, and worked on by the test itself."""

from datetime import timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from tenantapp.identity.local_access import local_access
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.models import TenantJob
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.models import TenantVisit
from tenantapp.work.queue import enqueue
from tenantapp.work.running import RunningVisit
from tenantapp.work.visits import claim_visits, end_visit
from tenantapp.work.worker import JobWorker


class Desk:
    """Queues jobs of a tenant, works on them in this thread, and looks at them."""

    def __init__(self, fleet: Fleet, databases: TenantDatabases, slug: str = "acme") -> None:
        self.fleet, self.databases, self.slug = fleet, databases, slug
        self.declared = DeclaredJobs()

    @property
    def access(self) -> Access:
        with self.fleet.user_db.begin(read_only=True) as session:
            return local_access(session, self.slug)

    @property
    def place(self) -> TenantPlace:
        return self.access.require_tenant()

    def enqueue(self, name: str, arguments: Any = None, **options: Any) -> UUID:
        with self.databases.begin(self.access) as session:
            return enqueue(session, self.place, self.declared, self.fleet.user_db, name, arguments or {}, **options)

    def begin(self) -> list[RunningVisit]:
        """Claim the visits that are due."""
        with self.fleet.user_db.begin() as session:
            claimed = claim_visits(session, 10, frozenset())
        return [RunningVisit(self.fleet, self.databases, self.declared, visit) for visit in claimed]

    def work(self) -> list[str]:
        """Make the visits that are due. Returns the tenants."""
        visits = self.begin()
        for running in visits:
            due_at = running.run()
            with self.fleet.user_db.begin() as session:
                end_visit(session, running.visit, due_at, seen=running.came)
        return [running.visit.place.slug for running in visits]

    def work_off(self) -> None:
        """Be a worker until nothing is due."""
        JobWorker(self.fleet, self.databases, self.declared).run(Event(), until_idle=True)

    def let_lease_run_out(self) -> None:
        """Let the time be over for which the present visits are somebody's."""
        over = utcnow() - timedelta(seconds=1)
        with self.fleet.user_db.begin() as session:
            session.execute(update(TenantVisit).values(lease_until=over, due_at=over))

    def jobs(self, *columns: str) -> list[Any]:
        """These columns of the tenant's jobs, the oldest first."""
        with self.databases.begin(self.access, read_only=True) as session:
            found = session.execute(select(*(getattr(TenantJob, each) for each in columns)).order_by(TenantJob.id))
            return [row[0] if len(columns) == 1 else tuple(row) for row in found]

    def set(self, **values: Any) -> None:
        """Change all jobs of the tenant."""
        with self.databases.begin(self.access) as session:
            session.execute(update(TenantJob).values(**values))

    def make_due(self) -> None:
        """Let what waits be due now: the jobs, and the visit."""
        self.set(due_at=utcnow())
        with self.fleet.user_db.begin() as session:
            session.execute(update(TenantVisit).values(due_at=utcnow()))

    def visit(self) -> Any:
        """The row of the tenant's visits."""
        with self.fleet.user_db.begin(read_only=True) as session:
            row = session.execute(
                select(TenantVisit.__table__).where(TenantVisit.tenant_id == self.place.id)
            ).one_or_none()
            return row and SimpleNamespace(**row._mapping)
