"""The environments the contenders run in: one for each, made when it is first needed and kept until its pins change."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

ENVIRONMENTS: Final = Path(__file__).with_name(".envs")
_STAMP: Final = "requirements.sha256"


class CannotInstall(Exception):
    """pip could not install what a contender needs; the message is the end of what it said."""


def python_of(directory: Path) -> Path:
    """The Python of the environment with the requirements of this contender's directory.

    Raises ``CannotInstall``.
    """
    requirements = directory / "requirements.txt"
    environment = ENVIRONMENTS / directory.name
    python = environment / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = environment / _STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        _run([sys.executable, "-m", "venv", "--clear", str(environment)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)])
        stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotInstall(done.stderr[-1500:].strip())
