"""A prepared SELECT gives the same rows whichever way it is sent."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Integer, LargeBinary, String, Uuid, bindparam, event, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp.sql.engines import UNPREPARED
from tenantapp.sql.errors import TransactionConflict
from tenantapp.sql.prepared import PreparedSelect
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import UserDatabaseUnavailable
from tests.installation import Installation, postgres_installation


class Base(DeclarativeBase):
    """Of one table of its own."""


class Thing(Base):
    """Of every type that the project's own statements use."""

    __tablename__ = "things"

    id: Mapped[Any] = mapped_column(Uuid(), primary_key=True, default=uuid4)
    number: Mapped[int]
    name: Mapped[str | None] = mapped_column(String(50))
    data: Mapped[bytes] = mapped_column(LargeBinary)
    flag: Mapped[bool]
    at: Mapped[datetime] = mapped_column(UtcDateTime)


THINGS = PreparedSelect(
    "test_things",
    select(Thing.id, Thing.number, Thing.name, Thing.data, Thing.flag, Thing.at.label("at"))
    .where(Thing.number > bindparam("more_than", type_=Integer()), Thing.at < bindparam("before", type_=UtcDateTime()))
    .order_by(Thing.number)
    .limit(bindparam("limit", type_=Integer())),
    {"more_than": "int", "before": "timestamptz", "limit": "int"},
)
VALUES = {"more_than": 1, "before": datetime(2030, 1, 1, tzinfo=UTC), "limit": 2}


@pytest.fixture(scope="module")
def database(make_installation: Any) -> Iterator[DBFactory]:
    """The user database of an installation, with five things in it."""
    with make_installation() as installation:
        yield filled(installation)


def filled(installation: Installation) -> DBFactory:
    database: DBFactory = installation.registry.user_db
    Base.metadata.create_all(database.engine)
    with database.begin() as session:
        for number in range(5):
            name = None if number == 2 else f"thing {number} ü%s:x"
            at = datetime(2026, 1, 1, number, 30, 1, 7, tzinfo=UTC)
            session.add(Thing(number=number, name=name, data=bytes([0, 255, number]), flag=bool(number % 2), at=at))
    return database


def test_alone_and_in_a_transaction_the_rows_are_the_same(database: DBFactory) -> None:
    with database.get_session(read_only=True) as session:
        alone = [tuple(row) for row in THINGS.rows(session, VALUES)]
        assert not session.in_transaction()
    with database.begin() as session:
        within = [tuple(row) for row in THINGS.rows(session, VALUES)]
    assert alone == within
    assert [row[1] for row in alone] == [2, 3]
    assert alone[0][2] is None
    assert alone[1][2:6] == ("thing 3 ü%s:x", b"\x00\xff\x03", True, datetime(2026, 1, 1, 3, 30, 1, 7, tzinfo=UTC))
    assert database.checkedout() == 0


def test_unprepared_the_rows_are_the_same(database: DBFactory) -> None:
    """As they are read behind a PgBouncer."""
    unprepared = database.engine.execution_options(**{UNPREPARED: True})
    assert THINGS.fetch(unprepared, VALUES) == THINGS.fetch(database.engine, VALUES)


def test_constants_may_be_listed(database: DBFactory) -> None:
    listed = (Thing.number.in_([1, 3, 4]), Thing.id.not_in([uuid4()]), Thing.name.not_in([]), Thing.flag.in_([True]))
    before = Thing.at < bindparam("before", type_=UtcDateTime())
    statement = PreparedSelect("test_listed", select(Thing.number).where(*listed, before).order_by(Thing.number), {})
    for _ in range(3):  # PostgreSQL prepares it at the second use
        with database.get_session(read_only=True) as session:
            assert [row.number for row in statement.rows(session, {"before": VALUES["before"]})] == [1, 3]


def test_columns_are_attributes(database: DBFactory) -> None:
    with database.get_session(read_only=True) as session:
        row = THINGS.rows(session, VALUES)[0]
    assert (row.number, row.name, row.at.tzinfo) == (2, None, UTC)


