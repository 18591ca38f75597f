"""Progress bars on stderr, which disappear at the end.

If stderr is not a terminal, nothing is drawn, and rich's bars, which are slow to import, are not imported.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tenantapp.operations.outcomes import Report

if TYPE_CHECKING:
    from rich.progress import Progress

DRAW_EVERY: Final = 0.1  # seconds


class Bar:
    """The progress of a command. It is drawn only on a terminal."""

    def __init__(self, progress: "Progress | None" = None, label: str = "", total: float | None = None) -> None:
        self._progress, self._drawn = progress, 0.0
        self._task = None if progress is None else progress.add_task("", label=label, total=total, rate="")

    def report(self, fraction: float, text: str) -> None:
        """Set the progress of the whole, from 0 to 1, and the text that says what is being done."""
        self._update(completed=fraction, description=text)

    def advance(self, amount: int = 1) -> None:
        """Add this many finished items."""
        if self._progress is not None and self._task is not None:
            task = self._progress.tasks[self._task]
            rate = (task.completed + amount) / task.elapsed if task.elapsed else 0.0
            self._update(advance=amount, rate=f"{rate:.0f}/s")

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        if self._progress is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _update(self, **values: Any) -> None:
        if self._progress is None or self._task is None:
            return
        self._progress.update(self._task, **values)
        if self._progress.live.auto_refresh:
            return
        if time.monotonic() - self._drawn > DRAW_EVERY:
            self._progress.refresh()
            self._drawn = time.monotonic()


@contextmanager
def progress_bar(label: str = "") -> Iterator[Report]:
    """Yield a function that draws what an operation reports."""
    with _drawn(label, total=1.0, counting=False, forks=False) as bar:
        yield bar.report


@contextmanager
def counting_bar(label: str, total: int | None = None, *, forks: bool = False) -> Iterator[Bar]:
    """Yield a bar that counts items. It shows the rate, and the remaining time if ``total`` is known.

    With ``forks``, this process will be forked: no thread draws the bar, which is drawn only when it is updated.
    """
    with _drawn(label, total=total, counting=True, forks=forks) as bar:
        yield bar


@contextmanager
def _drawn(label: str, *, total: float | None, counting: bool, forks: bool) -> Iterator[Bar]:
    if not sys.stderr.isatty():
        yield Bar()
        return
    from rich import progress as parts
    from rich.console import Console

    counted = (parts.MofNCompleteColumn(), parts.TextColumn("{task.fields[rate]}"), parts.TimeRemainingColumn())
    reported = (parts.TimeElapsedColumn(), parts.TextColumn("{task.description}", markup=False))
    label_column = parts.TextColumn("{task.fields[label]}", markup=False)
    columns = (label_column, parts.BarColumn(), *(counted if counting else reported))
    console = Console(stderr=True)
    with parts.Progress(*columns, console=console, transient=True, auto_refresh=not forks) as progress:
        yield Bar(progress, label, total)
