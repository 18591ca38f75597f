"""Directories for data that is on its way: in the place for temporary files, and gone at the end of a block.

What a process that was killed has left there is customers' data. It is removed by the next one that needs such a
directory, when nobody can be at work in it any more.
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
    """An empty directory that nobody else can read, until the block ends. Raises ``OSError``."""
    prefix = f"{PREFIX}{purpose}_"
    remove_abandoned(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        yield Path(directory)


def remove_abandoned(prefix: str) -> None:
    """Remove the directories with this prefix that ``working_directory`` has made and a killed process left."""
    # As mkdtemp(3) names them: nothing that somebody called so by himself.
    ours = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}")
    for directory in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Another process may be removing it too.
        with suppress(FileNotFoundError):
            if ours.fullmatch(directory.name) and _is_abandoned(directory):
                shutil.rmtree(directory, ignore_errors=True)


def _is_abandoned(directory: Path) -> bool:
    """Everybody may put something there under any name: what is not ours, or leads elsewhere, is left alone."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
        return False
    written = max(status.st_mtime, *(file.lstat().st_mtime for file in directory.iterdir()), 0.0)
    return written < time.time() - ABANDONED_AFTER
