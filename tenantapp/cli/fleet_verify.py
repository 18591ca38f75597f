"""The command that compares databases with what their revision should have."""

from typing import Any

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.many import jobs_option
from tenantapp.cli.output import json_option, show_rows
from tenantapp.cli.progress import counting_bar
from tenantapp.fleet.querying.parallel import databases_of_our_own, places
from tenantapp.fleet.verifying.verification import State, Verdict, Verification


@click.command()
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@jobs_option
@click.option("--fence", is_flag=True, help="Suspend a tenant whose database is not what it should be.")
@json_option
@pass_installation
def verify(installation: Installation, slugs: tuple[str, ...], jobs: int, fence: bool, as_json: bool) -> None:
    """Compare databases with what their revision should have.

    Of the named tenants or of all: whose data it is, its revision, and every table, column, constraint and index.
    """
    registry = installation.registry
    found = places(registry.user_db, slugs)
    with databases_of_our_own(registry.servers, jobs) as databases, counting_bar("verified", len(found)) as bar:
        verification = Verification(registry.fleet, databases)
        verdicts = list(verification.verify_all(found, jobs=jobs, fence=fence, progress=lambda verdict: bar.advance()))
    show_rows(map(_row, verdicts), ("tenant", "state", "revision", "fenced"), as_json=as_json)
    wrong = [verdict for verdict in verdicts if verdict.state != State.RIGHT]
    if not as_json:
        for verdict in wrong:
            click.echo("\n".join(f"{verdict.place.slug}: {finding}" for finding in verdict.findings))
    if wrong:
        raise CommandFailed(
            f"Of {len(verdicts)} databases {len(wrong)} could not be read or are not what they should be"
        )


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "tenant": verdict.place.slug,
        "state": verdict.state,
        "revision": verdict.revision,
        "fenced": verdict.fenced,
        "findings": list(verdict.findings),
    }
