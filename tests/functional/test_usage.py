"""What tenants have used, as operators and their administrators see it: by ``tenantapp fleet usage``, and over HTTP."""

import os
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from socket import gethostname
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from tenantapp.api.query import encode_cursor
from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.identity.administrators import BY_ID
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Report
from tenantapp.operations.replication import USER_DATABASE
from tenantapp.operations.reports import Subject, report
from tenantapp.sql.times import utcnow
from tenantapp.testing.clock import Clock
from tenantapp.usage.describing import last_hours
from tenantapp.usage.ledger import add_usage
from tenantapp.usage.meter import TenantHour, Used
from tenantapp.usage.models import Databases
from tenantapp.usage.processes import ProcessReport, list_processes
from tenantapp.usage.statement_ledger import add_statements
from tenantapp.usage.statement_meter import TimedStatement, Times
from tests.functional.conftest import Command
from tests.functional.operators import add_operator, code
from tests.installation import Client, Installation


def used(slug: str, requests: int, *, rows: int = 0, size: int = 0) -> Used:
    found = Used(slug)
    found.requests, found.rows_written, found.bytes_sent = requests, rows, size
    found.seconds, found.database_seconds = requests * 0.0016, requests * 0.0004
    return found


def hours_ago(hours: int) -> datetime:
    return utcnow().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)


def fill(session: Any, ids: dict[str, UUID]) -> None:
    """Acme has most requests, globex has written most rows; acme's first ones are two days old."""
    acme, globex = ids["acme"], ids["globex"]
    add_usage(session, {TenantHour(acme, hours_ago(0)): used("acme", 5, rows=1, size=10)})
    add_usage(session, {TenantHour(acme, hours_ago(0)): used("acme", 5, rows=1, size=10)})
    add_usage(
        session,
        {
            TenantHour(acme, hours_ago(3)): used("acme", 1, size=30),
            TenantHour(acme, hours_ago(48)): used("acme", 100),
            TenantHour(globex, hours_ago(3)): used("globex", 4, rows=50, size=20),
        },
    )


@pytest.fixture
def ids(done: Command, ini: Path, clock: Clock) -> dict[str, UUID]:
    """The tenants acme and globex, which have used something. The time stands still: the hours are those of now."""
    clock.freeze()
    done("tenants", "create", "acme", "globex")
    with closing(CommandsInstallation(ini)) as installation, installation.user_session() as session:
        ids = {tenant.slug: tenant.id for tenant in session.scalars(select(Tenant))}
        fill(session, ids)
    return ids


def slugs(done: Command, *options: str) -> list[tuple[str, int]]:
    return [(row["slug"], row["requests"]) for row in done("fleet", "usage", "--json", *options).json["items"]]


def test_operators_see_the_busiest_tenants(done: Command, ids: dict[str, UUID]) -> None:
    assert slugs(done) == [("acme", 11), ("globex", 4)]
    assert slugs(done, "--sort", "rows") == [("globex", 4), ("acme", 11)]
    assert slugs(done, "--since", "7d", "--limit", "1") == [("acme", 111)]
    assert slugs(done, "--since", "1h", "globex", "--by", "tenant") == []
    first = done("fleet", "usage", "--json").json["items"][0]
    assert first == {
        "tenant_id": str(ids["acme"]),
        "slug": "acme",
        "requests": 11,
        "milliseconds": 18,
        "database_milliseconds": 4,
        "bytes_sent": 50,
        "rows_written": 2,
        "hour": f"{hours_ago(0):%Y-%m-%dT%H:00:00Z}",
    }
    head, *lines = done("fleet", "usage").out.splitlines()
    assert head.split()[:2] == ["slug", "requests"]
    assert "acme" in lines[1]


def test_of_one_tenant_they_see_each_hour(done: Command, ids: dict[str, UUID], failed: Callable[..., str]) -> None:
    def requests(*options: str) -> list[int]:
        return [row["requests"] for row in done("fleet", "usage", "--json", *options).json["items"]]

    assert requests("acme") == [10, 1]
    assert requests("acme", "--since", "3d") == [10, 1, 100]
    assert requests("--by", "hour") == [10, 5]
    assert requests("acme", "--since", "999999d", "--limit", "2") == [10, 1]
    assert failed("fleet", "usage", "initech") == "There is no tenant initech"


def test_hours_are_not_sorted_by_anything_else(run: Command, ids: dict[str, UUID]) -> None:
    result = run("fleet", "usage", "acme", "--sort", "rows")
    assert (result.status, result.out) == (2, "")
    assert "--by tenant" in result.err


def test_usage_outlives_its_tenant(done: Command, ids: dict[str, UUID], ini: Path) -> None:
    done("tenants", "rename", "acme", "apex")
    assert slugs(done) == [("apex", 11), ("globex", 4)], "the present name"
    with closing(CommandsInstallation(ini)) as installation, installation.user_session() as session:
        session.execute(delete(Tenant).where(Tenant.id == ids["acme"]))
    assert slugs(done) == [("acme", 11), ("globex", 4)], "the last name that is known"
    assert slugs(done, "acme", "--by", "tenant") == [("acme", 11)]


