"""Overload: what ten clients keep while ten others work on a locked tenant, or on a server that is frozen."""

import os
import signal
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import WARM_UP, Bench, Loads, ratio
from benchmarks.cases.neighbours import locked, meanwhile, reading, troubled
from benchmarks.deployment import ENGINES, Deployment, deploy, tenants_beside, text_of
from benchmarks.load import Load
from benchmarks.postgres import Postgres, running_postgres
from benchmarks.report import Column, Report, Target

CLIENTS: Final = 10  # of each half
WELL: Final = ("t0", "t1")
LOCKED: Final = ("t2",)
FAR: Final = ("f0", "f1")
WANTED_RATE: Final = 0.9
WANTED_P99: Final = 2.0
COLUMNS: Final = (
    Column("engine", "tenantapp on"),
    Column("others", "the other ten clients"),
    Column("rate", "requests/s", ",.0f"),
    Column("median_ms", "median ms", ".1f"),
    Column("p99_ms", "p99 ms", ".1f"),
    Column("share", "rate / others well", ".2f"),
    Column("slower", "p99 / others well", ".2f"),
    Column("errors", "errors", ",d"),
)


@dataclass(frozen=True)
class Trouble:
    """What the others ask, and what is wrong there."""

    name: str
    asking: list[bytes]
    begins: Callable[[], Any]


def overload(bench: Bench) -> Report:
    """Twenty clients, four threads. Those of the others send their next request as soon as they are answered."""
    rows: list[dict[str, Any]] = []
    for engine in ENGINES:
        directory = Path(tempfile.mkdtemp(dir=bench.directory))
        with ExitStack() as stack:
            deployment = deploy(engine, directory, bench.postgres, [*WELL, *LOCKED])
            far = stack.enter_context(_server_beside(directory, deployment)) if engine == "postgresql" else None
            server = stack.enter_context(deployment.serving(bench.directory, name="overload"))
            troubles = [
                Trouble(
                    "on a locked tenant",
                    troubled(deployment, server.port, LOCKED),
                    partial(locked, bench, deployment, LOCKED),
                )
            ]
            if far is not None:
                asking = [reading(deployment, slug) for slug in FAR]
                troubles.append(Trouble("on the frozen half of the servers", asking, partial(_frozen, far)))
            for trouble in troubles:
                rows += _rows(bench, deployment, server.port, trouble)
    held = [row for row in rows if row["share"] is not None]
    targets = [
        target
        for row in held
        for target in (
            Target(f"{row['engine']}, {row['others']}: rate", WANTED_RATE, row["share"], "x"),
            Target(f"{row['engine']}, {row['others']}: p99", WANTED_P99, row["slower"], "x", at_most=True),
        )
    ]
    return Report("Half of the clients work where nothing answers: 20 clients, 4 threads", COLUMNS, rows, targets)


def _rows(bench: Bench, deployment: Deployment, port: int, trouble: Trouble) -> list[dict[str, Any]]:
    states: dict[str, Callable[[], Any]] = {f"{trouble.name}, before": nullcontext, trouble.name: trouble.begins}
    requests = [reading(deployment, slug) for slug in WELL]

    def measure(state: str) -> Load:
        with states[state](), meanwhile(port, trouble.asking, bench.seconds + 2 * WARM_UP, CLIENTS):
            return bench.measure(port, requests, connections=CLIENTS)

    found = bench.interleaved(states, measure)
    well, ill = found.values()
    return [_row(deployment, f"{trouble.name}, before", well, None), _row(deployment, trouble.name, ill, well)]


def _row(deployment: Deployment, others: str, loads: Loads, well: Loads | None) -> dict[str, Any]:
    return {
        "engine": deployment.engine,
        "others": others,
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "share": _compared(loads, well, lambda load: load.rate),
        "slower": _compared(loads, well, lambda load: load.p99_ms),
        "errors": loads.errors,
    }


def _compared(loads: Loads, well: Loads | None, figure: Callable[[Load], float]) -> float | None:
    """The median of what it is in each round: a slow minute of the machine is in both."""
    if well is None:
        return None
    found = [times for one, other in zip(loads, well, strict=True) if (times := ratio(figure(one), figure(other)))]
    return statistics.median(found) if found else None


@contextmanager
def _server_beside(directory: Path, deployment: Deployment) -> Iterator[Postgres]:
    """A second server with tenants of its own."""
    with running_postgres(directory) as far:
        deployment.settings["servers.far"] = text_of(far.url.set(database=""))
        tenants_beside(deployment, "far", FAR)
        yield far


@contextmanager
def _frozen(server: Postgres) -> Iterator[None]:
    """All processes of a server are stopped: the kernel still accepts connections for it."""
    ((data,),) = server.execute("SHOW data_directory")
    master = int((Path(data) / "postmaster.pid").read_text().splitlines()[0])
    stopped = [master]
    os.kill(master, signal.SIGSTOP)  # first, so that it makes no others
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            process, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == master:
                os.kill(process, signal.SIGSTOP)
                stopped.append(process)
    try:
        yield
    finally:
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
