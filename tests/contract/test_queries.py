"""The same question to many tenants: it reads and does nothing else, and whoever does not answer is named."""

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.querying.parallel import databases_of_our_own
from tenantapp.fleet.querying.queries import Answer, json_object, json_rows, query_for_person, query_tenants
from tenantapp.identity import grants, groups, users
from tenantapp.identity.tenants import suspend_tenant
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.models import TenantBase
from tenantapp.tenancy.servers import SqliteServer
from tests.contract.conftest import Fleet

FLEET_PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
SLUGS = ("acme", "globex", "initech")
# None of them may leave anything behind, whether it is refused or only undone.
WRITES = (
    "INSERT INTO tags (id, name) VALUES ('{id}', 'written')",
    "INSERT INTO tags (id, name) VALUES ('{id}', 'written') RETURNING id",
    "WITH new AS (SELECT 1) INSERT INTO tags (id, name) SELECT '{id}', 'written' FROM new RETURNING id",
    "DELETE FROM tags",
    "CREATE TABLE more (id INTEGER)",
    "SELECT 1; DELETE FROM tags",
    "COMMIT",
    "SELECT 1; COMMIT; DELETE FROM tags",
    "ROLLBACK; DELETE FROM tags",
    "SELECT 1) TO STDOUT; DELETE FROM tags; --",
    "",
    "-- nothing",
    "SELECT '\x00'",
)
SQLITE_WRITES = (
    "ATTACH '{directory}/other.sqlite' AS other",
    "VACUUM INTO '{directory}/other.sqlite'",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 7",
    "PRAGMA journal_mode = DELETE",
    "SELECT load_extension('nothing')",
    "BEGIN IMMEDIATE",
    "SAVEPOINT here",
    "REINDEX",
    "UPDATE sqlite_master SET sql = ''",
    "PRAGMA writable_schema = ON",
)
POSTGRES_WRITES = (
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "DO 'BEGIN SET TRANSACTION READ WRITE; DELETE FROM tags; COMMIT; END'",
    "WITH gone AS (DELETE FROM tags RETURNING id) SELECT * FROM gone",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT lo_create(0)",
    "SELECT query_to_xml('DELETE FROM tags', true, true, '')",
    "SELECT pg_reload_conf()",
    "COPY tags TO PROGRAM 'touch {directory}/other.sqlite'",
    "COPY (SELECT 1) TO '{directory}/other.sqlite'",
    "EXPLAIN ANALYZE DELETE FROM tags",
    "LOCK TABLE tags",
    "LISTEN news",
)

# What the drivers cannot make a value of Python of.
SQLITE_ODDITIES = ("CAST(x'ff' AS text)",)
POSTGRES_ODDITIES = ("(repeat('[', 3000) || repeat(']', 3000))::json",)
# What a value of Python or of JSON would be something else for.
SQLITE_TEXTS = {"9e999": "Infinity", "-9e999": "-Infinity"}
POSTGRES_TEXTS = {
    "'infinity'::date": "infinity",
    "'-infinity'::timestamptz": "-infinity",
    "'0044-03-15 BC'::date": "0044-03-15 BC",
    "'0044-03-15 12:00+02 BC'::timestamptz": "0044-03-15 10:00:00+00 BC",
    "'20000-01-01'::timestamp": "20000-01-01 00:00:00",
    "'1 mon'::interval": "1 mon",
    "'1000000000 days'::interval": "1000000000 days",
    "ARRAY['1 mon 2 days'::interval, NULL]": ["1 mon 2 days", None],
    "ARRAY['infinity'::date, '2026-01-31']": ["infinity", "2026-01-31"],
    "'NaN'::float8": "NaN",
    "'NaN'::numeric": "NaN",
    "ARRAY['-Infinity'::float4]": ["-Infinity"],
}


@pytest.fixture
def three(fleet: Fleet) -> list[TenantPlace]:
    """Three tenants; each has a tag with its own name."""
    fleet.initialised()
    found = [fleet.create(slug) for slug in SLUGS]
    for place in found:
        on_database(fleet, place, TenantBase.metadata.tables["tags"].insert(), {"id": uuid7(), "name": place.slug})
    return found


@pytest.fixture
def databases(fleet: Fleet) -> Iterator[TenantDatabases]:
    with databases_of_our_own(fleet.servers, 4) as databases:
        yield databases
        assert databases.checkedout() == 0


