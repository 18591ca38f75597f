"""The cases: each measures one thing and reports it."""

from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.bench import Bench
from benchmarks.cases.contest import contest
from benchmarks.report import Report

CASES: Final[Mapping[str, Callable[[Bench], Report]]] = {
    "contest": contest,
}
