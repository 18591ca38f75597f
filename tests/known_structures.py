"""Expected structures and restored forms that are made once for a process of the tests and all that it starts.

A program finds them by running a history, or by dumps and restores, and keeps them for ten minutes. One that is forked
to be killed has just begun, and took longer over that than over all else it does.
"""

import atexit
import hashlib
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

from tenantapp.databases.schemas import expected
from tenantapp.databases.schemas.expected import KEPT_FOR, KnownStructures
from tenantapp.databases.schemas.structure import Structure
from tenantapp.fleet.backups import restored_forms

DIRECTORY: Final = "TESTS_KNOWN_STRUCTURES"


class FiledStructures(KnownStructures):
    """Structures that are also in files of a directory, where other processes find them."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def get(self, key: Hashable, make: Callable[[], Structure]) -> Structure:
        return super().get(key, lambda: self._filed(key, make))

    def _filed(self, key: Hashable, make: Callable[[], Structure]) -> Structure:
        file = self._directory / hashlib.sha256(repr(key).encode()).hexdigest()
        if file.exists() and time.time() - file.stat().st_mtime < KEPT_FOR:
            known: Structure = pickle.loads(file.read_bytes())
            return known
        structure = make()
        new = file.with_suffix(f".{os.getpid()}")
        new.write_bytes(pickle.dumps(structure))
        new.replace(file)
        return structure


def share_known_structures() -> None:
    """Share them with the processes that this one starts, or with the one that has started this one."""
    if DIRECTORY not in os.environ:
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix="tenantapp-structures-")
        atexit.register(shutil.rmtree, os.environ[DIRECTORY], ignore_errors=True)
    for module in (expected, restored_forms):
        directory = Path(os.environ[DIRECTORY], module.__name__)
        directory.mkdir(exist_ok=True)
        module._known = FiledStructures(directory)  # type: ignore[attr-defined]
