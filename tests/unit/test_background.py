"""Works that a thread repeats do not keep each other from going on."""

from threading import Event

import pytest

from tenantapp.operations.background import repeat
from tenantapp.tenancy.errors import UserDatabaseUnavailable


def test_a_work_that_fails_keeps_no_other_from_going_on(caplog: pytest.LogCaptureFixture) -> None:
    stop, done = Event(), 0

    def fail() -> bool:
        raise ZeroDivisionError

    def be_down() -> bool:
        raise UserDatabaseUnavailable

    def work() -> bool:
        nonlocal done
        done += 1
        if done == 3:
            stop.set()
        return True

    repeat(stop, {"Nothing is sealed": fail, "Nothing is sent": be_down, "Nothing is done": work}, 60.0)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Nothing is sealed",
        "Nothing is sent",
    ]
    assert done == 3, "the others are tried again later, and hold nothing up"
