"""Where the npm registry cannot be reached, one sentence says so, and only CI minds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FRONTEND = Path(__file__).parents[2] / "frontend"
NOBODY = "http://127.0.0.1:9/"  # the port of a service that throws everything away


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_the_registry_there_is_a_sentence_and_no_page(tmp_path: Path, ci: str, status: int) -> None:
    copy = tmp_path / "frontend"
    copy.mkdir()
    for name in ("build.py", "package.json", "package-lock.json"):
        shutil.copy(FRONTEND / name, copy)
    environment = os.environ | {"npm_config_registry": NOBODY, "npm_config_cache": str(tmp_path / "cache"), "CI": ci}
    done = subprocess.run(
        [sys.executable, copy / "build.py", "--optional"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("The page is not built, because its packages could not be had from the npm registry.")
    assert not (tmp_path / "tenantapp").exists()
