"""Limit the SQLite connections of a process, because each has files open."""

import sys
from typing import Final

MOST: Final = 1024  # connections; each takes about 150 KiB, and up to half a MiB more for its cache
WITHOUT_LIMITS: Final = 256  # connections, if the operating system has no limit on open files to read
FILES: Final = 3  # open files of a connection: the database, its write-ahead log, and the log's index


def most_connections() -> int:
    """Return how many connections this process may keep. They use at most half of the files that it may have open.

    The function raises the soft limit on open files (getrlimit(2)) as far as needed, but not above the hard limit.
    """
    if sys.platform == "win32":
        return WITHOUT_LIMITS
    import resource

    soft, hard = (_number(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    wanted = min(2 * FILES * MOST, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return min(MOST, max(soft, wanted) // (2 * FILES))


def _number(limit: int) -> int:
    """Return a limit as a positive number. ``RLIM_INFINITY`` is negative."""
    return limit if limit >= 0 else sys.maxsize
