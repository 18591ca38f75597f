"""Soak: ``python -m tests.soak [--minutes 60] [--load 0.8]``, or ``--reloads 500``."""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tenantapp.testing.checker import Outcome
from tests.chaos.worlds import PATIENCE, WORKERS
from tests.soak.traffic import Traffic, sustained_rate
from tests.soak.watching import MIB, Bound, Sample, growths, sample, table
from tests.soak.worlds import SoakWorld, soak_world

WARM_UP: Final = 0.25  # the part of the time, or of the reloads, after which figures count, but
WARM_UP_SECONDS: Final = 60.0  # of at least so much time, and at most half of it
SAMPLES: Final = 120
RELOAD_RATE: Final = 10.0  # turns a second while it reloads
LOGS: Final = Path(__file__).parents[2] / ".pytest_cache" / "soak"
HOUR: Final = 3600.0
COUNTER: Final = "tenantapp_requests_total"

# By how much a figure may grow: once, and for each hour.
PYTHON: Final = {
    "resident, MiB": Bound(8 * MIB, 2 * MIB),
    "proportional, MiB": Bound(8 * MIB, 2 * MIB),
    "descriptors": Bound(8, 0),
    "threads": Bound(2, 0),
}
BY_HOUR: Final = {
    "master": PYTHON,
    "server": PYTHON,
    "tenantapp worker": PYTHON,
    # Its shared memory is not looked at: it fills up to what the settings say.
    "PostgreSQL": {"private, MiB": Bound(24 * MIB, 2 * MIB), "descriptors": Bound(300, 0), "processes": Bound(4, 0)},
}
# And for each reload. Servers are new ones each time.
BY_RELOAD: Final = {
    "master": {
        "resident, MiB": Bound(2 * MIB, 4096),
        "proportional, MiB": Bound(2 * MIB, 4096),
        "descriptors": Bound(0.5, 0),
        "threads": Bound(0.5, 0),
    },
    "server": {"resident, MiB": Bound(8 * MIB, 4096), "descriptors": Bound(8, 0), "threads": Bound(2, 0)},
    "tenantapp worker": {
        "resident, MiB": Bound(8 * MIB, 8192),
        "descriptors": Bound(8, 0),
        "threads": Bound(2, 0),
    },
    "PostgreSQL": {"private, MiB": Bound(24 * MIB, 8192), "descriptors": Bound(300, 0), "processes": Bound(6, 0)},
}


