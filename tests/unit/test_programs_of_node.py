"""Programs of npm for the tests: exact versions, and one sentence if they cannot be had."""

import json
import re
from pathlib import Path

import pytest

from tests.node import CLIENTS, node_packages
from tests.programs import ProgramMissing

EXACT = re.compile(r"\d+\.\d+\.\d+")


def test_versions_are_exact() -> None:
    wanted = json.loads((CLIENTS / "package.json").read_text())["devDependencies"]
    assert all(EXACT.fullmatch(version) for version in wanted.values())
    locked = json.loads((CLIENTS / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for name, package in locked.items() if name)


def test_without_the_registry_they_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(ProgramMissing, match="could not be had from the npm registry"):
        node_packages(tmp_path / "cache")
