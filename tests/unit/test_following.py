"""Whatever is done to a chain of the audit trail, exactly that is said."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tenantapp.audit.canonical import BEGINNING, digests_of, erase, hash_of
from tenantapp.audit.following import Follower

Line = dict[str, Any]
SALT = bytes(range(16))


def sealed(line: Line, previous: str) -> Line:
    """The line with a seal of its own behind the entry with this hash."""
    digests = digests_of(line["entry"], SALT, None)
    own = hash_of(bytes.fromhex(previous), line["entry"], digests).hex()
    return {**line, "previous": previous, "hash": own, "salt": SALT.hex(), "erased": None}


def entry(number: int) -> Line:
    fixed: Line = dict.fromkeys(("at", "actor_id", "tenant_id", "slug", "request_id"))
    return {**fixed, "id": f"e{number}", "action": "test", "actor": "ada", "address": None, "detail": {"login": "bob"}}


def chain(length: int) -> list[Line]:
    lines: list[Line] = []
    for number in range(1, length + 1):
        previous = lines[-1]["hash"] if lines else BEGINNING.hex()
        lines.append(sealed({"position": number, "entry": entry(number)}, previous))
    return lines


def found(lines: list[Line], original: list[Line]) -> list[tuple[str, str | None, int | None]]:
    """What is said of lines that were made out of the original, whose end is signed."""
    follower = Follower("c", 0, BEGINNING.hex())
    for line in lines:
        follower.add(line)
    follower.finish(original[-1]["position"], original[-1]["hash"])
    return [(each.kind, each.entry, each.position) for each in follower.findings]


def renumbered(lines: list[Line]) -> list[Line]:
    """What somebody makes who also hides the gap, or the place of what was put in."""
    return [{**line, "position": number} for number, line in enumerate(lines, 1)]


def altered(lines: list[Line]) -> list[Line]:
    lines[2]["entry"]["detail"]["login"] = "eve"
    return lines


def resealed(lines: list[Line]) -> list[Line]:
    lines[2]["entry"]["actor"] = "eve"
    return [*lines[:2], sealed(lines[2], lines[1]["hash"]), *lines[3:]]


def with_another_end(lines: list[Line]) -> list[Line]:
    return [*lines[:-1], sealed({"position": 8, "entry": entry(9)}, lines[-2]["hash"])]


def with_intruder(lines: list[Line]) -> list[Line]:
    intruder = sealed({"position": 3, "entry": entry(99)}, lines[1]["hash"])
    return renumbered([*lines[:2], intruder, *lines[2:]])


def with_forged_intruder(lines: list[Line]) -> list[Line]:
    return renumbered([*lines[:2], sealed({"position": 3, "entry": entry(99)}, "ab" * 32), *lines[2:]])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines, []),
        (altered, [("altered", "e3", 3)]),
        (resealed, [("altered", "e3", 3)]),
        (lambda lines: lines[:2] + lines[3:], [("removed", None, 3)]),
        (lambda lines: lines[:2] + lines[5:], [("removed", None, 3)]),
        (lambda lines: lines[1:], [("removed", None, 1)]),
        (lambda lines: lines[:-2], [("removed", None, None)]),
        (lambda lines: [], [("removed", None, None)]),
        (
            lambda lines: [*lines[:-1], sealed({**lines[-1], "entry": entry(9)}, lines[-2]["hash"])],
            [("altered", "e9", 8)],
        ),
        (with_intruder, [("inserted", "e99", 3)]),
        (with_forged_intruder, [("inserted", "e99", 3)]),
        (
            lambda lines: [*lines, sealed({"position": 9, "entry": entry(99)}, lines[-1]["hash"])],
            [("inserted", "e99", 9)],
        ),
        (lambda lines: renumbered([*lines[:2], lines[3], lines[2], *lines[4:]]), [("reordered", "e3", 4)]),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], [("reordered", "e3", 3)]),
        (lambda lines: renumbered([*lines[:1], *lines[2:], lines[1]]), [("reordered", "e2", 8)]),
        (lambda lines: renumbered([lines[0], lines[6], *lines[1:6], lines[7]]), [("reordered", "e7", 2)]),
        (
            lambda lines: [*lines[:4], {**lines[4], "position": 7}, *lines[5:]],
            [("altered", "e5", 7)],
        ),
    ],
)
def test_what_was_done_is_said(change: Callable[[list[Line]], list[Line]], said: list[tuple[str, Any, Any]]) -> None:
    original = chain(8)
    assert found(change(deepcopy(original)), original) == said


def test_what_is_erased_leaves_the_chain_whole_and_tells_nothing() -> None:
    original = chain(3)
    lines = deepcopy(original)
    line = lines[1]
    line["erased"] = erase(line["entry"], SALT, None, ["detail.login"])
    line["salt"] = None
    line["entry"]["detail"] = {"login": "forgotten:7"}
    assert found(lines, original) == []
    again = deepcopy(lines)
    again[1]["erased"] = erase(line["entry"], SALT, line["erased"], ["actor", "detail.login"])
    again[1]["entry"]["actor"] = "forgotten:8"
    assert found(again, original) == []
    assert set(again[1]["erased"]["salts"]) == {"address"}
    # What is left is still covered, and so is what the entry is about.
    lines[1]["entry"]["actor"] = "eve"
    assert found(lines, original) == [("altered", "e2", 2)]
    again[1]["entry"]["action"] = "other"
    assert found(again, original) == [("altered", "e2", 2)]


def test_a_wholly_wrong_chain_takes_no_memory() -> None:
    lines = chain(3000)
    for line in lines:
        line["entry"]["actor"] = "eve"
    follower = Follower("c", 0, BEGINNING.hex())
    for line in lines:
        follower.add(line)
    assert (len(follower.findings), follower.untold) == (1000, 2000)
