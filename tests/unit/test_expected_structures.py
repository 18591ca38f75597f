"""Expected structures are kept for a while, and not for ever."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
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
    assert known._waits == {}
    assert made_by(known, "a") == ["a"]


def test_one_that_cannot_be_made_is_made_by_one_who_waits() -> None:
    """Each in its turn, also if who came first fails."""
    known, begun, turns = KnownStructures(), Event(), list[str]()

    def fail() -> Any:
        begun.set()
        while next(iter(known._waits.values())).threads < 3:
            time.sleep(0.001)
        turns.append("fails")
        raise LookupError("no such revision")

    def make() -> Any:
        turns.append("makes")
        return {"revision": "a"}

    with ThreadPoolExecutor(3) as threads:
        failing = threads.submit(known.get, key("a"), fail)
        begun.wait()
        others = [threads.submit(known.get, key("a"), make) for _ in range(2)]
        assert [other.result() for other in others] == [{"revision": "a"}] * 2
    assert isinstance(failing.exception(), LookupError)
    assert (turns, known._waits) == (["fails", "makes"], {})
