"""How far behind a replica is, from what a server and its replica say from time to time."""

import pytest

from tenantapp.tenancy.replicas import Lag


def test_what_was_never_heard_of_lags() -> None:
    assert not Lag(5).is_small(0.0)


def test_a_replica_that_has_all_does_not_lag_until_nobody_hears_of_it() -> None:
    lag = Lag(5)
    lag.note(100.0, 7, 7)
    assert lag.is_small(105.0)
    assert not lag.is_small(105.1)


@pytest.mark.parametrize(("most", "small"), [(0.5, False), (90, False), (110, True), (3600, True)])
def test_a_replica_that_is_always_behind_lags_by_that(most: float, small: bool) -> None:
    """The server writes a byte in a second, and is asked once in a second. The replica is 100 seconds behind."""
    lag = Lag(most)
    for second in range(5000):
        lag.note(float(second), second, max(0, second - 100))
    assert lag.is_small(5000.0) is small


def test_a_replica_that_stands_still_lags_more_and_more() -> None:
    lag = Lag(5)
    for second in range(10):
        lag.note(float(second), second, min(second, 2))
    assert lag.is_small(7.0)
    assert not lag.is_small(8.0)
    lag.note(10.0, 10, 10)
    assert lag.is_small(10.0)
    lag.forget()
    assert not lag.is_small(10.0)