def main(arguments: list[str]) -> int:
    """Soak, and print what has grown; the exit status is 1 if anything grew too much, or happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="that it works")
    parser.add_argument("--load", type=float, default=0.8, help="part of the rate that the machine sustains")
    parser.add_argument("--reloads", type=int, default=0, help="reload so often, with little to do")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # so that all is stopped and removed
    with soak_world() as world:
        rate = RELOAD_RATE if options.reloads else options.load * sustained_rate(world)
        print(f"{len(world.slugs)} tenants, {rate:.1f} turns a second", flush=True)
        before, processes = requests_counted(world), world.processes()
        traffic = Traffic(world, rate)
        traffic.start()
        if options.reloads:
            samples, bounds, unit = by_reload(world, traffic, options.reloads), BY_RELOAD, 1.0
        else:
            samples, bounds, unit = by_time(world, traffic, options.minutes * 60), BY_HOUR, HOUR
        traffic.end()
        part = WARM_UP if options.reloads else min(0.5, max(WARM_UP, WARM_UP_SECONDS / 60 / options.minutes))
        counting = samples[int(part * len(samples)) :]
        rows = growths(counting, bounds, unit) if len(counting) > 1 else []
        problems = [f"{row.who}: {row.what} grew" for row in rows if not row.is_well]
        if not options.reloads and world.processes() | {"PostgreSQL, all": []} != processes | {"PostgreSQL, all": []}:
            problems.append("a process has ended, and another one has taken its place")
        problems += [*problems_of_traffic(traffic), *problems_at_the_end(world, before + traffic.told.requests)]
    print(f"\n{table(rows)}\n\n{words_of(traffic)}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    return 1 if problems else 0


def by_time(world: SoakWorld, traffic: Traffic, seconds: float) -> list[Sample]:
    """Look at the processes again and again while the traffic goes on."""
    began, samples = time.monotonic(), list[Sample]()
    while traffic.is_alive() and time.monotonic() < began + seconds:
        time.sleep(seconds / SAMPLES)
        samples.append(sample(world.processes()))
        show_progress(samples, SAMPLES, traffic)
    return samples


def by_reload(world: SoakWorld, traffic: Traffic, reloads: int) -> list[Sample]:
    """Look at the processes after each reload."""
    samples = list[Sample]()
    for number in range(reloads):
        if not traffic.is_alive():
            break
        if not reloaded(world):
            traffic.findings.append(f"reload {number + 1} did not end")
            break
        samples.append(sample(world.processes(), number))
        show_progress(samples, reloads, traffic)
    return samples


def reloaded(world: SoakWorld) -> bool:
    """Reload; whether all workers are new ones in the time that a slow machine has for it."""
    before = world.server.workers()
    world.server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while before & world.server.workers() or len(world.server.workers()) != WORKERS:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def show_progress(samples: list[Sample], most: int, traffic: Traffic) -> None:
    """Print a line, twelve times in all."""
    if len(samples) % max(1, most // 12) == 0:
        memory = (f"{who} {figures.resident / MIB:.1f}" for who, figures in samples[-1].figures.items())
        done = f"{len(samples)} of {most}: {traffic.told.requests} requests, {traffic.windows} windows"
        print(f"{done}; resident, MiB: {', '.join(memory)}", flush=True)


def requests_counted(world: SoakWorld) -> int:
    """Return how many requests /metrics has. Servers write down what they count twice a second."""
    time.sleep(2)
    return int(world.server.metrics().total(COUNTER))


def problems_of_traffic(traffic: Traffic) -> Iterator[str]:
    """Yield what clients were told that they must not be, and what the checks have found."""
    yield from (f"{number} times: {words}" for words, number in traffic.told.unexpected.items())
    yield from traffic.findings[:20]
    if traffic.errors:
        yield f"{traffic.errors} errors were logged"
    yield from traffic.failed_operations()[:5]


def problems_at_the_end(world: SoakWorld, requests: int) -> Iterator[str]:
    """Stop the server, and yield what is wrong with what it has counted and leaves behind."""
    if (counted := requests_counted(world)) != requests:
        yield f"/metrics has {counted} requests, and {requests} were answered"
    slots = len(list((world.server.directory / "metrics").glob("slot_*.lock")))
    if slots > WORKERS + 1:
        yield f"{slots} processes have left files with counts"
    if (status := world.server.stop()) != 0:
        yield f"the server ended with exit status {status}"
    yield from (f"left in the directory for temporary files: {name}" for name in world.left_behind()[:10])
    for name in ("stderr", "worker-stderr"):
        if said := (world.server.directory / name).read_text():
            yield f"{name}: {said[:500]}"
    LOGS.mkdir(parents=True, exist_ok=True)
    shutil.copy(world.server.directory / "stdout", LOGS / "last.log")


def words_of(traffic: Traffic) -> str:
    """Return what was done, in a sentence."""
    outcomes = traffic.told.outcomes
    return (
        f"{traffic.told.requests} requests, {traffic.told.requests / max(1.0, traffic.seconds):.1f} a second; "
        f"{outcomes[Outcome.OK]} writes acknowledged, {outcomes[Outcome.UNKNOWN]} unknown; "
        f"{traffic.windows} windows checked, {len(traffic.findings)} findings; "
        f"{traffic.pace.late} turns dropped, because the machine was late."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
