"""Do the jobs that are due in this thread, without a worker: in tests and scripts."""

from typing import Any, Final

from tenantapp.operations.fleet import Fleet
from tenantapp.operations.leases import database_time
from tenantapp.sql.times import utcnow
from tenantapp.work.running import RunningVisit
from tenantapp.work.visits import claim_visits, end_visit

AT_ONCE: Final = 100  # visits


def run_due_jobs(registry: Any) -> list[str]:
    """Visit the tenants that are due, do their jobs that are due, and return the slugs of these tenants.

    ``registry`` is that of the application. A job that fails raises nothing: as with a worker, its row has the error,
    and it is tried again later.
    """
    fleet = Fleet(registry.user_db, registry.app_settings, registry.servers, registry)
    with fleet.user_db.begin() as session:
        now = max(database_time(session), utcnow())  # a test may have let the time pass
        claimed = claim_visits(session, AT_ONCE, registry.access_reader.outdated, now)
    for visit in claimed:
        running = RunningVisit(fleet, registry.tenant_dbs, registry.jobs, visit)
        due_at = running.run()
        with fleet.user_db.begin() as session:
            end_visit(session, visit, due_at, seen=running.came)
    return [visit.place.slug for visit in claimed]
