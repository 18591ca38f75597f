"""One fault after the other at random, on many tenants at full rate, until so many requests were made.

Each window has clients and histories of its own, which are checked at its end and forgotten if they are well. So memory
does not grow with the number of requests.
"""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Final

from tenantapp.fleet.creating.create import create_tenant
from tests.chaos.clients import AUTHOR, Crowd
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.scenario import Row, keep, run
from tests.chaos.worlds import Need, World
from tests.installation import TENANTS

MORE: Final = tuple(f"long-{number}" for number in range(10))  # tenants
AT_ONCE: Final = 8  # tenants in a window
WINDOW: Final = 20.0  # seconds, at least
PAUSE: Final = 0.01  # seconds between two turns of a client


def long_run(world: World, requests: int, seed: int, histories: Path) -> bool:
    """Print a line for each window, and what has come of all; whether nothing happened that must not.

    The seed decides which faults happen in which tenants.
    """
    chooser = random.Random(seed)
    slugs = [*TENANTS, *add_tenants(world)]
    faults = [fault for fault in FAULTS if is_possible(fault, world)]
    total = Counter[str]()
    while total["requests"] < requests:
        fault = chooser.choice(faults)
        crowd = Crowd(world, fault.name, chooser.sample(slugs, AT_ONCE), PAUSE)
        row = run(world, fault, WINDOW, crowd)
        total.update(counts(row))
        print(total["requests"], *row.cells(), sep="; ", flush=True)
        if not row.is_well:
            print(*(f"    {finding}" for finding in row.findings[:10]), sep="\n", flush=True)
            keep(world, f"long {seed} {total['windows']}", crowd, histories)
        os.truncate(world.server.directory / "stdout", 0)
    print(f"\nSeed {seed}: " + ", ".join(f"{number} {words}" for words, number in total.items()))
    return not total["findings"] and not total["unexpected answers"]


def add_tenants(world: World) -> tuple[str, ...]:
    """Make more tenants, and let the author write in them."""
    for slug in MORE:
        create_tenant(world.installation.registry.fleet, slug, server="main")
        world.installation.person("author", slug, login=AUTHOR)
    return MORE


def is_possible(fault: Fault, world: World) -> bool:
    """Whether the fault can happen in this world."""
    return world.engine in fault.engines and fault.need is Need.NOTHING and (world.can_be_cut or not fault.needs_cuts)


def counts(row: Row) -> dict[str, int]:
    """What a window adds to the whole."""
    return {
        "windows": 1,
        "requests": row.requests,
        "writes acknowledged": row.acknowledged,
        "writes unknown": row.unknown,
        "findings": len(row.findings),
        "unexpected answers": sum(row.unexpected.values()),
    }
