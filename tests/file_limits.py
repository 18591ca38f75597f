"""Files that cannot be written to, or opened, for a while."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the operating system refuse every write of this process beyond so many bytes of a file (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def few_more_files(count: int) -> Iterator[None]:
    """Let this process open so many more files, and no more (EMFILE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as filled:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
        try:
            # The numbers below the highest are taken as well.
            taken = []
            with suppress(OSError):
                while True:
                    taken.append(filled.enter_context(open(os.devnull)))
            for each in taken[len(taken) - count :]:
                each.close()
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
