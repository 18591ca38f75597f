"""What takes long to make, and is made once for all the processes that tests run in."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def copy_made_once(temporary: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A copy of a directory that ``make`` has filled, in this process or another. It may not hold its own path."""
    base = temporary.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    original = shared / f"made-once-{name}"
    with (shared / f"made-once-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            make(making := temporary.mktemp(f"making-{name}"))
            making.rename(original)
    return shutil.copytree(original, temporary.mktemp(name), dirs_exist_ok=True)
