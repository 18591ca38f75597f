"""Which tenants to move, so that each server has what its weight says."""

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tenantapp.fleet.errors import CopyRefused

ENOUGH: Final = 0.05  # of the mean: servers that differ by less are left alone


class Candidate(NamedTuple):
    """A tenant that may be moved. ``amount`` is what is to be spread: 1 for each tenant, or its bytes, or its load."""

    amount: float
    size: int  # bytes
    slug: str
    server: str


class PlannedMove(NamedTuple):
    """A tenant, where it is, where it is to be, and the bytes of its database."""

    slug: str
    server: str
    to: str
    size: int


@dataclass(slots=True)
class _Load:
    """What a server has. ``candidates`` are in the order of their amounts, and of their sizes."""

    name: str
    weight: float
    candidates: list[Candidate]
    total: float

    def with_more(self, amount: float) -> float:
        """Return what it would have for its weight with this much more."""
        return (self.total + amount) / self.weight


def plan_moves(candidates: Sequence[Candidate], weights: Mapping[str, float], drained: str | None) -> list[PlannedMove]:
    """Return the moves, in the order in which to make them: as few bytes as possible where the amounts are equal.

    ``weights`` are those of the servers between which tenants move; one of 0 gets nothing, and keeps what it has. All
    tenants of the server that is ``drained`` go to the others. Raises ``CopyRefused`` if there is no other.
    """
    loads = {name: _Load(name, weight, [], 0.0) for name, weight in weights.items()}
    for candidate in sorted(each for each in candidates if each.server in loads):
        loads[candidate.server].candidates.append(candidate)
        loads[candidate.server].total += candidate.amount
    taking = [load for load in loads.values() if load.weight > 0 and load.name != drained]
    if drained is not None:
        if not taking:
            raise CopyRefused(f"There is no server to which the tenants of {drained} could go.")
        return list(_drain(loads[drained], taking))
    return list(_spread(taking)) if len(taking) > 1 else []


def _drain(drained: _Load, taking: Sequence[_Load]) -> Iterator[PlannedMove]:
    for candidate in reversed(drained.candidates):  # the large ones first: small ones fill what they leave
        to = min(taking, key=lambda load: load.with_more(candidate.amount))
        to.total += candidate.amount
        yield PlannedMove(candidate.slug, drained.name, to.name, candidate.size)


def _spread(taking: Sequence[_Load]) -> Iterator[PlannedMove]:
    mean = sum(load.total for load in taking) / sum(load.weight for load in taking)
    moved = set[str]()
    while True:
        fullest = max(taking, key=lambda load: load.with_more(0))
        emptiest = min(taking, key=lambda load: load.with_more(0))
        gap = fullest.with_more(0) - emptiest.with_more(0)
        if gap <= ENOUGH * mean:
            return
        # With this much moved, both would have the same for their weights.
        most = gap / (1 / fullest.weight + 1 / emptiest.weight)
        if (candidate := _largest(fullest.candidates, most)) is None or candidate.slug in moved:
            return
        fullest.candidates.remove(candidate)
        fullest.total -= candidate.amount
        emptiest.total += candidate.amount
        insort(emptiest.candidates, candidate)
        moved.add(candidate.slug)
        yield PlannedMove(candidate.slug, fullest.name, emptiest.name, candidate.size)


def _largest(candidates: Sequence[Candidate], most: float) -> Candidate | None:
    """Return the candidate with the largest amount up to ``most``, of equal ones that with the fewest bytes."""
    end = bisect_right(candidates, most, key=lambda candidate: candidate.amount)
    if end == 0 or candidates[end - 1].amount <= 0:
        return None
    amount = candidates[end - 1].amount
    return candidates[bisect_right(candidates, (amount, -1), key=lambda candidate: (candidate.amount, candidate.size))]
