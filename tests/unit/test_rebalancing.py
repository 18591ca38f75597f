"""Which tenants are moved between servers."""

from collections import Counter

import pytest

from tenantapp.fleet.copying.rebalancing import Candidate, PlannedMove, plan_moves
from tenantapp.fleet.errors import CopyRefused


def tenants(server: str, *sizes: int, by_bytes: bool = False) -> list[Candidate]:
    return [Candidate(size if by_bytes else 1, size, f"{server}{n}", server) for n, size in enumerate(sizes)]


def after(candidates: list[Candidate], moves: list[PlannedMove]) -> dict[str, float]:
    """What each server has then."""
    place = {candidate.slug: candidate.server for candidate in candidates}
    for move in moves:
        assert place[move.slug] == move.server
        place[move.slug] = move.to
    found = Counter[str]()
    for candidate in candidates:
        found[place[candidate.slug]] += candidate.amount  # type: ignore[assignment]
    return dict(found)


def test_the_smallest_tenants_are_moved_until_each_server_has_what_its_weight_says() -> None:
    candidates = [*tenants("one", *range(100, 0, -1)), *tenants("two", 5)]
    moves = plan_moves(candidates, {"one": 1, "two": 3}, None)
    assert after(candidates, moves) == pytest.approx({"one": 25, "two": 76}, abs=2)
    assert {move.size for move in moves} == set(range(1, len(moves) + 1))
    assert len({move.slug for move in moves}) == len(moves)


def test_bytes_are_spread_and_a_tenant_that_would_only_change_sides_stays() -> None:
    candidates = [*tenants("one", 60, 40, 30, 20, by_bytes=True), *tenants("two", 10, by_bytes=True)]
    moves = plan_moves(candidates, {"one": 1, "two": 1}, None)
    assert sorted(after(candidates, moves).values()) == [70, 90], "nothing that is left is small enough"
    huge = [*tenants("one", 1000, by_bytes=True), *tenants("two", 1, by_bytes=True)]
    assert plan_moves(huge, {"one": 1, "two": 1}, None) == []


@pytest.mark.parametrize("weights", [{"one": 1, "two": 1}, {"one": 0, "two": 1}, {"one": 1}, {"one": 1.0, "two": 1.05}])
def test_nothing_is_moved_without_need(weights: dict[str, float]) -> None:
    assert plan_moves([*tenants("one", *[1] * 20), *tenants("two", *[1] * 20)], weights, None) == []


def test_a_server_is_drained_to_those_that_take_tenants() -> None:
    candidates = [*tenants("old", *range(30)), *tenants("one", *range(10)), *tenants("closed", 1)]
    moves = plan_moves(candidates, {"old": 5, "one": 1, "two": 1, "closed": 0}, "old")
    assert after(candidates, moves) == {"one": 20, "two": 20, "closed": 1}
    with pytest.raises(CopyRefused, match="no server to which the tenants of old"):
        plan_moves(candidates, {"old": 5, "closed": 0}, "old")


def test_ten_thousand_tenants_are_planned_in_one_go() -> None:
    candidates = [*tenants("one", *range(10_000)), *tenants("two", *range(10)), *tenants("three", *range(10))]
    moves = plan_moves(candidates, {"one": 1, "two": 1, "three": 1}, None)
    assert max(after(candidates, moves).values()) < 3600
