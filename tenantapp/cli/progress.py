"""Progress bars, on the terminal of somebody who waits."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tenantapp.fleet.operations.outcomes import Report, no_report


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
