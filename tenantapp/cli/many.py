"""Work on several tenants with one command."""

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
    """The name of what failed, and a sentence that says why."""

    name: str
    reason: str


def on_each(items: Sequence[Item], work: Work[Item], called: Callable[[Item], str]) -> tuple[list[Row], list[Failure]]:
    """Work on each item in turn, under one progress bar, and return the rows and the failures.

    A failure does not stop the others. ``called`` returns the name of an item for its ``Failure``.
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
    """Print the failures among ``count`` tenants. Raises ``CommandFailed`` if there are any.

    ``verb`` is a past participle, for the message ``2 of 3 tenants were not VERB``.
    """
    if failures and count == 1:
        raise CommandFailed(failures[0].reason)
    if failures:
        click.echo("\n".join(map(": ".join, failures)), err=True)
        raise CommandFailed(f"{len(failures)} of {count} tenants were not {verb}")


def _part(report: Report, number: int, count: int) -> Report:
    """Return a function that reports one tenant's progress as a part of the whole."""
    return lambda fraction, text: report((number + fraction) / count, f"{number + 1} of {count}: {text}")