def fill_statements(session: Any) -> None:
    def times(seconds: float, worst: float, calls: int) -> Times:
        made = Times()
        made.calls, made.seconds, made.worst = calls, seconds, worst
        return made

    long, often = "SELECT a FROM nodes WHERE id = ?", "UPDATE users SET name = ?"
    statements = {
        TimedStatement(Databases.TENANTS, long): times(2, 1.5, 2),
        TimedStatement(Databases.USER, often): times(1.0005, 0.25, 40),
    }
    add_statements(session, hours_ago(0), statements)
    add_statements(session, hours_ago(1), statements)
    add_statements(session, hours_ago(30), statements)


def test_operators_see_the_slowest_statements(done: Command, run: Command, ids: dict[str, UUID], ini: Path) -> None:
    with closing(CommandsInstallation(ini)) as installation, installation.user_session() as session:
        fill_statements(session)

    def calls(*options: str) -> list[int]:
        return [row["calls"] for row in done("fleet", "slowest", "--json", *options).json["items"]]

    assert done("fleet", "slowest", "--json").json["items"][1] == {
        "database": "user",
        "statement": "UPDATE users SET name = ?",
        "calls": 80,
        "milliseconds": 2001.0,
        "worst_milliseconds": 250.0,
    }
    assert calls() == calls("--sort", "worst") == [4, 80]
    assert calls("--sort", "calls", "--since", "2d") == [120, 6]
    assert calls("--limit", "1") == [4]
    assert "SELECT a FROM nodes" in done("fleet", "slowest").out
    tenants = done("fleet", "slowest", "--by", "tenant", "--json", "--since", "4h").json["items"]
    assert [(row["slug"], row["database_milliseconds"]) for row in tenants] == [("acme", 4), ("globex", 2)]
    wrong = run("fleet", "slowest", "--by", "tenant", "--sort", "worst")
    assert (wrong.status, wrong.out) == (2, "")


def test_operators_read_the_slowest_statements_over_http(installation: Installation, clock: Clock) -> None:
    clock.freeze()
    with installation.registry.user_db.begin() as session:
        fill_statements(session)
    otto = add_operator(installation)

    def found(query: str = "") -> list[tuple[str, int]]:
        items = otto.get(f"/fleet/statements{query}", status=200).json["items"]
        return [(row["database"], row["calls"]) for row in items]

    assert found() == [("tenants", 4), ("user", 80)]
    assert found("?sort=calls&limit=1") == [("user", 80)]
    assert found(f"?database=tenants&until={hours_ago(0):%Y-%m-%dT%H:%M:%SZ}") == [("tenants", 2)]
    for wrong in ("sort=name", "database=acme", "limit=0", "since=today", "cursor=MQ"):
        assert code(otto.get(f"/fleet/statements?{wrong}")) == (400, "invalid_query")
    assert code(Client(installation.app).sign_in("ada", "acme").get("/fleet/statements")) == (403, "operator_required")


def test_operators_see_the_processes_of_all_machines(installation: Installation, clock: Clock) -> None:
    registry, here, there = installation.registry, ProcessReport(installation.registry), "b" * 32
    assert here.write_sometimes() is False
    with registry.user_db.begin() as session:
        (own,) = list_processes(session)
        content = {name: value for name, value in own.items() if name not in ("id", "seen_at")}
        report(session, Subject.PROCESS, there, {**content, "host": "another"})
    otto = add_operator(installation)

    def shown() -> list[Any]:
        return list(otto.get("/fleet/processes", status=200).json["items"])

    assert {process["host"] for process in shown()} == {"another", gethostname()}
    (process,) = [each for each in shown() if each["host"] == gethostname()]
    assert (process["process"], process["threads"]) == (os.getpid(), 4)
    assert process["connections"][-1]["server"] == "main"
    assert all(0 <= each["idle"] <= each["open"] <= each["limit"] for each in process["connections"])
    here.withdraw()
    assert [each["id"] for each in shown()] == [there]
    with registry.user_db.begin() as session:
        session.execute(update(Report).values(seen_at=utcnow() - timedelta(minutes=1)))
    assert shown() == [], "it has probably died"


def test_operators_see_how_far_standbys_are_behind(installation: Installation) -> None:
    standby = {"name": "b", "address": None, "state": "streaming", "sync_state": "async", "bytes": 7, "seconds": 0.5}
    with installation.registry.user_db.begin() as session:
        report(session, Subject.REPLICATION, USER_DATABASE, {"standbys": [standby]})
        report(session, Subject.REPLICATION, "main", {"standbys": None})
    otto = add_operator(installation)
    assert otto.get("/fleet/replication", status=200).json["items"] == [{"server": None, "standbys": [standby]}]


def fill_installation(installation: Installation) -> dict[str, UUID]:
    with installation.registry.user_db.begin() as session:
        ids = {tenant.slug: tenant.id for tenant in session.scalars(select(Tenant))}
        fill(session, ids)
    return ids


