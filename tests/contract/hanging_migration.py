"""``tenantapp migrate`` that hangs at a point, see ``hanging``, to be killed there: in one of its processes, once."""

import os
import sys
import time
from functools import partial
from pathlib import Path

from tenantapp.cli import main as tenantapp
from tests.contract.hanging import hang_at


def hang_once(marker: Path) -> None:
    """Say which process this is and hang, if it is the first process that comes so far."""
    try:
        marker.open("x").close()
    except FileExistsError:
        return
    print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(600)


def main(point: str, marker: str, *arguments: str) -> int:
    """Run the command, up to the point; the first process that comes there makes the marker, a file."""
    hang_at(point, partial(hang_once, Path(marker)))
    return tenantapp(arguments)
