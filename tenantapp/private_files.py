"""Files that only their owner may read, and files that are no files."""

import os
import stat
from pathlib import Path
from typing import IO


def keep_files_private() -> None:
    """Have this process, and those it starts, make files of mode 0600 and directories of mode 0700 at most.

    Databases with their logs, dumps, bundles and copies hold what people entrusted to us. What is there already keeps
    its mode: it may be the operator's.
    """
    os.umask(os.umask(0o077) | 0o077)


def is_regular(path: Path) -> bool:
    """Whether this is a file. To open a FIFO would wait for whoever writes to it. Raises ``OSError``."""
    return stat.S_ISREG(path.stat().st_mode)


def open_regular(path: Path) -> IO[bytes] | None:
    """Open a file for reading; None if it is a FIFO, a device or a directory. Waits for nobody. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")
