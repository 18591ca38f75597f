"""A package that builds on tenantapp, in processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.contract.conftest import Fleet

ROOT = Path(__file__).parents[2]
# Several commands in one process: starting Python takes longer than what they do.
COMMANDS = """
import shlex
import sys

import alembic.config
from tenantapp.cli import main

for line in sys.argv[1:]:
    program, *arguments = shlex.split(line)
    assert not (main(arguments) if program == "tenantapp" else alembic.config.main(arguments)), line
"""


def run(fleet: Fleet, directory: Path, *command: str, given: str = "") -> str:
    """Run Python on the package in this directory and the fleet's servers; returns what it printed.

    ``given`` is its standard input.
    """
    settings = {f"TENANTAPP_{name.replace('.', '_').upper()}": value for name, value in fleet.values.items()}
    return run_with(settings, directory, *command, given=given)


def run_with(variables: dict[str, str], directory: Path, *command: str, given: str = "", status: int = 0) -> str:
    """Run Python on a domain in this directory with these variables; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TENANTAPP_", "PYTEST_"))}
    paths = {"PYTHONPATH": f"{directory}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=environment | variables | paths,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status, done.stdout
    return done.stdout
