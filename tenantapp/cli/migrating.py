"""The work of ``migrate``."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.migration_output import Audience, JsonLines, People, show_status
from tenantapp.cli.migration_report import MigrationReport
from tenantapp.cli.progress import counting_bar
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.ledger import settle
from tenantapp.fleet.migrating.orders import MigrationState
from tenantapp.fleet.migrating.plan import MigrationPlan, make_plan
from tenantapp.fleet.migrating.rehearsals import Rehearsal
from tenantapp.fleet.migrating.run import MigrationRun
from tenantapp.fleet.migrating.run_record import latest_run
from tenantapp.fleet.migrating.status import fleet_status
from tenantapp.fleet.verifying.verification import verify_migrated
from tenantapp.identity.audit import record
from tenantapp.operations.fleet import Fleet


def migrate(
    installation: Installation,
    *,
    jobs: int,
    waves: Sequence[int],
    stop_after: int | None,
    rehearse: int | None,
    dry_run: bool,
    verify: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Migrate tenants; ``wanted`` are the options of ``make_plan``. Raises ``CommandFailed`` unless all is well."""
    fleet = installation.fleet
    plan, history = _plan(fleet, wanted)
    audience: Audience = JsonLines() if as_json else People(len(plan.orders))
    if dry_run:
        audience.planned(plan)
        if rehearse is None:
            return
    elif plan.orders:
        with fleet.user_db.begin() as session:
            record(session, "migrate.run", detail={"tenants": len(plan.orders), "revision": plan.wanted})
    trial = None if rehearse is None else partial(_rehearse, fleet, plan, rehearse, audience)
    run = MigrationRun(
        *(fleet, history, plan, audience.told),
        jobs=jobs,
        waves=waves,
        stop_after=stop_after,
        rehearse=trial,
        only_rehearse=dry_run,
    )
    _run(fleet, MigrationReport(run, dry_run), audience, jobs if verify else 0)


def _rehearse(
    fleet: Fleet, plan: MigrationPlan, number: int, audience: Audience, told: Callable[[Rehearsal], None]
) -> None:
    from tenantapp.fleet.rehearsing.rehearsal import rehearse

    def tell(rehearsal: Rehearsal) -> None:
        told(rehearsal)
        audience.rehearsed(rehearsal)

    rehearse(fleet, plan, number, tell)


def show_progress(fleet: Fleet, as_json: bool) -> None:
    """Print the revisions of the fleet."""
    with fleet.user_db.begin(read_only=True) as session:
        statuses, run = fleet_status(session), latest_run(session)
    rehearsals = [] if run is None else run.rehearsals
    show_status(statuses, rehearsals, TenantHistory(fleet.settings).head, as_json=as_json)


def _plan(fleet: Fleet, wanted: dict[str, Any]) -> tuple[MigrationPlan, TenantHistory]:
    history = TenantHistory(fleet.settings)
    with fleet.user_db.begin() as session:
        settle(session)
    with fleet.user_db.begin(read_only=True) as session:
        return make_plan(session, history, **wanted), history


def _run(fleet: Fleet, report: MigrationReport, audience: Audience, verify_jobs: int) -> None:
    try:
        with audience, report.migrating():
            report.run.carry_out()
        if verify_jobs:
            _verify(fleet, report, verify_jobs)
    finally:
        audience.summary(report)
    if complaints := report.complaints():
        raise CommandFailed("; ".join(complaints))


def _verify(fleet: Fleet, report: MigrationReport, jobs: int) -> None:
    started = time.monotonic()
    count = sum(result.state == MigrationState.MIGRATED for result in report.run.results)
    with counting_bar("verified", count) as bar:
        verdicts = verify_migrated(fleet, report.run.results, jobs=jobs, progress=lambda verdict: bar.advance())
    report.verified(verdicts, time.monotonic() - started)
