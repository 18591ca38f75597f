"""The directory the benchmarks work in: gone at the end with all that runs there, also when we are killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace() -> Iterator[Path]:
    """A new directory, and a guard that outlives this process to clean up after it."""
    directory = Path(tempfile.mkdtemp(prefix="tenantapp-bench-"))
    # Contenders and PostgreSQL leave files in these places; here they are cleared away with the rest.
    os.environ["XDG_RUNTIME_DIR"] = os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    guard = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("guard.py")), str(directory)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield directory
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()
