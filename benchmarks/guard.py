"""Outlives the benchmarks, however they end: stops their PostgreSQL, which is a daemon, and removes its files.

Run as a program with the server's directory; it waits until its standard input is closed.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path


def stop_postgres(data: Path) -> None:
    """Stop the server of this data directory at once, if it is still running: nothing in it is worth keeping."""
    try:
        postmaster = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGQUIT)
        for _ in range(100):
            os.kill(postmaster, 0)
            time.sleep(0.1)
    except (OSError, ValueError, IndexError):
        return


def main(directory: Path) -> None:
    """Wait for the end of whoever started us, and clean up."""
    sys.stdin.read()
    stop_postgres(directory / "data")
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
