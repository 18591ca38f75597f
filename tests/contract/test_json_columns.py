"""JSON written by the database is what the renderer would have written."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import JSON, DateTime, LargeBinary, Numeric, String, Text, cast, literal, null, select
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp.sql.json_columns import json_array, json_object
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.dbfactory import DBFactory

ODD = 'quote " backslash \\ slash / line\nfeed tab\t bell\x07 ü € 😀 \u2028 %s :x {}'
AT = datetime(2026, 1, 2, 3, 4, 5, 60_708, tzinfo=UTC)
THING = UUID("01234567-89ab-7def-8123-456789abcdef")


class Base(DeclarativeBase):
    """Of two tables of its own."""


class Thing(Base):
    """Of every type that JSON is made of."""

    __tablename__ = "json_things"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    above: Mapped[UUID | None]
    number: Mapped[int]
    share: Mapped[float]
    name: Mapped[str | None] = mapped_column(String(200))
    flag: Mapped[bool]
    unknown: Mapped[bool | None]
    document: Mapped[Any] = mapped_column(JSON)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Word(Base):
    """Many of a thing."""

    __tablename__ = "json_words"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    word: Mapped[str] = mapped_column(String(50))
    length: Mapped[int]


# More than fit into one page of memory, and not in the order of any dictionary.
WORDS = ["Z", "a", "ä", "B", "a b", "", "z", "Ä", *(f"{number:03}" for number in range(300, 0, -1))]


@pytest.fixture(scope="module")
def database(make_installation: Any) -> Iterator[DBFactory]:
    """A database with a thing and some words in it."""
    with make_installation() as installation:
        database: DBFactory = installation.registry.user_db
        Base.metadata.create_all(database.engine)
        with database.begin() as session:
            session.add(
                Thing(
                    id=THING,
                    above=None,
                    number=-(2**31),
                    share=0.25,
                    name=ODD,
                    flag=True,
                    unknown=None,
                    document={"deep": [1, None, ODD]},
                    data=b"\0",
                    at=AT,
                )
            )
            session.add_all(Word(word=word, length=min(len(word), 3)) for word in WORDS)
        yield database


def test_an_object_is_what_the_renderer_writes(database: DBFactory) -> None:
    thing = json_object(
        id=Thing.id,
        above=Thing.above,
        number=Thing.number,
        share=Thing.share,
        name=Thing.name,
        flag=Thing.flag,
        unknown=Thing.unknown,
        document=Thing.document,
        at=Thing.at,
        inner=json_object(id=Thing.id, nothing=null(), **{"it's 100% :x": Thing.number}),
    )
    with database.begin() as session:
        text = session.scalars(select(cast(thing, Text))).one()
    expected = {
        "id": THING,
        "above": None,
        "number": -(2**31),
        "share": 0.25,
        "name": ODD,
        "flag": True,
        "unknown": None,
        "document": {"deep": [1, None, ODD]},
        "at": AT,
        "inner": {"id": THING, "nothing": None, "it's 100% :x": -(2**31)},
    }
    assert orjson.loads(text) == orjson.loads(orjson.dumps(expected, option=orjson.OPT_UTC_Z))
    assert list(orjson.loads(text)) == list(expected)


def test_an_array_is_in_the_order_of_code_points(database: DBFactory) -> None:
    words = select(Word.length, Word.word).order_by(Word.word).subquery()
    array = cast(json_array(words.c.word), Text)
    with database.begin() as session:
        found = dict(session.execute(select(words.c.length, array).group_by(words.c.length)).all())
    for length, text in found.items():
        assert orjson.loads(text) == sorted(word for word in WORDS if min(len(word), 3) == length)
    assert sum(len(orjson.loads(text)) for text in found.values()) == len(WORDS)


def test_bytes_are_refused(database: DBFactory) -> None:
    with database.begin() as session, pytest.raises(CompileError, match="JSON has no bytes"):
        session.scalars(select(cast(json_object(data=Thing.data), Text))).all()


def test_decimals_are_text_and_times_are_short(database: DBFactory) -> None:
    price = cast("1.50", Numeric(10, 3))
    members = {
        "price": price,
        "none": cast(null(), Numeric(10, 3)),
        "free": cast(null(), Numeric),
        "due": literal(date(2026, 11, 29)),
        "opens": literal(time(8, 30)),
        "local": literal(datetime(2026, 11, 29, 8, 30), DateTime),  # noqa: DTZ001
        "exact": literal(datetime(2026, 11, 29, 8, 30, 0, 123456), DateTime),  # noqa: DTZ001
    }
    with database.get_session() as session:
        written = session.scalar(select(cast(json_object(**members), Text)))
    expected = {
        "price": "1.500", "none": None, "free": None, "due": "2026-11-29", "opens": "08:30:00",
        "local": "2026-11-29T08:30:00", "exact": "2026-11-29T08:30:00.123456",
    }  # fmt: skip
    assert orjson.loads(str(written)) == expected