def on_database(fleet: Fleet, place: TenantPlace, statement: Any, values: Any = None) -> Any:
    """Run a statement on a tenant's database for good; returns its rows, if it gives any."""
    engine = create_engine(fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(statement, values)
        return result.all() if result.returns_rows else None


def content(fleet: Fleet, place: TenantPlace) -> Any:
    """What a write would change."""
    tables = "sqlite_master" if fleet.admin is None else "pg_class"
    return on_database(fleet, place, text(f"SELECT name, (SELECT count(*) FROM {tables}) FROM tags ORDER BY name"))


def ask(databases: TenantDatabases, places: list[TenantPlace], statement: str, **options: Any) -> list[Answer]:
    return list(query_tenants(databases, places, statement, **options))


def test_each_answers_with_its_own(databases: TenantDatabases, three: list[TenantPlace]) -> None:
    answers = ask(databases, three, "SELECT name AS tag, 1 AS one FROM tags")
    assert answers == [Answer(place, ("tag", "one"), [(place.slug, 1)]) for place in three]


def test_rows_are_bounded(databases: TenantDatabases, three: list[TenantPlace]) -> None:
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    for limit, truncated in ((1, True), (4999, True), (5000, False), (6000, False)):
        for answer in ask(databases, three[:1], numbers, limit=limit):
            assert (len(answer.rows), answer.truncated) == (min(limit, 5000), truncated)


def test_bytes_are_bounded(
    fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace], engine_name: str
) -> None:
    """What is not shown is not held either: the driver gives the rows a few at a time."""
    long = "hex(zeroblob(50000))" if engine_name == "sqlite" else "repeat('x', 100000)"
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    statement = f"{numbers} SELECT {long} || i AS long FROM n"
    tracemalloc.start()
    try:
        (answer,) = ask(databases, three[:1], statement, limit=2000)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (answer.failure, answer.truncated) == (None, True)
    assert 7 * 2**20 < sum(len(row[0]) for row in answer.rows) < 8 * 2**20
    assert most < 12 * 2**20
    (answer,) = ask(databases, three[:1], statement, limit=2000, most_bytes=2**20)
    assert (len(answer.rows), answer.truncated) == (10, True)


def test_a_reason_is_no_whole_value(databases: TenantDatabases, three: list[TenantPlace], engine_name: str) -> None:
    wrong = "nothing('x')" if engine_name == "sqlite" else "CAST(repeat('x', 100000) AS integer)"
    (answer,) = ask(databases, three[:1], f"SELECT {wrong} AS a")
    assert 10 < len(str(answer.failure)) <= 500


def test_statements_without_rows_and_with_many_columns(databases: TenantDatabases, three: list[TenantPlace]) -> None:
    assert ask(databases, three[:1], "SELECT name FROM tags WHERE 1 = 0") == [Answer(three[0], ("name",), [])]
    for statement in ("SELECT 1 AS a, 2 AS a", "SELECT 1 AS tenant"):
        (answer,) = ask(databases, three[:1], statement)
        assert answer.failure == "each column needs a name of its own, and none may be called tenant"


def test_it_only_reads(fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]) -> None:
    acme = three[0]
    before = content(fleet, acme)
    for statement in WRITES + (SQLITE_WRITES if fleet.admin is None else POSTGRES_WRITES):
        written = statement.format(id=uuid7().hex, directory=fleet.directory)
        (answer,) = ask(databases, [acme], written)
        assert content(fleet, acme) == before, statement
        assert answer.failure, statement
        assert answer.rows == (), statement
    assert not (fleet.directory / "other.sqlite").exists()
    assert ask(databases, [acme], "SELECT name FROM tags")[0].rows == [("acme",)]


