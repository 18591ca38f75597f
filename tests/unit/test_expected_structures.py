"""Expected structures are kept for a while, and not for ever."""

from typing import Any

import pytest

from tenantapp.databases.schemas.expected import Key, KnownStructures


def key(revision: str) -> Key:
    return Key(None, (3, 45, 0), revision, "digest")


def made_by(known: KnownStructures, *revisions: str) -> list[str]:
    """Which of the structures had to be made when they were asked for one after the other."""
    made: list[str] = []
    for revision in revisions:
        structure: Any = {"revision": revision}

        def make(revision: str = revision, structure: Any = structure) -> Any:
            made.append(revision)
            return structure

        assert known.get(key(revision), make)["revision"] == revision  # type: ignore[call-overload]
    return made


def test_one_is_made_once() -> None:
    assert made_by(KnownStructures(), "a", "b", "a", "b") == ["a", "b"]


def test_one_is_made_again_after_its_time() -> None:
    assert made_by(KnownStructures(kept_for=-1), "a", "a") == ["a", "a"]


def test_the_oldest_is_forgotten() -> None:
    assert made_by(KnownStructures(most=2), "a", "b", "c", "b", "c", "a") == ["a", "b", "c", "a"]


def test_one_that_cannot_be_made_is_not_kept() -> None:
    known = KnownStructures()

    def fail() -> Any:
        raise LookupError("no such revision")

    with pytest.raises(LookupError):
        known.get(key("a"), fail)
    assert made_by(known, "a") == ["a"]
