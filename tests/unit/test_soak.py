"""The soak's arithmetic: it tells a leak from memory that comes and goes."""

import random

import pytest

from tests.soak.watching import MIB, Bound, Figures, Sample, growths

BOUNDS = {"server": {"resident, MiB": Bound(8 * MIB, 2 * MIB)}}


def hours(number: int, leak: float) -> list[Sample]:
    """Samples of a process that leaks so much in an hour, and whose memory comes and goes by 20 MiB."""
    chance = random.Random(0)
    found = []
    for minute in range(0, number * 60, 2):
        resident = int(150 * MIB + leak * minute / 60 + chance.random() * 20 * MIB)
        found.append(Sample(minute * 60.0, {"server 1": Figures(resident, 0, 0, 0, 0, 1)}))
    return found


@pytest.mark.parametrize(("leak", "is_well"), [(0, True), (MIB, True), (5 * MIB, False)])
def test_a_leak_is_told_from_what_comes_and_goes(leak: int, is_well: bool) -> None:
    (growth,) = growths(hours(10, leak), BOUNDS, 3600)
    assert growth.is_well == is_well
    assert abs(growth.growth - leak * 10) < 4 * MIB
