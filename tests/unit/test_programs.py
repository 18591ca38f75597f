"""A program that cannot be had skips its tests, and fails them under CI."""

from pathlib import Path

import pytest

from tests.programs import ProgramMissing, needed


def missing() -> Path:
    raise ProgramMissing("It is missing: install it")


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)], ids=["CI", "elsewhere"]
)
def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="install it"):
        needed(missing)


def test_what_is_there_is_used(tmp_path: Path) -> None:
    assert needed(lambda: tmp_path) == tmp_path
