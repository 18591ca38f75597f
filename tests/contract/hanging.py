"""A program that makes a tenant and hangs at a point that it is told, to be killed there.

The point is one of ``tenantapp.operations.checkpoints``, with ``:2`` when it is the second time that the program comes
there.
"""

import json
import time
from collections.abc import Callable
from itertools import count

from tenantapp.fleet.creating.create import create_tenant
from tenantapp.operations.checkpoints import listen
from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings


def hang() -> None:
    """Say so, and wait to be killed."""
    print("here", flush=True)
    time.sleep(600)


def hang_at(point: str, hang: Callable[[], None] = hang) -> None:
    """Call ``hang`` when this process comes to the point."""
    name, when, *nth = point.split(":")
    wanted, times = f"{name}:{when}", count(1)

    def listener(passed: str) -> None:
        if passed == wanted and next(times) == int(nth[0] if nth else 1):
            hang()

    listen(listener)


def main(values: str, slug: str, point: str) -> None:
    """Make a tenant, up to the point."""
    settings = read_settings(json.loads(values), {})
    hang_at(point)
    create_tenant(fleet_of(settings), slug)
