"""The work of ``fleet audit``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from tenantapp.characters import visible
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import pairs, show_rows
from tenantapp.identity.audit import describe_entry, list_entries

COLUMNS: Final = ("at", "actor", "action", "slug", "detail")


def show_entries(installation: Installation, slug: str | None, limit: int, as_json: bool) -> None:
    """Print the newest entries of the audit trail, newest first: a line each, or JSON.

    A table would break the details of an entry over many lines of a narrow terminal.
    """
    with installation.user_session(read_only=True) as session:
        rows = [describe_entry(entry) for entry in list_entries(session, slug=slug, limit=limit)]
    if as_json:
        show_rows(rows, COLUMNS, as_json=True)
        return
    _show_lines([_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    return (
        f"{row['at']:%Y-%m-%d %H:%M:%S}",
        visible(row["actor"]),
        row["action"],
        row["slug"] or "-",
        pairs(row["detail"]),
    )


def _show_lines(lines: Sequence[Sequence[str]]) -> None:
    """Print the cells of each line, aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
