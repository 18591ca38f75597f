"""A package as ``tenantapp new`` writes it. ``tests/test_wheel.py`` runs its tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import Fleet
from tests.contract.own_domain import ROOT, run

# The longest name that there may be, so that no line gets too long.
NAME = "stock_room_of_the_whole_house1"
NOTHING = """
from tenantapp.cli import main

assert main(["revision", "tenant", "-m", "Again"]) == 1
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as it was written."""
    place = tmp_path_factory.mktemp("new") / "stock"
    command = [sys.executable, "-m", "tenantapp", "new", NAME, "--directory", str(place)]
    subprocess.run(command, cwd=place.parent, check=True)
    assert [path.name for path in place.parent.iterdir()] == ["stock"]
    return place


def test_its_history_has_everything(fleet: Fleet, written: Path) -> None:
    assert "agree" in run(fleet, written, "-c", NOTHING)
    assert len(list((written / NAME / "migrations" / "versions").iterdir())) == 1


def test_it_is_as_clean_as_our_own_code(written: Path) -> None:
    for check in (("ruff", "check", "--no-cache"), ("ruff", "format", "--check", "--no-cache")):
        subprocess.run([sys.executable, "-m", *check, str(written)], check=True)
    # Its own tests and ours, with what `make lint` knows of us already.
    lint = ["mypy", "--config-file", str(ROOT / "pyproject.toml")]
    subprocess.run([sys.executable, "-m", *lint, str(written)], cwd=ROOT, check=True)
