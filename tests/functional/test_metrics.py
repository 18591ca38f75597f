"""What Prometheus is told of an application, over a real socket.

What several processes count together stands in the tests of ``pserve production.ini``.
"""

import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest, values
from sqlalchemy.engine import URL
from webtest.lint import WSGIWarning

from tenantapp.identity.models import Tenant
from tenantapp.metrics.answering import AT_ONCE, Answers
from tenantapp.metrics.application import Metrics
from tenantapp.metrics.counts import Counts
from tenantapp.metrics.fleet_figures import FleetFigures
from tenantapp.metrics.slots import ENVIRONMENT, Slot
from tenantapp.operations.background import Background
from tenantapp.operations.models import Operation, OperationState, RecordedRun
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.user_database import user_database
from tests import prometheus
from tests.installation import PASSWORD, Client, Installation, postgres_installation, sqlite_installation
from tests.ports import free_port
from tests.slow_databases import at_last

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets prometheus_client count in memory again after the test."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv(ENVIRONMENT, "")


@pytest.fixture
def counted(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """An installation that is counted."""
    settings = {"metrics.listen": f"127.0.0.1:{free_port()}", "metrics.directory": str(tmp_path / "metrics")}
    with ExitStack() as stack:
        if engine_name == "sqlite":
            made = sqlite_installation(tmp_path, **settings)
        else:
            made = postgres_installation(request.getfixturevalue("postgres_server"), **settings)
        installation = stack.enter_context(made)
        yield installation
        installation.registry.metrics.thread.stop()


def told(installation: Installation) -> prometheus.Metrics:
    """What Prometheus is told, once the thread listens."""
    port = installation.registry.app_settings.metrics_listen[1]
    at_last(lambda: installation.registry.metrics.answers.port)
    return prometheus.told(port)


def figures(registry: Any) -> prometheus.Metrics:
    """What the user database says now."""
    collected = CollectorRegistry()
    collected.register(FleetFigures(registry))
    return prometheus.Metrics(generate_latest(collected).decode())


def test_requests_are_counted_and_what_their_time_was_spent_on(counted: Installation) -> None:
    bob = Client(counted.app).sign_in("bob")
    for _ in range(3):
        bob.get("/nodes")
    bob.post("/nodes", {"title": "x"})
    Client(counted.app).get("/nodes", status=401)
    bob.http.get("/nowhere.txt", status=404)
    with pytest.warns(WSGIWarning, match="BREW"):
        bob.http.request("/api/v1/nodes", method="BREW", status="*")
    metrics = told(counted)

    def requests(route: str, method: str, status: int) -> float:
        labels = {"route": route, "method": method, "status": str(status)}
        return metrics.of("tenantapp_requests_total", labels)

    assert requests("nodes", "GET", 200) == 3
    assert requests("nodes", "POST", 201) == 1
    assert requests("nodes", "GET", 401) == 1
    assert requests("session", "POST", 201) == 1
    assert metrics.labels("tenantapp_requests_total", "method") == {"GET", "POST", "other"}
    assert metrics.of("tenantapp_request_seconds_count", {"route": "nodes"}) >= 5
    spent = {on: metrics.of("tenantapp_request_time_seconds_total", {"on": on}) for on in ("python", "connecting")}
    spent |= {on: metrics.of("tenantapp_request_time_seconds_total", {"on": on}) for on in ("user_database",)}
    tenant = metrics.of("tenantapp_request_time_seconds_total", {"on": "tenant_databases"})
    assert min(*spent.values(), tenant) >= 0
    assert min(spent["python"], spent["user_database"], tenant) > 0
    routes = metrics.labels("tenantapp_request_seconds_sum", "route")
    all_of_it = sum(metrics.of("tenantapp_request_seconds_sum", {"route": route}) for route in routes)
    assert sum(spent.values()) + tenant == pytest.approx(all_of_it, rel=0.01)
    assert "acme" not in metrics.text
    assert PASSWORD not in metrics.text


def test_a_process_says_how_it_is(counted: Installation) -> None:
    Client(counted.app).sign_in("bob").get("/nodes")
    metrics = told(counted)
    main = {"server": "main"}
    assert metrics.of("tenantapp_connections", main | {"state": "idle"}) == 1
    assert metrics.of("tenantapp_connections", main | {"state": "in use"}) == 0
    assert metrics.of("tenantapp_connections_limit", main) > 1
    assert metrics.of("tenantapp_breakers_open", main) == 0
    assert metrics.of("tenantapp_threads", {}) == 4
    assert metrics.of("tenantapp_processes", {}) == 1
    assert metrics.of("tenantapp_memory_bytes", {}) > 10 * 2**20
    assert metrics.of("tenantapp_open_files", {}) > 3
    assert metrics.of("tenantapp_user_database_up", {}) == 1
    place = f"http://127.0.0.1:{counted.registry.app_settings.metrics_listen[1]}"
    with pytest.raises(HTTPError, match="404"):
        urlopen(place)
    with urlopen(f"{place}/__heartbeat__") as answer:
        assert json.load(answer) == Client(counted.app).http.get("/__heartbeat__").json
    with urlopen(f"{place}/__lbheartbeat__") as answer:
        assert json.load(answer) == {"status": "ok"}


def test_who_keeps_a_connection_does_not_keep_others_out(tmp_path: Path, installation: Installation) -> None:
    address, slot = ("127.0.0.1", 0), Slot(tmp_path / "metrics")
    answers = Answers(address, slot, Counts(), installation.registry, longest=0.5)
    with Background("metrics", answers.run), ExitStack() as stack:
        at_last(lambda: answers.port)
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", answers.port))) for _ in range(AT_ONCE + 2)]
        assert held[-1].recv(1) == b"", "one too many"
        assert held[0].recv(1) == b"", "its time is over"
        with urlopen(f"http://127.0.0.1:{answers.port}/__lbheartbeat__") as answer:
            assert answer.status == 200


def operation(kind: str, state: OperationState, **columns: Any) -> Operation:
    return Operation(kind=kind, state=state, requested_by="x", **columns)


def test_the_user_database_says_how_the_fleet_is(installation: Installation) -> None:
    registry, now = installation.registry, utcnow()
    before = figures(registry)
    with registry.user_db.begin() as session:
        tenant_id = session.query(Tenant.id).limit(1).scalar()
        session.query(Tenant).filter(Tenant.id == tenant_id).update({Tenant.migrating_until: now + HOUR})
        session.add_all(
            [
                operation("clone", OperationState.QUEUED, created_at=now - HOUR),
                operation("clone", OperationState.QUEUED, created_at=now - 3 * HOUR, lease_until=now + HOUR),
                operation("move", OperationState.RUNNING, lease_until=now - HOUR),
                operation("move", OperationState.FAILED, finished_at=now),
                operation("backup", OperationState.SUCCEEDED, tenant_id=tenant_id, finished_at=now - 48 * HOUR),
                operation("backup", OperationState.SUCCEEDED, tenant_id=tenant_id, finished_at=now - 24 * HOUR),
                RecordedRun(
                    wanted="head",
                    requested_by="x",
                    owner="x",
                    jobs=1,
                    stages=[{"name": "1", "tenants": 10, "done": 4, "failed": 1}],
                    points=[],
                    started_at=now,
                    seen_at=now,
                ),
            ]
        )
    found = figures(registry)
    tenants = found.of("tenantapp_tenants", {"state": "active"})
    assert tenants == before.of("tenantapp_tenants", {"state": "active"}) > 1
    assert found.of("tenantapp_tenants_migrating", {}) == 1
    assert found.of("tenantapp_operations", {"kind": "clone", "state": "queued"}) == 2
    assert found.of("tenantapp_operations", {"kind": "move", "state": "failed"}) == 1
    assert found.labels("tenantapp_operations", "kind") == {"clone", "move"}, "none that has succeeded"
    assert found.of("tenantapp_operations_oldest_due_seconds", {}) == pytest.approx(3600, abs=60)
    assert found.of("tenantapp_operations_leases_over", {}) == 1
    migrated = {state: found.of("tenantapp_migration_tenants", {"state": state}) for state in ("waiting", "migrated")}
    assert migrated == {"waiting": 6, "migrated": 3}
    assert found.of("tenantapp_backups_oldest_seconds", {}) == pytest.approx(86400, abs=60)
    assert found.of("tenantapp_tenants_without_backup", {}) == tenants - 1


def test_without_the_user_database_only_that_is_said(installation: Installation) -> None:
    url: URL = installation.registry.app_settings.user_db_url
    missing = user_database(url.set(database=f"{url.database}-missing"))
    found = figures(
        SimpleNamespace(
            bulkhead=installation.registry.bulkhead, user_db=missing, app_settings=installation.registry.app_settings
        )
    )
    assert found.of("tenantapp_user_database_up", {}) == 0
    assert "tenantapp_tenants" not in found.text


def test_a_process_goes_on_where_one_that_has_ended_stopped(tmp_path: Path) -> None:
    def count(slot: Slot) -> float:
        counter = Counter("things", "Things.", registry=None)
        counter.inc()
        return float(counter._value.get())

    first = Slot(tmp_path / "metrics")
    assert (first.number, count(first)) == (0, 1)
    gauge = tmp_path / "metrics" / "gauge_livesum_0.db"
    gauge.touch()
    second = Slot(tmp_path / "metrics")
    assert (second.number, count(second)) == (1, 1), "both live"
    second.forget_ended()
    assert gauge.exists()
    first._lock.close()  # as the end of its process does
    second.forget_ended()
    assert not gauge.exists()
    third = Slot(tmp_path / "metrics")
    assert (third.number, count(third)) == (0, 2), "in the files of the first"
    (tmp_path / "metrics" / "counter_1.db").write_bytes(b"\xff" * 100)
    second._lock.close()
    fourth = Slot(tmp_path / "metrics")
    assert (fourth.number, count(fourth)) == (1, 1), "what cannot be read is removed"
    third._lock.close()
    fourth._lock.close()
    assert count(Slot(tmp_path / "metrics")) == 1, "the first of all begins anew"
    assert [path.name for path in (tmp_path / "metrics").glob("*.db")] == ["counter_0.db"]


def link_elsewhere(directory: Path) -> None:
    (directory / "elsewhere").mkdir()
    (directory / "metrics").symlink_to(directory / "elsewhere")


@pytest.mark.parametrize("spoil", [link_elsewhere, lambda directory: (directory / "metrics").touch()])
def test_without_a_directory_the_application_is_served_and_nothing_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path)
    metrics = Metrics(("127.0.0.1", 0), str(tmp_path / "metrics"), None)
    metrics.start()
    metrics.count(SimpleNamespace())  # type: ignore[arg-type]
    assert metrics.answers is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert str(tmp_path / "metrics") in caplog.text


def test_an_address_of_somebody_else_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        metrics = Metrics(other.getsockname(), str(tmp_path / "metrics"), None)
        metrics.start()
        at_last(lambda: "Address already in use" in caplog.text)
        metrics.thread.stop()
