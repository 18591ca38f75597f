"""What every case works with: how long to measure, where to put files, whom to tell."""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from benchmarks.deployment import Deployment, EngineName, deploy
from benchmarks.load import Load, send
from benchmarks.postgres import Postgres, running_postgres

WARM_UP: Final = 1.0  # seconds
MANY_CONNECTIONS: Final = 2400  # two servers with their budgets, and the driver alone with a connection for each tenant
Name = TypeVar("Name")


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks. ``directory`` is temporary."""

    seconds: float
    rounds: int
    directory: Path
    kept: ExitStack
    """What stays open until the end of the run."""
    console: Console = field(default_factory=lambda: Console(width=None if sys.stdout.isatty() else 140))
    _deployments: dict[EngineName, Deployment] = field(default_factory=dict)

    @cached_property
    def postgres(self) -> Postgres:
        """A PostgreSQL for a thousand tenants, shared by the cases that need them."""
        return self.kept.enter_context(running_postgres(self.directory, max_connections=str(MANY_CONNECTIONS)))

    def tenants(self, engine: EngineName, count: int) -> Deployment:
        """A tenantapp with at least so many tenants, named t0, t1 and so on; made once for all cases."""
        deployment = self._deployments.get(engine)
        if deployment is None or len(deployment.places) < count:
            self.say(f"making {count} tenants on {engine}")
            directory = Path(tempfile.mkdtemp(dir=self.directory))
            deployment = deploy(engine, directory, self.postgres, [f"t{number}" for number in range(count)])
            self._deployments[engine] = deployment
        return deployment

    def say(self, sentence: str) -> None:
        """Tell how far it is."""
        self.console.print(f"[dim]{sentence}[/]", highlight=False)

    def measure(
        self, port: int, requests: Sequence[bytes], *, connections: int = 8, order: Sequence[int] | None = None
    ) -> Load:
        """Send these requests for as long as is measured, after a warm-up."""
        self.warm_up(port, requests, connections=connections, order=order)
        return send(port, requests, seconds=self.seconds, connections=connections, order=order)

    def warm_up(
        self, port: int, requests: Sequence[bytes], *, connections: int = 8, order: Sequence[int] | None = None
    ) -> None:
        """Send them for a moment that is not measured."""
        send(port, requests, seconds=WARM_UP, connections=connections, order=order)

    def interleaved(self, names: Iterable[Name], measure: Callable[[Name], Load]) -> dict[Name, "Loads"]:
        """Measure all of them in every round, one after the other, so that a slow minute hits them alike."""
        names = list(names)
        found: dict[Name, Loads] = {name: Loads() for name in names}
        for number in range(self.rounds):
            for name in turns(names, number):
                found[name].append(measure(name))
        return found


class Loads(list[Load]):
    """The loads of all rounds."""

    @property
    def rate(self) -> float:
        """The median of the good answers per second; nought if there is none."""
        return statistics.median(load.rate for load in self) if self else 0.0

    @property
    def rates(self) -> list[float]:
        """The good answers per second of each round."""
        return [round(load.rate, 1) for load in self]

    @property
    def median_ms(self) -> float:
        """The median of the rounds' median latencies."""
        return statistics.median(load.median_ms for load in self) if self else 0.0

    @property
    def p99_ms(self) -> float:
        """The median of the rounds' 99th percentiles."""
        return statistics.median(load.p99_ms for load in self) if self else 0.0

    @property
    def errors(self) -> int:
        """Everything that was not a good answer, in all rounds."""
        return sum(load.errors for load in self)


def turns(names: Iterable[Name], number: int) -> list[Name]:
    """Who is measured when in a round: forwards and backwards by turns, so that a trend of the machine evens out."""
    forwards = list(names)
    return forwards[::-1] if number % 2 else forwards


def ratio(one: float, other: float) -> float | None:
    """How many times the other, or None if that is nought."""
    return one / other if other else None
