"""A Chromium for the tests: the installed one, Debian's where root may install it, or the one of Playwright."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.programs import ProgramMissing

# The shell is the same browser without windows. A visit takes it two thirds of the processor.
PACKAGES = ("chromium-headless-shell", "chromium")
NAMES = (*PACKAGES, "chromium-browser", "google-chrome")
TIMEOUT = 300  # seconds
WANTED = "Chromium is missing, and could not be had: install the package chromium, or run playwright install chromium"


def chromium() -> Path:
    """The program. Raises ``ProgramMissing`` if it is not there and cannot be fetched."""
    with (Path(tempfile.gettempdir()) / "tenantapp-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        found = _installed() or _of_debian() or _of_playwright()
    if found is None:
        raise ProgramMissing(WANTED)
    return found


def _installed() -> Path | None:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def _of_debian() -> Path | None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    for update in (False, True):
        if update:
            _runs(["apt-get", "update"])
        for package in PACKAGES:
            if _runs(["apt-get", "install", "--yes", "--no-install-recommends", package]):
                return _installed()
    return None


def _of_playwright() -> Path | None:
    _runs([sys.executable, "-m", "playwright", "install", "chromium"])
    caches = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    return next(iter(sorted(caches.glob("chromium-*/chrome-*/chrome"))), None)


def _runs(command: list[str]) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        return (
            subprocess.run(command, env=environment, capture_output=True, check=False, timeout=TIMEOUT).returncode == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False
