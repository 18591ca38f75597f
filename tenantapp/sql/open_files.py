"""How many SQLite connections a process may keep: each has files open."""

import sys
from typing import Final

MOST: Final = 1024  # connections; each takes about 150 KiB, and up to half a MiB more for its cache
WITHOUT_LIMITS: Final = 256  # where the operating system does not say how many files there may be
FILES: Final = 3  # of a connection: the database, its write-ahead log, and the log's index


def most_connections() -> int:
    """As many as half of the files allow that this process may have open; the rest is for everything else.

    The soft limit (getrlimit(2)) is raised as far as that needs and as the hard limit lets it.
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
    """Infinity is negative there."""
    return limit if limit >= 0 else sys.maxsize