def test_an_endless_statement_is_stopped(databases: TenantDatabases, three: list[TenantPlace]) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    begun = time.monotonic()
    answers = ask(databases, three, endless, timeout=0.3)
    assert [answer.failure for answer in answers] == ["it took longer than 0.3 seconds"] * 3
    assert time.monotonic() - begun < 20
    assert ask(databases, three[:1], "SELECT 1 AS one")[0].rows == [(1,)]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT regexp('(a+)+$', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!') AS x", "regexp"),
        ("SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' REGEXP '(a+)+$' AS x", "REGEXP"),
        ("SELECT load_extension('x') AS x", "load_extension"),
        ("SELECT " + " + ".join([f"(x LIKE '%{'a' * 97}b%')"] * 200) + " AS y FROM (SELECT 'a' AS x)", "too many"),
        ("SELECT " + " || ".join(["hex(x)"] * 500) + " AS y FROM (SELECT 'a' AS x)", "too many"),
        (f"SELECT 1 AS x -- {'x' * 100_000}", "too large"),
        ("SELECT " + ", ".join(["x || 1 || 2 || 3 || 4 || 5 || 6"] * 1900) + " FROM (SELECT 'a' AS x)", "too long"),
        ("SELECT zeroblob(1000000000) AS x", "too big"),
    ],
)
def test_functions_are_sqlites_own_and_so_many(
    databases: TenantDatabases, three: list[TenantPlace], engine_name: str, statement: str, reason: str
) -> None:
    if engine_name != "sqlite":
        pytest.skip("PostgreSQL ends a statement wherever it is")
    begun = time.monotonic()
    [answer] = ask(databases, three[:1], statement, timeout=2)
    assert answer.failure is not None
    assert reason in answer.failure
    assert time.monotonic() - begun < 20
    found = "SELECT upper(name) AS tag, json_extract('[1, 2]', '$[1]') AS two FROM tags WHERE name LIKE 'A%'"
    assert ask(databases, three[:1], found)[0].rows == [("ACME", 2)]


def test_whoever_does_not_answer_is_named(fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]) -> None:
    databases_on(fleet.servers["main"]).drop(three[1].database)
    lost = TenantPlace(uuid7(), "lost", "Lost", "mars", "tenant_lost")
    answers = ask(databases, [*three, lost], "SELECT name FROM tags", jobs=2)
    assert [bool(answer.failure) for answer in answers] == [False, True, False, True]
    assert answers[2].rows == [("initech",)]


def test_a_value_that_cannot_be_read_is_its_tenants_failure(
    fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]
) -> None:
    for value in SQLITE_ODDITIES if fleet.admin is None else POSTGRES_ODDITIES:
        odd, *others = ask(databases, three, f"SELECT CASE name WHEN 'acme' THEN {value} END AS a FROM tags")
        assert odd.failure, value
        assert odd.rows == ()
        assert [answer.rows for answer in others] == [[(None,)]] * 2, value


def test_a_value_that_json_would_change_is_a_text(
    fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]
) -> None:
    texts = SQLITE_TEXTS if fleet.admin is None else POSTGRES_TEXTS
    asked = ", ".join(f"{value} AS c{number}" for number, value in enumerate(texts))
    (answer,) = ask(databases, three[:1], f"SELECT {asked}")
    assert orjson.loads(json_rows(answer.rows)) == [list(texts.values())]


def test_somebody_elses_data_is_not_read(fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]) -> None:
    acme, globex, _ = three
    mixed_up = TenantPlace(acme.id, acme.slug, acme.name, acme.server, globex.database)
    (answer,) = ask(databases, [mixed_up], "SELECT name FROM tags")
    assert answer.failure
    assert answer.rows == ()


def test_many_more_tenants_than_connections(fleet: Fleet, three: list[TenantPlace]) -> None:
    with databases_of_our_own(fleet.servers, 2) as databases:
        answers = ask(databases, three * 10, "SELECT name FROM tags", jobs=6)
        assert [answer.rows for answer in answers] == [[(place.slug,)] for place in three] * 10
        assert databases.numbers()["main"].limit == 2


def test_who_stops_listening_stops_it(databases: TenantDatabases, three: list[TenantPlace]) -> None:
    answers = query_tenants(databases, three * 20, "SELECT name FROM tags", jobs=2)
    assert next(answers).rows == [("acme",)]
    answers.close()  # type: ignore[attr-defined]


