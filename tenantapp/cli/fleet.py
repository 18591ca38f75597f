"""Commands for all the tenant databases together."""

import sys
from typing import Any

import click

from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, sentence
from tenantapp.cli.fleet_audit import audit
from tenantapp.cli.fleet_query import query
from tenantapp.cli.fleet_verify import verify
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.output import ask, json_option, show_rows
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import is_to_be_mended, mend
from tenantapp.fleet.reconciling.reconcile import Finding, find
from tenantapp.operations.fleet import Fleet


@click.group()
def fleet() -> None:
    """All the tenant databases together."""


fleet.add_command(audit)
fleet.add_command(query)
fleet.add_command(verify)


@fleet.command()
@click.option("--fix", is_flag=True, help="Mend what is found.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask, if there is a terminal.")
@click.option("--unmarked", is_flag=True, help="With --fix: remove also what does not bear our mark.")
@json_option
@pass_installation
def reconcile(installation: Installation, fix: bool, yes: bool, unmarked: bool, as_json: bool) -> None:
    """Compare the user database with what is on the servers.

    Finds databases and roles without a tenant, tenants without a database, stuck operations and old templates. With
    --fix it removes them, and goes on with the operations. Its status is 0 when nothing is left to be mended.
    """
    services: Fleet = installation.registry.fleet
    findings, rows = find(services, KINDS), []
    to_mend = sum(is_to_be_mended(found, unmarked=unmarked) for found in findings)
    if fix and to_mend and not yes and sys.stdin.isatty():
        ask(f"Mend {to_mend} of the {len(findings)} findings? What is removed is not to be had again.")
    for finding in findings:
        fixed, note = _mend(services, finding, unmarked) if fix else (False, finding.note)
        rows.append(_row(finding, fixed, note))
    if rows or as_json:
        show_rows(rows, ("problem", "server", "name", "fixed", "note"), as_json=as_json)
    else:
        click.echo("The user database and the servers agree.")
    left = sum(not row["fixed"] for row in rows)
    if left:
        raise CommandFailed(f"{left} {'problem is' if left == 1 else 'problems are'} left")


def _mend(services: Fleet, finding: Finding, unmarked: bool) -> tuple[bool, str | None]:
    """One that cannot be mended does not keep the others from it."""
    try:
        fixed = mend(services, KINDS, finding, unmarked=unmarked)
    except KNOWN_ERRORS as error:
        return False, sentence(error)
    return fixed, None if fixed else finding.note


def _row(finding: Finding, fixed: bool, note: str | None) -> dict[str, Any]:
    return {
        "problem": finding.problem,
        "server": finding.server,
        "name": finding.name,
        "id": finding.id,
        "fixed": fixed,
        "note": note,
    }
