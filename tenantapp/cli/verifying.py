"""The work of ``fleet verify``."""

from collections.abc import Sequence
from typing import Any

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.hardening import name_open_databases
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.cli.progress import counting_bar
from tenantapp.fleet.querying.parallel import databases_of_our_own, places
from tenantapp.fleet.verifying.verification import State, Verdict, Verification


def verify(installation: Installation, slugs: Sequence[str], *, jobs: int, suspend: bool, as_json: bool) -> None:
    """Verify these databases, or all, and print the verdicts. Raises ``CommandFailed`` if one is wrong."""
    fleet = installation.fleet
    found = places(fleet.user_db, slugs)
    with databases_of_our_own(fleet.servers, jobs) as databases, counting_bar("verified", len(found)) as bar:
        verification = Verification(fleet, databases)
        verdicts = list(
            verification.verify_all(found, jobs=jobs, suspend=suspend, progress=lambda verdict: bar.advance())
        )
    show_rows(map(_row, verdicts), ("tenant", "state", "revision", "suspended"), as_json=as_json)
    ours = name_open_databases(fleet)
    wrong = [verdict for verdict in verdicts if verdict.state != State.RIGHT]
    if not as_json:
        for verdict in wrong:
            click.echo("\n".join(f"{verdict.place.slug}: {finding}" for finding in verdict.findings))
    if wrong:
        raise CommandFailed(
            f"{len(wrong)} of {len(verdicts)} databases could not be read, or are not what their revision should make"
        )
    if ours:
        raise CommandFailed(f"Other tenants' roles may connect to {', '.join(ours)}: run `tenantapp init`")


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "tenant": verdict.place.slug,
        "state": verdict.state,
        "revision": verdict.revision,
        "suspended": verdict.suspended,
        "findings": list(verdict.findings),
    }