class TestReport:
    """For a person: only where they may read."""

    @pytest.fixture
    def person(self, fleet: Fleet, three: list[TenantPlace]) -> Any:
        with fleet.user_db.begin() as session:
            user = users.create_user(session, "rita", name="Rita", password_hash=None)
            groups.create_group(session, "staff")
            groups.join_group(session, "rita", "staff")
            grants.add_grant(session, three[0].id, "reader", login="rita")
            grants.add_grant(session, three[1].id, "editor", group="staff")
            return user.id

    def slugs(self, fleet: Fleet, databases: TenantDatabases, person: Any, **options: Any) -> list[str]:
        answers = list(query_for_person(fleet.user_db, databases, person, "SELECT name FROM tags", **options))
        assert [answer.rows for answer in answers] == [[(answer.place.slug,)] for answer in answers]
        return [answer.place.slug for answer in answers]

    def test_through_their_grant_and_their_groups(self, fleet: Fleet, databases: TenantDatabases, person: Any) -> None:
        assert self.slugs(fleet, databases, person) == ["acme", "globex"]
        assert self.slugs(fleet, databases, person, permission="content.edit_any") == ["globex"]
        assert self.slugs(fleet, databases, uuid7()) == []

    def test_not_where_they_may_not_any_more(self, fleet: Fleet, databases: TenantDatabases, person: Any) -> None:
        with fleet.user_db.begin() as session:
            suspend_tenant(session, "globex", "unpaid")
        assert self.slugs(fleet, databases, person) == ["acme"]
        with fleet.user_db.begin() as session:
            users.set_enabled(session, "rita", False)
        assert self.slugs(fleet, databases, person) == []


def test_in_the_application_it_counts_in_the_budget(make_installation: Any) -> None:
    with make_installation(**{"connections.budget": "4"}) as installation:
        registry = installation.registry
        with registry.user_db.begin() as session:
            both = users.get_user(session, "both").id
        for _ in range(3):
            answers = list(query_for_person(registry.user_db, registry.tenant_dbs, both, "SELECT 1 AS one", jobs=8))
            assert [(answer.place.slug, answer.rows) for answer in answers] == [("acme", [(1,)]), ("globex", [(1,)])]
        numbers = registry.tenant_dbs.numbers()["main"]
        assert (numbers.limit, numbers.open) == (4, 0)
        assert installation.checkedout() == 0


