"""``tenantapp migrate`` that hangs at a point, once, to be killed there.

The point is ``module:name``, or ``module:Class.name``, with ``:before`` or ``:after``, and the number of the call.
"""

import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from tenantapp.cli import main as tenantapp


def hang_once(point: str, marker: Path) -> None:
    """Replace a function by one that says which process it is and hangs, in the first process that comes so far."""
    module, name, when, number = point.split(":")
    place: Any = import_module(module)
    *classes, name = name.split(".")
    for inner in classes:
        place = getattr(place, inner)
    real: Callable[..., Any] = getattr(place, name)
    calls = count(1)

    def hanging(*arguments: Any, **options: Any) -> Any:
        is_it = next(calls) == int(number)
        if is_it and when == "before":
            hang()
        result = real(*arguments, **options)
        if is_it and when == "after":
            hang()
        return result

    def hang() -> None:
        try:
            marker.open("x").close()
        except FileExistsError:
            return
        print(os.getpid(), file=sys.stderr, flush=True)
        time.sleep(600)

    setattr(place, name, hanging)


if __name__ == "__main__":
    hang_once(sys.argv[1], Path(sys.argv[2]))
    sys.exit(tenantapp(sys.argv[3:]))
