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
    """Print the problems, and mend them with ``fix``. Raises ``CommandFailed`` if a problem is left.

    On a terminal, ask before anything is mended, unless ``confirmed``.
    """
    fleet = installation.fleet
    findings, rows = find(fleet, KINDS), []
    to_mend = sum(is_to_be_mended(found, unmarked=unmarked) for found in findings)
    if fix and to_mend and not confirmed and sys.stdin.isatty():
        ask(f"Mend {to_mend} of the {len(findings)} findings? Removed data cannot be brought back.")
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
    """Mend a problem. Return whether it is mended, and a note. An error does not stop the others."""
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