class TestPostgres:
    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_nothing_stays_with_the_connection(self, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        settings = "set_config('statement_timeout', '1ms', false), set_config('search_path', 'nowhere', false)"
        ask(databases, three[:1], f"SELECT pg_advisory_lock(1) AS a, {settings.replace('),', ') AS b,')} AS c")
        held = "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND objid = 1"
        deadline = time.monotonic() + 10
        while (answer := ask(databases, three[:1], held)[0]).rows != [(0,)]:
            assert time.monotonic() < deadline, answer

    def test_a_procedure_cannot_commit(
        self, fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]
    ) -> None:
        body = "BEGIN COMMIT; DELETE FROM tags; COMMIT; END"
        made = f"CREATE PROCEDURE gone(INOUT a int) LANGUAGE plpgsql AS '{body}'"
        on_database(fleet, three[0], text(made))
        (answer,) = ask(databases, three[:1], "CALL gone(1)")
        assert answer.failure == "invalid transaction termination"
        assert content(fleet, three[0])[0][0] == "acme"

    def test_the_time_cannot_be_set_by_the_statement(
        self, databases: TenantDatabases, three: list[TenantPlace]
    ) -> None:
        unlimited = "SELECT set_config('statement_timeout', '0', true) AS a, pg_sleep(0.01) AS b"
        (answer,) = ask(databases, three[:1], f"{unlimited} FROM generate_series(1, 10000)", timeout=0.5, limit=10_000)
        assert answer.failure == "it took longer than 0.5 seconds"

    def test_values_that_json_cannot_tell(self, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        big = "'[123456789012345678901]'::json AS big, array[1, 2] AS some"
        (answer,) = ask(databases, three[:1], f"SELECT {big}")
        row = dict(zip(answer.columns, answer.rows[0], strict=True))
        assert json_object(row) == b'{"big":"[123456789012345678901]","some":[1,2]}'
        (answer,) = ask(databases, three[:1], "SELECT (repeat('[', 200) || repeat(']', 200))::json AS deep")
        assert answer.failure == "a value is nested too deeply"

    def test_the_log_is_not_written_where_that_is_revoked(
        self, fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]
    ) -> None:
        emit = "SELECT pg_logical_emit_message(false, 'x', 'y') > '0/0' AS written"
        assert ask(databases, three[:1], emit)[0].rows == [(True,)]
        revoke = FLEET_PAGE.read_text().partition("```sql\n")[2].partition("```")[0]
        assert fleet.admin is not None
        fleet.ask(revoke, fleet.admin.set(database=three[0].database))
        assert "permission denied" in str(ask(databases, three[:1], emit)[0].failure)

    def test_showing_and_explaining(self, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        assert ask(databases, three[:1], "SHOW transaction_read_only")[0].rows == [("on",)]
        assert "Seq Scan" in ask(databases, three[:1], "EXPLAIN SELECT * FROM tags")[0].rows[0][0]
        assert ask(databases, three[:1], "SELECT current_user = current_database() AS own")[0].rows == [(True,)]
        assert ask(databases, three[:1], "SELECT timestamptz 'epoch' AS t")[0].rows[0][0].isoformat().endswith("+00:00")


class TestSqlite:
    @pytest.fixture(params=["sqlite"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_a_value_is_bounded(self, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        (answer,) = ask(databases, three[:1], "SELECT zeroblob(1000000000) AS z")
        assert "too big" in str(answer.failure)

    def test_a_call_of_a_function_is_over_soon(self, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        """The clock is not looked at within one."""
        long = "WITH h AS MATERIALIZED (SELECT replace(hex(zeroblob({size})), '0', 'a') AS h) SELECT {what} AS x FROM h"
        sought = "substr(h, 1, {half}) || 'b'"
        for size in (1_000_000, 200_000):
            for what in (f"instr(h, {sought})", f"length(replace(h, {sought}, ''))", f"length(trim(h, {sought}))"):
                for calls in (1, 50):
                    many = " + ".join([what.format(half=size)] * calls)
                    begun = time.monotonic()
                    (answer,) = ask(databases, three[:1], long.format(size=size, what=many), timeout=1)
                    assert answer.failure == "string or blob too big", what
                    assert time.monotonic() - begun < 3
        many = " + ".join(["length(trim(h, replace(hex(zeroblob(49)), '0', 'b') || 'a'))"] * 75)
        begun = time.monotonic()
        (answer,) = ask(databases, three[:1], long.format(size=200_000, what=many), timeout=1)
        assert answer.failure == "it took longer than 1 seconds"
        assert time.monotonic() - begun < 3

    def test_seeking_is_sqlites(self, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        for call, expected in (
            ("instr('blåbær', 'bær')", 4),
            ("instr(x'0102', x'02')", 2),
            ("instr('a', NULL)", None),
            ("replace('a-b-c', '-', '+')", "a+b+c"),
            ("replace(121, 1, 3)", "323"),
            ("trim('xyax', 'yx')", "a"),
            ("trim('  a ')", "a"),
            ("rtrim('axx', 'x') || ltrim('xxa', 'x')", "aa"),
            ("'Bær' LIKE '%æ_'", 1),
        ):
            assert ask(databases, three[:1], f"SELECT {call} AS a")[0].rows == [(expected,)], call

    def test_what_a_node_may_hold_is_read(
        self, fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]
    ) -> None:
        body = "\N{GRINNING FACE}" * 100_000
        insert = text("INSERT INTO tags (id, name) VALUES ('0', :body)")
        on_database(fleet, three[0], insert, {"body": body})
        assert ask(databases, three[:1], "SELECT name FROM tags WHERE length(name) > 100")[0].rows == [(body,)]

    def test_the_structure_can_be_asked_for(
        self, fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]
    ) -> None:
        (answer,) = ask(databases, three[:1], "SELECT name FROM pragma_table_info('tags')")
        assert answer.rows == [("id",), ("name",)]
        assert ask(databases, three[:1], "PRAGMA table_info(tags)")[0].columns[:2] == ("cid", "name")
        assert ask(databases, three[:1], "SELECT value FROM json_each('[1, 2]')")[0].rows == [(1,), (2,)]

    def test_while_somebody_writes(self, fleet: Fleet, databases: TenantDatabases, three: list[TenantPlace]) -> None:
        server = fleet.servers["main"]
        assert isinstance(server, SqliteServer)
        engine = create_engine(server.tenant_url(three[0].database), poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            assert ask(databases, three[:1], "SELECT name FROM tags")[0].rows == [("acme",)]
