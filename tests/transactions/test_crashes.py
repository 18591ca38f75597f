"""A PostgreSQL server that crashes, and comes back: every connection has ended, and none says so in the same way."""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import URL

from tenantapp.sql.prepared import LoneSelect
from tests.installation import Client, Installation, postgres_installation
from tests.postgres import crash, own_postgres, start_again, stop_at_once, wait_for
from tests.transactions.applications import access_to, app_with


class Crashing(NamedTuple):
    """An installation on a server of its own."""

    installation: Installation
    server: URL

    def client(self, app: Any = None) -> Client:
        return Client(app or self.installation.app).sign_in("bob")

    def fill_pools(self) -> None:
        """Let every pool have three idle connections."""
        registry = self.installation.registry
        factories = [registry.user_db, registry.access_reader.database]
        factories.append(registry.tenant_dbs.for_access(access_to(self.installation, "acme")))
        for factory in factories:
            held = [factory.engine.connect() for _ in range(3)]
            for connection in held:
                connection.execute(text("SELECT 1"))
                connection.close()


@pytest.fixture(scope="module")
def module_crashing() -> Iterator[Crashing]:
    with own_postgres() as server, postgres_installation(server) as installation:
        yield Crashing(installation, server)


@pytest.fixture
def crashing(module_crashing: Crashing) -> Iterator[Crashing]:
    yield module_crashing
    installation = module_crashing.installation
    assert installation.checkedout() == 0, "a connection leaked"
    installation.close()
    assert installation.registry.tenant_dbs.numbers()["main"].open == 0, "a place leaked"


def assert_failed(answer: Any, code: str) -> None:
    assert (answer.status_int, answer.json["code"]) == (503, code), answer.text
    assert int(answer.headers["Retry-After"]) > 0


def crash_it(crashing: Crashing) -> None:
    crash(crashing.server)


def stop_and_start_it(crashing: Crashing) -> None:
    stop_at_once(crashing.server)
    start_again(crashing.server)
    wait_for(crashing.server)


@pytest.mark.parametrize("happens", [crash_it, stop_and_start_it])
def test_after_a_crash_no_request_fails(crashing: Crashing, happens: Any) -> None:
    """However many connections were idle: reads are read once more, writes find out before they begin."""
    bob = crashing.client()
    crashing.fill_pools()
    happens(crashing)
    assert [bob.get("/nodes").status_int for _ in range(5)] == [200] * 5
    crashing.fill_pools()
    happens(crashing)
    assert [bob.post("/nodes", {"title": "x"}).status_int for _ in range(5)] == [201] * 5
    assert bob.http.get("/__heartbeat__").status_int == 200


def test_a_crash_in_the_middle_of_a_request(crashing: Crashing) -> None:
    def view(request: Any) -> dict[str, str]:
        request.tenant_session.execute(text("SELECT 1"))
        crash(crashing.server)
        request.tenant_session.execute(text("UPDATE nodes SET title = 'never'"))
        return {}

    bob = crashing.client(app_with(crashing.installation, view=view))
    bob.post("/nodes", {"title": "kept"})
    for method in ("GET", "POST"):
        assert_failed(bob.request(method, "/x/view"), "tenant_unavailable")
    assert "never" not in bob.get("/nodes").text


def test_a_crash_before_commit_is_sent_is_no_doubt(crashing: Crashing) -> None:
    def view(request: Any) -> dict[str, str]:
        request.tenant_session.execute(text("UPDATE nodes SET title = 'never'"))
        crash(crashing.server)
        return {}

    bob = crashing.client(app_with(crashing.installation, view=view))
    bob.post("/nodes", {"title": "kept"})
    assert_failed(bob.post("/x/view"), "tenant_unavailable")
    assert "never" not in bob.get("/nodes").text


ONCE = """
CREATE SEQUENCE tries_{code};
CREATE FUNCTION fail_once_{code}() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries_{code}') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '{code}'; END IF;
    RETURN pg_backend_pid();
END $$
"""


@pytest.mark.parametrize(("code", "kept"), [("40001", True), ("26000", False), ("25006", False)])
def test_a_read_is_read_once_more(crashing: Crashing, code: str, kept: bool) -> None:
    """On the same connection if it is good, as when a standby has cancelled the statement; else on another one."""
    factory = crashing.installation.registry.tenant_dbs.for_access(access_to(crashing.installation, "globex"))
    with factory.begin() as session:
        session.execute(text(ONCE.format(code=code)))
        before = session.scalar(text("SELECT pg_backend_pid()"))
    statement = LoneSelect(select(getattr(func, f"fail_once_{code}")().label("served_by")))
    with factory.get_session(read_only=True) as session:
        assert (statement.rows(session, {})[0].served_by == before) is kept


def test_a_conflict_where_nothing_is_written_is_the_databases(crashing: Crashing) -> None:
    def view(request: Any) -> dict[str, str]:
        request.tenant_session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"))
        return {}

    bob = crashing.client(app_with(crashing.installation, view=view))
    assert_failed(bob.get("/x/view"), "tenant_unavailable")
    answer = bob.post("/x/view")
    assert (answer.status_int, answer.json["code"]) == (409, "conflict")


def test_an_outage_is_told_in_a_line_for_each_request(crashing: Crashing, caplog: pytest.LogCaptureFixture) -> None:
    """A traceback comes with the first one only. Tenant, server and cause are in the line."""
    bob = crashing.client(app_with(crashing.installation))
    with crashing.installation.registry.user_db.begin() as session:
        session.execute(text("UPDATE tenants SET database = database || '_gone' WHERE slug = 'acme'"))
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(20):
                assert_failed(bob.get("/nodes"), "tenant_unavailable")
    finally:
        with crashing.installation.registry.user_db.begin() as session:
            session.execute(text("UPDATE tenants SET database = replace(database, '_gone', '')"))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 20
    assert all("tenant acme on server main: unreachable (" in line and "\n" not in line for line in lines)
    assert [bool(record.exc_info) for record in caplog.records] == [True] + [False] * 19
    assert {(record.tenant, record.server, record.cause) for record in caplog.records} == {  # type: ignore[attr-defined]
        ("acme", "main", "unreachable")
    }