def test_a_session_that_writes_sees_what_it_has_written(database: DBFactory) -> None:
    with database.get_session() as session, session.begin():
        session.execute(text("UPDATE things SET name = 'changed'"))
        assert {row.name for row in THINGS.rows(session, VALUES)} == {"changed"}
        session.rollback()


def test_a_changed_column_ends_the_transaction_and_the_next_one_reads_it(database: DBFactory) -> None:
    """PostgreSQL refuses a statement that was prepared before."""

    def read() -> int:
        with database.begin() as session:
            return len(THINGS.rows(session, VALUES))

    def change(type_: str) -> None:
        if database.engine.dialect.name == "postgresql":
            with database.begin() as session:
                session.execute(text(f"ALTER TABLE things ALTER name TYPE {type_}"))

    assert [read() for _ in range(3)] == [2, 2, 2]
    change("text")
    with nullcontext() if database.engine.dialect.name == "sqlite" else pytest.raises(TransactionConflict):
        read()
    assert [read() for _ in range(3)] == [2, 2, 2]
    change("varchar(50)")
    assert [len(THINGS.fetch(database.engine, VALUES)) for _ in range(2)] == [2, 2]
    assert database.checkedout() == 0


def test_it_is_one_round_trip(database: DBFactory) -> None:
    """Nothing but the statement itself goes by way of SQLAlchemy, and nothing begins."""
    sent: list[str] = []
    began: list[Any] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    event.listen(database.engine, "begin", began.append)
    for _ in range(3):
        with database.get_session(read_only=True) as session:
            THINGS.rows(session, VALUES)
    assert (sent, began) == ([], [])


def test_nothing_is_sent_after_it(postgres_server: URL) -> None:
    """Nor before it: asked of PostgreSQL, for what the driver sends of its own accord passes no listener."""
    with postgres_installation(postgres_server) as installation:
        database = filled(installation)
        with database.begin(read_only=True) as session:
            backend = session.scalar(text("SELECT pg_backend_pid()"))
        last = text("SELECT query FROM pg_stat_activity WHERE pid = :pid").bindparams(pid=backend)
        # Prepared only when it is sent a second time, for on a new connection there may be no second time.
        for expected in ("SELECT things", "EXECUTE test_things", "EXECUTE test_things"):
            with database.get_session(read_only=True) as session:
                assert len(THINGS.rows(session, VALUES)) == 2
            with installation.registry.access_reader.database.engine.connect() as other:
                assert str(other.scalar(last)).startswith(expected)


def test_the_connection_goes_back_as_it_was(database: DBFactory) -> None:
    """A transaction on the same connection afterwards is one: it can be rolled back."""
    with database.get_session(read_only=True) as session:
        THINGS.rows(session, VALUES)
    with database.get_session() as session:
        session.execute(text("DELETE FROM things"))
        session.rollback()
    with database.get_session(read_only=True) as session:
        assert len(THINGS.rows(session, VALUES)) == 2


def test_a_closed_session_gives_nothing_more(database: DBFactory) -> None:
    session = database.get_session(read_only=True)
    assert len(THINGS.rows(session, VALUES)) == 2
    session.close()
    with pytest.raises(InvalidRequestError):
        THINGS.rows(session, VALUES)
    assert database.checkedout() == 0


def test_errors_are_ours_or_the_drivers_own(database: DBFactory) -> None:
    missing = PreparedSelect("test_missing", select(text("1")).select_from(text("no_such_table")), {})
    with database.get_session(read_only=True) as session, pytest.raises(Exception, match="no_such_table") as raised:
        missing.rows(session, {})
    assert not isinstance(raised.value, UserDatabaseUnavailable)
    assert database.checkedout() == 0
    with database.get_session(read_only=True) as session:
        assert len(THINGS.rows(session, VALUES)) == 2
