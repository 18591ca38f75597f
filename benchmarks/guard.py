"""Outlives the benchmarks, however they end: stops their PostgreSQL, which is a daemon, and removes their files.

Run as a program with the directory they work in; it waits until its standard input is closed.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path


def stop_postgres(pid_file: Path) -> None:
    """Stop a server at once, if it is still running: nothing in it is worth keeping."""
    try:
        postmaster = int(pid_file.read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGQUIT)
        for _ in range(100):
            os.kill(postmaster, 0)
            time.sleep(0.1)
    except (OSError, ValueError, IndexError):
        return


def main(directory: Path) -> None:
    """Wait for the end of whoever started us, and clean up."""
    sys.stdin.read()
    for pid_file in directory.glob("*/data/postmaster.pid"):
        stop_postgres(pid_file)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
