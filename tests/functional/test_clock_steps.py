"""A machine whose clock is wrong, or is put right, agrees with the others: the user database's clock decides."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tenantapp.fleet.closing.fence import lower_fence, raise_fence
from tenantapp.identity.tenants import get_tenant
from tenantapp.sql import database_clock, times
from tenantapp.sql.engines import make_engine
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import follow, present_ns, utcnow
from tenantapp.tenancy.errors import user_database_failed
from tests.installation import Client, Installation

Step = Callable[[float], None]
HOUR, DAY = 3600.0, 86400.0
real_time, real_time_ns = time.time, time.time_ns


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    """Puts the clock of this machine so many seconds ahead of the right time."""
    monkeypatch.setattr(times, "_moment", None)
    monkeypatch.setattr(database_clock, "_due", 0.0)

    def put(ahead: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real_time() + ahead)
        monkeypatch.setattr(time, "time_ns", lambda: real_time_ns() + int(ahead * 1e9))

    return put


def off() -> float:
    """By how many seconds the program's present is wrong."""
    return abs((utcnow() - datetime.now(UTC)).total_seconds())


def test_a_step_of_the_clock_changes_nothing(step: Step) -> None:
    follow(real_time_ns(), within=0)
    ids = [uuid7()]
    for ahead in (HOUR, -HOUR, DAY, -DAY):
        step(ahead)
        ids.append(uuid7())
        assert off() < 1, ahead
    assert ids == sorted(ids)


def test_the_present_goes_on_evenly_as_long_as_the_clocks_agree(step: Step) -> None:
    step(0.5)
    follow(real_time_ns(), within=0)
    before = present_ns()
    follow(real_time_ns(), within=0)
    assert 0 <= present_ns() - before < 0.4e9
    assert 0.4 < off() < 1


def test_a_clock_that_the_database_puts_right_is_followed(step: Step) -> None:
    follow(real_time_ns() + int(DAY * 1e9), within=0)
    assert abs(off() - DAY) < 1
    follow(real_time_ns(), within=0)
    assert off() < 1


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_wrong_clock_is_noticed_by_whoever_uses_the_user_database(
    shared_on_postgresql: Installation, step: Step, caplog: pytest.LogCaptureFixture, autocommit: bool
) -> None:
    step(HOUR)
    assert abs(off() - HOUR) < 1
    registry = shared_on_postgresql.registry
    engine = registry.access_reader.database.engine if autocommit else registry.user_db.engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert off() < 1
    assert "The clock was 3600.0 s ahead of the user database's" in caplog.text


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_clock_that_cannot_be_read_disturbs_nobody(
    shared_on_postgresql: Installation, step: Step, monkeypatch: pytest.MonkeyPatch, autocommit: bool
) -> None:
    monkeypatch.setattr(database_clock, "read_clock", lambda connection: connection.cursor().execute("SELECT 1 / 0"))
    registry = shared_on_postgresql.registry
    engine = registry.access_reader.database.engine if autocommit else registry.user_db.engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_connections_are_kept_after_a_step_back(shared_on_postgresql: Installation, step: Step) -> None:
    """Those that were thrown away while the clock was ahead are not thrown away again for as long."""
    url = shared_on_postgresql.registry.app_settings.user_db_url
    engine = make_engine(url, unavailable=user_database_failed, pool_timeout=2)

    def backend() -> Any:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

    step(DAY)
    first = backend()
    with engine.connect() as connection:
        engine.pool._invalidate(connection.connection)
    step(0)
    assert first != backend() == backend()
    engine.dispose()


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, DAY, -DAY])
def test_a_session_and_a_fence_last_as_long_as_elsewhere(
    shared_on_postgresql: Installation, step: Step, ahead: float
) -> None:
    """A session ends after half an hour without use, and a fence falls within a minute."""
    rita = Client(shared_on_postgresql.app).sign_in("rita")
    user_db = shared_on_postgresql.registry.user_db
    step(ahead)
    assert rita.get("/nodes").status_int == 200
    with user_db.begin() as session:
        acme = get_tenant(session, "acme").id
        assert raise_fence(session.connection(), acme) is not None
    try:
        assert rita.get("/nodes").json["code"] == "tenant_migrating"
    finally:
        with user_db.begin() as session:
            lower_fence(session.connection(), acme)
    assert rita.get("/nodes").status_int == 200
    assert rita.delete("/session").status_int == 204
