"""Make files that only their owner may read, and open only regular files."""

import os
import stat
from pathlib import Path
from typing import IO


def keep_files_private() -> None:
    """Set the umask, so that new files have at most mode 0600 and new directories at most 0700.

    Processes that this one starts inherit the umask. Databases, their logs, dumps, bundles and copies hold people's
    data. Existing files keep their mode, which the operator may have chosen.
    """
    os.umask(os.umask(0o077) | 0o077)


def is_regular(path: Path) -> bool:
    """Return whether this is a regular file. Opening a FIFO would wait for a writer. Raises ``OSError``."""
    return stat.S_ISREG(path.stat().st_mode)


def open_regular(path: Path) -> IO[bytes] | None:
    """Open a regular file for reading. Return None for a FIFO, a device or a directory. Raises ``OSError``.

    The call does not wait for a writer.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")
