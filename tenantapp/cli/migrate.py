"""The command ``migrate``."""

import time
from typing import Any

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.migration_output import Audience, JsonLines, People, show_status
from tenantapp.cli.migration_report import MigrationReport
from tenantapp.cli.output import json_option
from tenantapp.cli.progress import counting_bar
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.ledger import settle
from tenantapp.fleet.migrating.orders import MigrationState
from tenantapp.fleet.migrating.plan import MigrationPlan, make_plan
from tenantapp.fleet.migrating.run import MigrationRun
from tenantapp.fleet.migrating.status import fleet_status
from tenantapp.fleet.verifying.verification import verify_migrated
from tenantapp.operations.fleet import Fleet, opened_fleet


@click.command()
@click.option("--to", "revision", default="head", show_default=True, help="The revision to arrive at.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Tenants at once.")
@click.option("--canary", type=click.IntRange(0), default=0, help="So many first; if one fails, no others.")
@click.option("--stop-after", type=click.IntRange(1), help="Begin no more tenants after so many failures.")
@click.option("--only", "slugs", multiple=True, metavar="SLUG", help="Only this tenant; may be given more than once.")
@click.option("--retry-failed", is_flag=True, help="Only tenants whose last migration failed.")
@click.option("--snapshot", is_flag=True, help="Copy each database first; put the copy back if its migration fails.")
@click.option("--no-verify", is_flag=True, help="Do not compare the migrated databases with their revision.")
@click.option("--downgrade", "down", is_flag=True, help="Move the tenant of --only down to an older revision.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--status", is_flag=True, help="Only say how far the fleet is.")
@json_option
@pass_installation
def migrate(
    installation: Installation,
    /,
    jobs: int,
    canary: int,
    stop_after: int | None,
    no_verify: bool,
    dry_run: bool,
    status: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Migrate the tenants' databases, each by itself.

    What is there already is not connected to, and what was interrupted is gone on with when this is started again.
    Afterwards the structure of those that were migrated is compared with what the revision makes. With --json there is
    a line for each tenant, and one for all of them. The exit status is 0 only if all of the tenants that were asked for
    are at the revision, and none has another structure.
    """
    if wanted["down"] and wanted["revision"] == "head":
        raise click.UsageError("--downgrade needs --to, the older revision to arrive at.")
    # Without the application, which would look at the tenants' databases by itself.
    with opened_fleet(installation.settings) as fleet:
        if status:
            _show_status(fleet, as_json)
            return
        plan, history = _plan(fleet, wanted)
        audience: Audience = JsonLines() if as_json else People(len(plan.orders))
        if dry_run:
            audience.planned(plan)
            return
        run = MigrationRun(fleet, history, plan, audience.told, jobs=jobs, canary=canary, stop_after=stop_after)
        _run(fleet, MigrationReport(run), audience, 0 if no_verify else jobs)


def _show_status(fleet: Fleet, as_json: bool) -> None:
    with fleet.user_db.begin(read_only=True) as session:
        statuses = fleet_status(session)
    show_status(statuses, TenantHistory(fleet.settings).head, as_json=as_json)


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
