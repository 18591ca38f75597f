"""Files that are still there after a power cut."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file's content on the disk; or, of a directory, the names in it (fsync(2)). Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
