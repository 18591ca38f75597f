"""The page, built from its sources for the tests that look at it in a browser."""

import subprocess
import sys
from pathlib import Path

from tests.programs import ProgramMissing

ROOT = Path(__file__).parents[1]
DIST = ROOT / "tenantapp" / "web" / "dist"
FRONTEND = ROOT / "frontend"
NOT_BUILT = "The page is not built, because"
TIMEOUT = 600  # seconds


def built_page() -> Path:
    """The directory of the page, built if its sources have changed. Raises ``ProgramMissing`` without its packages."""
    run_build()
    return DIST


def run_build(*options: str) -> str:
    """Run ``build.py``, and return what it printed. Raises ``ProgramMissing`` if the packages cannot be fetched."""
    done = subprocess.run(
        [sys.executable, FRONTEND / "build.py", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.stderr.startswith(NOT_BUILT):
        raise ProgramMissing("the npm packages of frontend could not be had from the npm registry")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
