"""What tenants use: requests are counted, and it is added to the user database whatever happens meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, insert, select, update
from webob import Request

from tenantapp.fleet.removing.expired import remove_expired
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations import reports
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Report
from tenantapp.operations.reports import Subject, report
from tenantapp.sql.ids import uuid7
from tenantapp.sql.statement_text import OTHER
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import UserDatabaseUnavailable
from tenantapp.tenancy.user_database import user_database
from tenantapp.testing.clock import Clock
from tenantapp.usage.ledger import Ledger, remove_old_usage
from tenantapp.usage.meter import Meter
from tenantapp.usage.models import Databases, StatementUsage, TenantUsage
from tenantapp.usage.reading import period_of
from tenantapp.usage.statement_ledger import (
    KEPT,
    MOST_ROWS,
    TOP,
    StatementLedger,
    add_statements,
)
from tenantapp.usage.statement_meter import StatementMeter, TimedStatement, Times
from tenantapp.usage.statement_reading import StatementSort, StatementTotal, list_statements
from tests.csv_files import send
from tests.installation import Client, Installation


@pytest.fixture(scope="module")
def counting(make_installation: Callable[..., AbstractContextManager[Installation]]) -> Iterator[Installation]:
    """An installation that counts. The tests write what was counted: the thread would do it at any time."""
    with make_installation(**{"usage.keep": "90"}) as installation:
        installation.registry.usage_thread.ask_to_stop()
        yield installation


@pytest.fixture
def installation(counting: Installation) -> Installation:
    """The same, without what other tests have used."""
    counting.registry.usage_ledger.write()
    with counting.registry.user_db.begin() as session:
        session.execute(delete(TenantUsage))
    return counting


def used(installation: Installation, ledger: Ledger | None = None) -> dict[str, TenantUsage]:
    """What each tenant has used, all hours."""
    (ledger or installation.registry.usage_ledger).write()
    with installation.registry.user_db.begin() as session:
        rows = list(session.scalars(select(TenantUsage)))
        session.expunge_all()
    assert len({row.slug for row in rows}) == len(rows)
    return {row.slug: row for row in rows}


def test_the_requests_of_a_tenant_are_counted_and_no_others(installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    stranger = Client(installation.app)
    answers = [
        ada.post("/nodes", {"title": "First"}, status=201),
        ada.get("/nodes", status=200),
        ada.post("/nodes", {"title": ""}, status=422),
        ada.post("/batch", {"requests": [{"method": "GET", "path": "/nodes"}] * 3}, status=200),
        ada.get("/members", status=200),
    ]
    answers[1:1] = [ada.http.head("/api/v1/nodes")]
    for nobodys in (ada.get("/session"), ada.get("/account"), stranger.get("/nodes"), ada.get("/nowhere")):
        assert nobodys.status_int in (200, 401, 404)
    found = used(installation)["acme"]
    assert set(used(installation)) == {"acme"}
    assert found.requests == len(answers)
    assert found.bytes_sent == sum(len(answer.body) for answer in answers)
    assert 0 < found.database_microseconds < found.microseconds < 60e6


def test_rows_count_when_they_are_committed(installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    node = {"method": "POST", "path": "/nodes", "body": {"title": "First"}}
    ada.post("/nodes", {"title": "First"}, status=201)
    before = used(installation)["acme"].rows_written  # with its author, if she had written nothing before
    ada.post("/batch", {"requests": [node, node]}, status=200)
    assert used(installation)["acme"].rows_written == before + 4, "each node, and its words"
    ada.post("/batch", {"requests": [node, {**node, "body": {}}]}, status=422)
    ada.get("/nodes")
    assert used(installation)["acme"].rows_written == before + 4


def test_what_is_sent_in_pieces_is_counted_on_the_way(installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    lines = b"title\r\n" + b"".join(b"Node %d\r\n" % number for number in range(300))
    imported = send(ada, lines, "/nodes/import")
    exported = ada.get("/nodes/export")
    content = ada.upload("a.txt", b"x" * 700_000)
    loaded = ada.get(f"/files/{content.json['id']}/content")
    assert loaded.headers["Content-Length"] == "700000"  # before .body is read, which WebOb takes the length from
    answers = [imported, exported, content, loaded]
    assert len(exported.body) > len(lines)
    assert len(loaded.body) == 700_000
    row = used(installation)["acme"]
    assert row.bytes_sent == sum(len(answer.body) for answer in answers)
    assert row.requests == len(answers)


def test_what_an_export_reads_after_its_request_is_time_in_the_database(installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    assert send(ada, b"title\r\n" + b"Node\r\n" * 30, "/nodes/import").status_int == 200
    used(installation)
    answer = Request.blank("/api/v1/nodes/export", cookies=ada.http.cookies).send(installation.app)
    at_its_end = used(installation)["acme"].database_microseconds
    assert len(b"".join(answer.app_iter).splitlines()) > 30
    row = used(installation)["acme"]
    assert at_its_end < row.database_microseconds < row.microseconds


def test_a_request_counts_for_the_tenant_that_it_names(installation: Installation) -> None:
    both = Client(installation.app).sign_in("both")
    both.get("/nodes", X_Tenant="globex", status=200)
    both.get("/t/acme/nodes", status=200)
    assert {slug: row.requests for slug, row in used(installation).items()} == {"globex": 1, "acme": 1}


def place(installation: Installation, slug: str = "acme") -> TenantPlace:
    with installation.registry.user_db.begin(read_only=True) as session:
        tenant = get_tenant(session, slug)
        return TenantPlace(tenant.id, tenant.slug, tenant.name, tenant.server, tenant.database)


def test_it_is_kept_while_the_user_database_does_not_answer(installation: Installation) -> None:
    registry, meter, acme = installation.registry, Meter(), place(installation)
    url = registry.app_settings.user_db_url
    missing = user_database(url.set(database=f"{url.database}_missing"))
    meter.add_request(acme, 0.5, 0.25, 3, 100)
    with pytest.raises(UserDatabaseUnavailable):
        Ledger(meter, missing).write()
    meter.add_request(acme, 0.5, 0.25, 3, 100)
    row = used(installation, Ledger(meter, registry.user_db))["acme"]
    assert (row.requests, row.microseconds, row.database_microseconds) == (2, 1_000_000, 500_000)
    assert (row.rows_written, row.bytes_sent) == (6, 200)
    assert used(installation, Ledger(meter, registry.user_db))["acme"].requests == 2, "once"
    missing.dispose()


def test_processes_add_to_the_same_hours(installation: Installation) -> None:
    """Each writes many tenants in one statement, more than once, and none waits for another for good."""
    places = [TenantPlace(uuid7(), f"t{number}", "", "main", "") for number in range(40)]
    meters = [Meter() for _ in range(4)]

    def work(meter: Meter, order: Any) -> None:
        ledger = Ledger(meter, installation.registry.user_db)
        for _ in range(5):
            for each in order(places):
                meter.add_request(each, 0.001, 0, 1, 1)
            ledger.write()

    threads = [
        threading.Thread(target=work, args=(meter, list if number % 2 else lambda given: list(reversed(given))))
        for number, meter in enumerate(meters)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row.requests for row in used(installation).values()} == {20}


def statements(installation: Installation, **options: Any) -> list[StatementTotal]:
    """The statements of this hour."""
    with installation.registry.user_db.begin(read_only=True) as session:
        return list_statements(session, period_of(utcnow()), **options)


@pytest.fixture
def measured(installation: Installation) -> Installation:
    """The same, without statements that were measured before."""
    installation.registry.statement_ledger.write()
    with installation.registry.user_db.begin() as session:
        session.execute(delete(StatementUsage))
    return installation


def test_the_statements_of_requests_are_measured_without_values(measured: Installation) -> None:
    ada = Client(measured.app).sign_in("ada", "acme")
    for number in range(3):
        ada.post("/nodes", {"title": f"Flenders {number}"}, status=201)
        ada.get("/nodes?q=Flenders", status=200)
        ada.get("/session", status=200)
    assert statements(measured) == []
    measured.registry.statement_ledger.write_sometimes()
    assert statements(measured) == [], "not yet time for it"
    measured.registry.statement_ledger.write()
    found = statements(measured, limit=500)
    inserts = [each for each in found if each.text.startswith("INSERT INTO nodes ")]
    assert [(each.database, each.calls) for each in inserts] == [(Databases.TENANTS, 3)]
    assert 0 < inserts[0].worst_microseconds <= inserts[0].microseconds < 60e6
    access = [each for each in found if "web_sessions" in each.text and each.text.startswith("SELECT users.id")]
    assert sum(each.calls for each in access) >= 9, "the prepared ones have their text as well"
    assert {each.database for each in access} == {Databases.USER}
    assert {each.calls for each in found if each.text == "COMMIT" and each.database == Databases.TENANTS} == {3}
    assert "Flenders" not in repr(found)
    by_calls = statements(measured, sort=StatementSort.CALLS, database=Databases.USER)
    assert [each.calls for each in by_calls] == sorted((each.calls for each in by_calls), reverse=True)
    worst = statements(measured, sort=StatementSort.WORST_MILLISECONDS, limit=2)
    assert worst[0].worst_microseconds == max(each.worst_microseconds for each in found)


def times(seconds: float, worst: float, calls: int = 1) -> Times:
    made = Times()
    made.calls, made.seconds, made.worst = calls, seconds, worst
    return made


def timed(text: str) -> TimedStatement:
    return TimedStatement(Databases.TENANTS, text)


def test_processes_add_to_the_same_statements(measured: Installation, clock: Clock) -> None:
    hour = clock.freeze().replace(minute=0, second=0, microsecond=0)
    taken = {timed(f"SELECT {number}"): times(number + 1, 1) for number in range(TOP + 2)}

    def add() -> None:
        for _ in range(5):
            with measured.registry.user_db.begin() as session:
                add_statements(session, hour, taken)

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {each.text: each for each in statements(measured, limit=500)}
    assert {each.calls for each in found.values()} == {15, 30}
    assert (found[OTHER].calls, found[OTHER].microseconds) == (30, 45_000_000), "the two that took least"
    assert len(found) == TOP + 1
    with measured.registry.user_db.begin() as session:
        add_statements(session, hour, {timed("SELECT 9"): times(1, 7)})
        add_statements(session, hour, {timed("SELECT 9"): times(1, 3)})
    (first, *_) = statements(measured, sort=StatementSort.WORST_MILLISECONDS)
    assert (first.text, first.worst_microseconds) == ("SELECT 9", 7_000_000)


def test_an_hour_has_only_so_many_statements(measured: Installation, clock: Clock) -> None:
    hour = clock.freeze().replace(minute=0, second=0, microsecond=0)
    row = {"database": "tenants", "text": "SELECT ?", "calls": 1, "microseconds": 1, "worst_microseconds": 1}
    with measured.registry.user_db.begin() as session:
        rows = [{"hour": hour, "digest": str(number), **row} for number in range(MOST_ROWS - 1)]
        session.execute(insert(StatementUsage), rows)
        for text in ("SELECT a", "SELECT b", "SELECT a"):
            add_statements(session, hour, {timed(text): times(1, 1)})
    found = {each.text: each.calls for each in statements(measured, limit=3)}
    assert found == {"SELECT a": 2, OTHER: 1, "SELECT ?": 1}


def test_statements_are_kept_while_the_user_database_does_not_answer(measured: Installation) -> None:
    registry, meter = measured.registry, StatementMeter()
    url = registry.app_settings.user_db_url
    missing = user_database(url.set(database=f"{url.database}_missing"))
    meter.give_back({timed("SELECT a"): times(1, 1)})
    with pytest.raises(UserDatabaseUnavailable):
        StatementLedger(meter, missing).write()
    missing.dispose()
    StatementLedger(meter, registry.user_db).write()
    assert [(each.text, each.calls) for each in statements(measured)] == [("SELECT a", 1)]


def test_old_statements_are_removed_by_workers(measured: Installation, clock: Clock) -> None:
    registry = measured.registry
    fleet = Fleet(registry.user_db, registry.app_settings, registry.servers)
    hour = clock.freeze().replace(minute=0, second=0, microsecond=0)
    with registry.user_db.begin() as session:
        add_statements(session, hour, {timed("SELECT a"): times(1, 1)})
    for later, left in ((timedelta(seconds=-1), 1), (timedelta(), 0)):
        clock.freeze(hour + KEPT + later)
        remove_expired(fleet)
        with registry.user_db.begin(read_only=True) as session:
            assert session.scalar(select(func.count()).select_from(StatementUsage)) == left


def test_old_reports_are_removed_by_workers(installation: Installation) -> None:
    registry = installation.registry
    fleet = Fleet(registry.user_db, registry.app_settings, registry.servers)
    with registry.user_db.begin() as session:
        session.execute(delete(Report))
        for name in ("new", "old"):
            report(session, Subject.PROCESS, name, {})
            report(session, Subject.PROCESS, name, {"again": True})
        old = update(Report).where(Report.name == "old")
        session.execute(old.values(seen_at=utcnow() - reports.KEPT - timedelta(seconds=1)))
    remove_expired(fleet)
    with registry.user_db.begin(read_only=True) as session:
        assert [(each.name, each.content) for each in session.scalars(select(Report))] == [("new", {"again": True})]


def test_old_hours_are_removed_by_workers(installation: Installation, clock: Clock) -> None:
    registry, acme, meter = installation.registry, place(installation), Meter()
    ledger, fleet = Ledger(meter, registry.user_db), Fleet(registry.user_db, registry.app_settings, registry.servers)

    def hours() -> list[tuple[UUID, int]]:
        with registry.user_db.begin(read_only=True) as session:
            rows = session.execute(select(TenantUsage.tenant_id, TenantUsage.requests).order_by(TenantUsage.hour))
            return [(row.tenant_id, row.requests) for row in rows]

    first = clock.freeze().replace(minute=0, second=0, microsecond=0)
    for requests in (1, 2):
        for _ in range(requests):
            meter.add_request(acme, 0, 0, 0, 0)
        clock.advance(hours=1)
    ledger.write()
    assert hours() == [(acme.id, 1), (acme.id, 2)], "each in its hour"
    clock.freeze(first + timedelta(days=90))
    remove_old_usage(fleet)
    assert len(hours()) == 2
    clock.freeze(first + timedelta(days=90, seconds=1))
    remove_old_usage(fleet)
    assert hours() == [(acme.id, 2)]
    clock.advance(hours=1)
    remove_old_usage(fleet)
    assert hours() == []
