"""What processes use, how that changes, and how much of it may change."""

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

MIB: Final = 2**20


class Figures(NamedTuple):
    """What some processes use together. Memory is in bytes."""

    resident: int
    proportional: int  # what is shared with other processes counts in part
    private: int  # neither of files nor shared
    descriptors: int
    threads: int
    processes: int


class Sample(NamedTuple):
    """The figures of all processes at a moment: seconds of the monotonic clock, or the number of a reload."""

    at: float
    figures: dict[str, Figures]


class Bound(NamedTuple):
    """How much a figure may grow: once, and more for each hour or reload."""

    once: float
    steadily: float

    def over(self, length: float) -> float:
        """Return how much it may grow over so many hours or reloads."""
        return self.once + self.steadily * length


class Growth(NamedTuple):
    """How a figure of some processes has changed after the warm-up, by the line through its samples."""

    who: str
    what: str
    first: float
    last: float
    growth: float
    allowed: float

    @property
    def is_well(self) -> bool:
        """Whether it has grown no more than it may."""
        return self.growth <= self.allowed

    def cells(self) -> tuple[str, ...]:
        """Return the words of a row of the table."""
        unit = MIB if "MiB" in self.what else 1
        numbers = (self.first, self.last, self.growth, self.allowed)
        return (self.who, self.what, *(f"{number / unit:.1f}" for number in numbers), "" if self.is_well else "LEAKS")


HEAD: Final = ("process", "figure", "after the warm-up", "at the end", "growth", "may grow by", "")


def figures_of(processes: Sequence[int]) -> Figures:
    """Return what these processes use. Those that have ended meanwhile count for nothing."""
    found = []
    for process in processes:
        with suppress(OSError):
            found.append(_figures_of(process))
    return Figures(*(sum(column) for column in zip(*found, strict=True))) if found else Figures(0, 0, 0, 0, 0, 0)


def _figures_of(process: int) -> Figures:
    directory = Path(f"/proc/{process}")
    memory = {
        line.partition(":")[0]: int(line.split()[1]) * 1024
        for line in (directory / "smaps_rollup").read_text().splitlines()[1:]
    }
    descriptors, threads = (len(os.listdir(directory / what)) for what in ("fd", "task"))
    return Figures(memory["Rss"], memory["Pss"], memory["Pss_Anon"], descriptors, threads, 1)


def sample(processes: dict[str, list[int]], at: float | None = None) -> Sample:
    """Return what these processes use now."""
    moment = time.monotonic() if at is None else at
    return Sample(moment, {who: figures_of(those) for who, those in processes.items()})


def growths(samples: Sequence[Sample], bounds: dict[str, dict[str, Bound]], unit: float) -> list[Growth]:
    """Return how each figure that has a bound has changed. ``unit`` is what bounds count by, such as 3600 seconds.

    ``bounds`` has the bounds of each kind of processes: the beginning of their name.
    """
    length = (samples[-1].at - samples[0].at) / unit
    found = []
    for who in samples[0].figures:
        kind = next(kind for kind in bounds if who.startswith(kind))
        for what, bound in bounds[kind].items():
            name = what.partition(",")[0]
            values = [getattr(each.figures[who], name) for each in samples]
            slope = typical_slope([each.at for each in samples], values)
            growth = slope * (samples[-1].at - samples[0].at)
            found.append(Growth(who, what, values[0], values[-1], growth, bound.over(length)))
    return found


def typical_slope(moments: Sequence[float], values: Sequence[float]) -> float:
    """Return the median of the slopes between any two samples (Theil and Sen): a few outliers change nothing."""
    points = list(zip(moments, values, strict=True))
    return statistics.median(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points, 2)
        if later[0] > earlier[0]
    )


def table(rows: Sequence[Growth]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
