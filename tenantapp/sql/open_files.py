"""Limit the SQLite connections of a process, because each has files open."""

import errno
import os
import sys
from typing import Final

MOST: Final = 1024  # connections; each takes about 150 KiB, and up to half a MiB more for its cache
WITHOUT_LIMITS: Final = 256  # connections, if the operating system has no limit on open files to read
FILES: Final = 3  # open files of a connection: the database, its write-ahead log, and the log's index


BESIDES: Final = 256  # files that a process needs besides: for requests, the user database, logs and libraries


class TooFewFiles(Exception):
    """The process may not have as many files open as its connections need. ``needed`` and ``allowed`` are numbers."""

    def __init__(self, needed: int, allowed: int) -> None:
        super().__init__(f"{needed} open files are needed, and {allowed} are allowed")
        self.needed, self.allowed = needed, allowed


def most_connections(servers: int = 1) -> int:
    """Return how many connections this process may keep to each of several servers.

    They use at most half of the files that it may have open. The function raises the soft limit on open files
    (getrlimit(2)) as far as needed, but not above the hard limit.
    """
    if sys.platform == "win32":
        return WITHOUT_LIMITS
    allowed = _allow(2 * FILES * MOST * servers)
    return min(MOST, allowed // (2 * FILES * servers))


def allow_connections(connections: int) -> None:
    """Let this process have the files open that so many connections need. Raises ``TooFewFiles`` if it may not."""
    needed = FILES * connections + BESIDES
    if sys.platform != "win32" and (allowed := _allow(needed)) < needed:
        raise TooFewFiles(needed, allowed)


def too_few_files_left() -> bool:
    """Return whether this process, or the machine, cannot open the files of one more connection (EMFILE, ENFILE)."""
    if sys.platform == "win32":
        return False
    opened: list[int] = []
    try:
        while len(opened) < FILES:
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return False


def _allow(wanted: int) -> int:
    """Raise the soft limit on open files to this number, as far as the hard limit permits. Return the soft limit."""
    import resource

    soft, hard = (_number(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(soft, wanted)


def _number(limit: int) -> int:
    """Return a limit as a positive number. ``RLIM_INFINITY`` is negative."""
    return limit if limit >= 0 else sys.maxsize
