"""What commands on many tenants have in common."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, explained
from tenantapp.cli.progress import progress_bar
from tenantapp.operations.outcomes import Report

Item = TypeVar("Item")
Row = dict[str, Any]
Work = Callable[[Item, Report], Row]


class Failure(NamedTuple):
    """What was not done, and the sentence that says why."""

    name: str
    reason: str


def on_each(items: Sequence[Item], work: Work[Item], called: Callable[[Item], str]) -> tuple[list[Row], list[Failure]]:
    """Work on one after the other, under one bar; returns what came of each, and why the others failed.

    One that fails, which ``called`` names, keeps nothing from the others.
    """
    rows, failures = list[Row](), list[Failure]()
    with progress_bar("tenants") as report:
        for number, item in enumerate(items):
            try:
                rows.append(work(item, _part(report, number, len(items))))
            except KNOWN_ERRORS as error:
                failures.append(Failure(called(item), explained(error)))
    return rows, failures


def fail_if_any(failures: Sequence[Failure], count: int, verb: str) -> None:
    """Name what failed of ``count`` tenants: ``2 of 3 tenants were not VERB``. Raises ``CommandFailed``."""
    if failures and count == 1:
        raise CommandFailed(failures[0].reason)
    if failures:
        click.echo("\n".join(map(": ".join, failures)), err=True)
        raise CommandFailed(f"{len(failures)} of {count} tenants were not {verb}")


def _part(report: Report, number: int, count: int) -> Report:
    """One tenant's part in the progress of all."""
    return lambda fraction, text: report((number + fraction) / count, f"{number + 1} of {count}: {text}")