def test_operators_read_it_over_http(installation: Installation, clock: Clock) -> None:
    clock.freeze()
    fill_installation(installation)
    otto = add_operator(installation)
    first = otto.get("/fleet/usage?limit=1", status=200).json
    assert [(row["slug"], row["requests"], row["rows_written"]) for row in first["items"]] == [("acme", 11, 2)]
    second = otto.get(f"/fleet/usage?limit=1&cursor={first['next']}").json
    assert [(row["slug"], row["requests"]) for row in second["items"]] == [("globex", 4)]
    assert second["next"] is None
    assert otto.get("/fleet/usage?sort=rows_written").json["items"][0]["slug"] == "globex"
    three_days, hour = f"{hours_ago(72):%Y-%m-%dT%H:%M:%SZ}", f"{hours_ago(3):%Y-%m-%dT%H:%M:%SZ}"
    assert otto.get(f"/fleet/usage?since={three_days}&until={hour}").json["items"][0]["requests"] == 100
    hours = otto.get("/fleet/usage/hours?limit=1").json
    assert [row["requests"] for row in hours["items"]] == [10]
    assert otto.get(f"/fleet/usage/hours?cursor={hours['next']}").json["items"][0]["requests"] == 5
    (of_one,) = otto.get("/fleet/usage/hours?slug=globex").json["items"]
    assert (of_one["hour"], of_one["requests"]) == (hour, 4)
    assert code(otto.get("/fleet/usage?slug=initech")) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        *("since=2026-01-01T00:00:00", "since=today", "sort=slug", "cursor=MQ", "cursor=eA"),
        *("until=2026-13-01T00:00:00Z", "limit=0", "by=hour"),
    ],
)
def test_a_wrong_query_is_named(installation: Installation, query: str) -> None:
    otto = add_operator(installation)
    assert code(otto.get(f"/fleet/usage?{query}")) == (400, "invalid_query")


def test_times_at_the_ends_of_the_calendar_are_times(installation: Installation) -> None:
    fill_installation(installation)
    otto = add_operator(installation)
    ends = "since=0001-01-01T00:00:00%2B14:00&until=9999-12-31T23:59:59-14:00"
    assert otto.get(f"/fleet/usage?{ends}", status=200).json["items"][0]["requests"] == 111
    assert otto.get("/fleet/usage?since=9999-12-31T23:59:59-14:00").json["items"] == []
    most = encode_cursor(f"{'9' * 30} {UUID(int=0)}")
    assert len(otto.get(f"/fleet/usage?cursor={most}", status=200).json["items"]) == 2
    for wrong in (f"{'9' * 5000} {UUID(int=0)}", f"{'9' * 30}"):
        assert code(otto.get(f"/fleet/usage/hours?cursor={encode_cursor(wrong)}")) == (400, "invalid_query")


def test_lists_of_tenants_say_when_each_was_last_used(done: Command, ids: dict[str, UUID], ini: Path) -> None:
    done("tenants", "create", "initech")
    last = {"acme": f"{hours_ago(0):%Y-%m-%dT%H:00:00Z}", "globex": f"{hours_ago(3):%Y-%m-%dT%H:00:00Z}"}

    def listed() -> dict[str, str | None]:
        return {row["slug"]: row["last_used_hour"] for row in done("tenants", "list", "--json").json["items"]}

    assert listed() == {**last, "initech": None}
    with closing(CommandsInstallation(ini)) as commands, commands.user_session(read_only=True) as session:
        some = session.scalars(select(Tenant).where(Tenant.slug == "globex")).all() * (BY_ID + 1)
        found = last_hours(session, some)
    assert found[ids["globex"]] == hours_ago(3), "of more tenants than a statement names"
    assert done("tenants", "show", "globex", "--json").json["last_used_hour"] == last["globex"]
    assert f"{hours_ago(3):%Y-%m-%d %H}:00" in done("tenants", "list").out


def test_operators_see_over_http_when_a_tenant_was_last_used(installation: Installation, clock: Clock) -> None:
    clock.freeze()
    fill_installation(installation)
    otto = add_operator(installation)
    hour = f"{hours_ago(3):%Y-%m-%dT%H:%M:%SZ}"
    shown = {item["slug"]: item["last_used_hour"] for item in otto.get("/fleet/tenants").json["items"]}
    assert shown["globex"] == otto.get("/fleet/tenants/globex").json["last_used_hour"] == hour
    renamed = otto.patch("/fleet/tenants/globex", {"name": "Globex"}, status=200)
    assert renamed.json["last_used_hour"] == hour


def test_administrators_see_their_own(installation: Installation, clock: Clock) -> None:
    clock.freeze()
    fill_installation(installation)
    gina = Client(installation.app).sign_in("gina", "globex")
    (hour,) = gina.get("/tenant/usage", status=200).json["items"]
    assert (hour["requests"], hour["rows_written"], hour["bytes_sent"]) == (4, 50, 20)
    assert set(hour) == {"hour", "requests", "milliseconds", "database_milliseconds", "bytes_sent", "rows_written"}
    assert code(gina.get("/tenant/usage?slug=acme")) == (400, "invalid_query")
    assert code(gina.get("/fleet/usage")) == (403, "operator_required")
    both = Client(installation.app).sign_in("both", "globex")
    assert code(both.get("/tenant/usage")) == (403, "permission_denied")
