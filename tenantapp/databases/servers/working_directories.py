"""Temporary directories for data on their way, removed when a block ends.

What a killed process has left in one is customers' data. The next process that needs such a directory removes it, once
nobody can be using it any more.
"""

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "tenantapp_"
ABANDONED_AFTER: Final = 86400.0  # seconds without anything written; no copy takes longer


@contextmanager
def working_directory(purpose: str) -> Iterator[Path]:
    """Yield an empty directory that nobody else can read, until the block ends. Raises ``OSError``."""
    prefix = f"{PREFIX}{purpose}_"
    remove_abandoned(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        yield Path(directory)


def remove_abandoned(prefix: str) -> None:
    """Remove directories with this prefix that ``working_directory`` made and a killed process left."""
    # Only names that mkdtemp(3) makes, not directories that somebody named with our prefix.
    ours = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}")
    for directory in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Another process may be removing it too.
        with suppress(FileNotFoundError):
            if ours.fullmatch(directory.name) and _is_abandoned(directory):
                shutil.rmtree(directory, ignore_errors=True)


def _is_abandoned(directory: Path) -> bool:
    """Return whether a directory is ours and no longer used.

    Anybody may put anything into the place for temporary files. Links, and files of other users, are left alone.
    """
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
        return False
    written = max(status.st_mtime, *(file.lstat().st_mtime for file in directory.iterdir()), 0.0)
    return written < time.time() - ABANDONED_AFTER
