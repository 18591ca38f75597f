"""Statements as operators see them: without values."""

import pytest
from sqlalchemy import String, column, select, table
from sqlalchemy.dialects import postgresql

from tenantapp.sql.bulkhead import Bulkhead
from tenantapp.sql.statement_text import LONGEST, OTHER, statement_text
from tenantapp.sql.waits import CONNECTING, TENANT_DATABASES, USER_DATABASE, watched
from tenantapp.usage.models import Databases
from tenantapp.usage.statement_meter import COMMIT, StatementMeter, TimedStatement

SECRET = "Flenders"


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT a  FROM t\n WHERE b = %(b_1)s", "SELECT a FROM t WHERE b = ?"),
        ("SELECT 1 FROM t2 WHERE b = -12.5e3 AND c3 = $1", "SELECT ? FROM t2 WHERE b = -? AND c3 = ?"),
        ("SELECT 'Flenders' AS a, 'it''s Flenders' AS b", "SELECT ? AS a, ? AS b"),
        (r"SELECT E'it\'s Flenders' FROM t", "SELECT ? FROM t"),
        ("SELECT $a$ Flenders' $a$, $$Flenders$$ x", "SELECT ?, ... x"),
        ("SELECT a -- Flenders's\nFROM t /* Flenders's */", "SELECT a FROM t"),
        ('SELECT "it\'s", \'Flenders\' FROM "a b"', 'SELECT "it\'s", ? FROM "a b"'),
        ("SELECT 'Flenders and no end", "SELECT ?"),
        ("SELECT /* Flenders and no end", "SELECT"),
        ("b IN (%(b_1)s, %(b_2)s) AND c IN (?, ?, ?)", "b IN (?, ...) AND c IN (?, ...)"),
        ("b IN (%(b_1)s::UUID, %(b_2)s::UUID)", "b IN (?, ...)"),
        ("VALUES (?, ?), (?, ?), (?, ?)", "VALUES (?, ...), ..."),
        ("VALUES (%(a__0)s), (%(a__1)s)", "VALUES (?), ..."),
        ("SAVEPOINT sa_savepoint_12", "SAVEPOINT sa_savepoint"),
        (r"SELECT 1 WHERE a LIKE'x\' AND b = 'Flenders'", "SELECT ? WHERE a LIKE? AND b = ?"),
        ("SELECT .5, a.b", "SELECT ?, a.b"),
        (b"SELECT 'Flenders'", OTHER),
    ],
)
def test_values_are_removed(statement: object, text: str) -> None:
    assert statement_text(statement) == text
    assert SECRET not in text


def test_a_value_that_is_cut_is_still_a_value() -> None:
    found = statement_text("SELECT '" + SECRET * 10_000 + "' FROM t")
    assert found == "SELECT ?"
    assert len(statement_text("SELECT " + "a_column, " * 1000)) == LONGEST


def test_literals_of_sqlalchemy_are_removed() -> None:
    statement = select(column("a")).select_from(table("t")).where(column("b", String) == SECRET)
    compiled = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    assert SECRET in str(compiled)
    assert statement_text(str(compiled)) == "SELECT a FROM t WHERE b = ?"


class Driver:
    """A connection of a driver."""

    health = None

    def __init__(self, spends_on: int) -> None:
        self.spends_on = spends_on

    def cut(self) -> None:
        """Do nothing."""


def waited(meter: StatementMeter, spends_on: int, *statements: str | None, **options: bool) -> None:
    bulkhead = Bulkhead(threads=4, slow=1, deadline=10)
    bulkhead.wait_observers.append(meter.waited)
    with bulkhead.request():
        for statement in statements:
            watched(Driver(spends_on), lambda: None, statement=statement, **options)


def test_calls_are_counted_and_fetching_is_a_part_of_them() -> None:
    meter = StatementMeter()
    waited(meter, TENANT_DATABASES, "SELECT 1", "SELECT 2")
    waited(meter, TENANT_DATABASES, "SELECT 1", fetching=True)
    waited(meter, TENANT_DATABASES, None, committing=True)
    waited(meter, USER_DATABASE, "SELECT 1", None)
    waited(meter, CONNECTING, None)
    taken = meter.take()
    assert {statement: times.calls for statement, times in taken.items()} == {
        TimedStatement(Databases.TENANTS, "SELECT ?"): 2,
        TimedStatement(Databases.TENANTS, COMMIT): 1,
        TimedStatement(Databases.USER, "SELECT ?"): 1,
    }
    select_of_tenants = taken[TimedStatement(Databases.TENANTS, "SELECT ?")]
    assert 0 < select_of_tenants.worst < select_of_tenants.seconds
    meter.give_back(taken)
    assert meter.take()[TimedStatement(Databases.TENANTS, "SELECT ?")].calls == 2
    assert meter.take() == {}


def test_the_memory_of_a_meter_is_bounded() -> None:
    meter = StatementMeter(most=2)
    waited(meter, TENANT_DATABASES, "SELECT a", "SELECT b", "SELECT c", "SELECT d", "SELECT a")
    calls = {statement.text: times.calls for statement, times in meter.take().items()}
    assert calls == {"SELECT a": 2, "SELECT b": 1, OTHER: 2}


def test_an_observer_that_fails_fails_no_statement(caplog: pytest.LogCaptureFixture) -> None:
    bulkhead = Bulkhead(threads=4, slow=1, deadline=10)
    bulkhead.wait_observers.append(lambda waits, took: 1 / 0)  # type: ignore[arg-type, return-value]
    with bulkhead.request():
        assert watched(Driver(TENANT_DATABASES), lambda: "answer", statement="SELECT 1") == "answer"
    assert "A wait could not be counted." in caplog.text
