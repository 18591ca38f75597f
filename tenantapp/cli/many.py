"""What commands on many tenants have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Tenants at once; also the most connections to each server.",
)


class Bar:
    """How far a command is, shown on a terminal only."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self._progress.advance(self._task, amount)


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on stderr while the block runs; nothing of it is left, and nothing is written where it is no terminal."""
    console = Console(stderr=True)
    columns = (MofNCompleteColumn(), TextColumn(what), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, total)
