"""A program that makes a tenant and hangs at a point that it is told, to be killed there.

The point is ``module:name``, or ``module:Class.name``, with ``:before`` or ``:after``, and ``:2`` for its second call.
"""

import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from tenantapp.fleet.creating.create import create_tenant
from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings


def hang_at(point: str) -> None:
    """Replace a function by one that hangs before or after its work."""
    module, name, when, *nth = point.split(":")
    place: Any = import_module(module)
    *classes, name = name.split(".")
    for inner in classes:
        place = getattr(place, inner)
    real: Callable[..., Any] = getattr(place, name)
    left = int(nth[0]) if nth else 1

    def hanging(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left:
            return real(*arguments, **options)
        if when == "after":
            real(*arguments, **options)
        print("here", flush=True)
        return time.sleep(600)

    setattr(place, name, hanging)


def main(values: str, slug: str, point: str) -> None:
    """Make a tenant, up to the point."""
    settings = read_settings(json.loads(values), {})
    hang_at(point)
    create_tenant(fleet_of(settings), slug)
