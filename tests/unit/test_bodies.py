"""Models of user input that are made from the columns of a table."""

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
import pytest
from pydantic import Field, ValidationError
from sqlalchemy import JSON, Enum, ForeignKey, Interval, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp.content import Content
from tenantapp.resources import content_of
from tenantapp.resources.declaration import DeclarationError
from tenantapp.sql.times import UtcDateTime
from tests.shop import Size

ID = "01a22803-45b2-76f7-becc-41e7a58bbc43"


class Base(DeclarativeBase):
    metadata = MetaData()


class Parcel(Base):
    """Something that is sent."""

    __tablename__ = "parcels"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(10))
    note: Mapped[str] = mapped_column(Text, default="")
    weight: Mapped[int]
    fragile: Mapped[bool] = mapped_column(default=False)
    before_id: Mapped[UUID | None] = mapped_column(ForeignKey("parcels.id"))
    due: Mapped[date | None]
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    size: Mapped[Size] = mapped_column(Enum(Size, values_callable=lambda sizes: [each.value for each in sizes]))
    kind: Mapped[str] = mapped_column(Enum("letter", "box"), default="box")
    tags: Mapped[Any] = mapped_column(JSON, default=list)
    delay: Mapped[Any] = mapped_column(Interval, nullable=True)
    picture: Mapped[Any] = mapped_column(LargeBinary, nullable=True)


NAMES = ("label", "note", "weight", "fragile", "before_id", "due", "sent_at", "size", "kind")
ParcelContent = content_of(Parcel, *NAMES)
LEAST = {"label": "a", "weight": 1, "size": "small"}


def read(**more: Any) -> Any:
    return ParcelContent.model_validate_json(orjson.dumps(LEAST | more))


def test_fields_have_the_types_and_defaults_of_the_columns() -> None:
    assert issubclass(ParcelContent, Content)
    parcel = read()
    assert [getattr(parcel, name) for name in NAMES] == ["a", "", 1, False, None, None, None, Size.SMALL, "box"]
    parcel = read(before_id=ID, due="2026-01-31", sent_at="2026-01-31T10:00:00+01:00", note="two\nlines", kind="letter")
    assert (parcel.before_id, parcel.due) == (UUID(ID), date(2026, 1, 31))
    assert parcel.sent_at == datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", "x" * 11),
        ("label", "two\nlines"),
        ("label", None),
        ("note", "a\0b"),
        ("weight", 2**31),
        ("weight", "1"),
        ("weight", True),
        ("fragile", 1),
        ("before_id", f"{{{ID}}}"),
        ("due", "2026-02-31"),
        ("sent_at", "2026-01-31T10:00:00"),
        ("size", "SMALL"),
        ("kind", "bag"),
        ("id", ID),
    ],
)
def test_what_the_column_cannot_have_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        read(**{field: value})
    assert [error["loc"][0] for error in raised.value.errors()] == [field]


@pytest.mark.parametrize("missing", LEAST)
def test_what_has_no_default_is_required(missing: str) -> None:
    with pytest.raises(ValidationError, match="Field required"):
        ParcelContent(**{name: value for name, value in LEAST.items() if name != missing})


def test_a_type_of_ones_own_is_in_place_of_that_of_the_column() -> None:
    body = content_of(Parcel, "label", weight=Annotated[int, Field(ge=1, le=30)], tags=list[str])
    assert body(label="a", weight=30, tags=["b"]).tags == ["b"]
    with pytest.raises(ValidationError, match="less than or equal to 30"):
        body(label="a", weight=31, tags=[])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("colour", "Parcel has no column colour that clients could write"),
        ("tags", r"Say which type clients write: content_of\(Parcel, tags=TYPE\)"),
        ("picture", "Say which type"),
        ("delay", "Say which type"),
    ],
)
def test_what_has_no_one_form_is_a_slip(name: str, sentence: str) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        content_of(Parcel, name)
