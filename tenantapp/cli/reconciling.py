"""The work of ``fleet reconcile``."""

import sys
from typing import Any

import click

from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, explained
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import ask, show_rows
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import is_to_be_mended, mend
from tenantapp.fleet.reconciling.reconcile import Finding, find
from tenantapp.operations.fleet import Fleet


def reconcile(installation: Installation, *, fix: bool, confirmed: bool, unmarked: bool, as_json: bool) -> None:
    """Print what does not agree, mend it with ``fix``. Raises ``CommandFailed`` when something is left.

    Somebody at a terminal is asked before anything is mended, unless they have confirmed it.
    """
    fleet = installation.fleet
    findings, rows = find(fleet, KINDS), []
    to_mend = sum(is_to_be_mended(found, unmarked=unmarked) for found in findings)
    if fix and to_mend and not confirmed and sys.stdin.isatty():
        ask(f"Mend {to_mend} of the {len(findings)} findings? What is removed is not to be had again.")
    for finding in findings:
        fixed, note = _mend(fleet, finding, unmarked) if fix else (False, finding.note)
        rows.append(_row(finding, fixed, note))
    if rows or as_json:
        show_rows(rows, ("problem", "server", "name", "fixed", "note"), as_json=as_json)
    else:
        click.echo("The user database and the servers agree.")
    left = sum(not row["fixed"] for row in rows)
    if left:
        raise CommandFailed(f"{left} {'problem is' if left == 1 else 'problems are'} left")


def _mend(fleet: Fleet, finding: Finding, unmarked: bool) -> tuple[bool, str | None]:
    """One that cannot be mended does not keep the others from it."""
    try:
        fixed = mend(fleet, KINDS, finding, unmarked=unmarked)
    except KNOWN_ERRORS as error:
        return False, explained(error)
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
