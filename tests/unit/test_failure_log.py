"""A line for each request that fails on our side, and a traceback now and then."""

import logging

import pytest

from tenantapp.api.failure_log import FailureLog
from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.sql.failures import Cause, Failure
from tenantapp.tenancy.errors import TenantDatabaseUnavailable, user_database_failed

LOST = Failure(Cause.LOST, "server closed the connection unexpectedly")


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[bool]:
    found = [bool(record.exc_info) for record in caplog.records]
    caplog.clear()
    return found


def test_a_traceback_is_written_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    times = [0.0, 1.0, 59.9, 60.0, 61.0]
    failures = FailureLog(every=60, clock=iter(times).__next__)
    for _ in times:
        failures.write("r", raised(TenantDatabaseUnavailable("acme", "main", LOST)))
    assert tracebacks(caplog) == [True, False, False, True, False]


def test_each_kind_of_failure_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """By what failed and why, and not by tenant: a server that is away takes them all with it."""
    failures = FailureLog(clock=lambda: 0.0)
    for error in (
        TenantDatabaseUnavailable("acme", "main", LOST),
        TenantDatabaseUnavailable("globex", "main", LOST),
        TenantDatabaseUnavailable("acme", "main", Failure(Cause.READ_ONLY)),
        user_database_failed(LOST),
        ConnectionsSpent(),
        ConnectionsSpent(),
    ):
        failures.write("r", raised(error))
    assert tracebacks(caplog) == [True, False, True, True, True, False]


def test_the_line_says_what_failed_and_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        FailureLog().write("abc", raised(TenantDatabaseUnavailable("acme", "main", LOST)))
        FailureLog().write("abc", raised(user_database_failed(Failure(Cause.LOST, "gone", in_doubt=True))))
    assert [record.getMessage() for record in caplog.records] == [
        "Request abc: tenant acme on server main: connection lost (server closed the connection unexpectedly)",
        "Request abc: user database: connection lost while it committed (gone)",
    ]
