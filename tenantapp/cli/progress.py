"""Progress bars, on the terminal of somebody who waits."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tenantapp.operations.outcomes import Report, no_report


@contextmanager
def progress_bar(label: str = "") -> Iterator[Report]:
    """What an operation reports its progress to: a bar on stderr, which is gone at the end, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield no_report
        return
    columns = (
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0, label=label)
        yield lambda fraction, text: progress.update(task, completed=fraction, description=text)


class Bar:
    """How far a command is, shown on a terminal only."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self._progress.advance(self._task, amount)


@contextmanager
def counting_bar(what: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on stderr while the block runs; nothing of it is left, and nothing is written where it is no terminal."""
    console = Console(stderr=True)
    columns = (MofNCompleteColumn(), TextColumn(what), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, total)
