"""Resources with every type of field that a declaration knows, to see what the page makes of them."""

from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, NaiveDatetime
from pyramid.config import Configurator
from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, Integer, String, Text
from sqlalchemy import Enum as Choice
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp.content import Content, one_line
from tenantapp.content import Text as LongText
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, Match, Resource, Write
from tenantapp.resources.errors import InvalidField
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime
from tests.functional.things import AsText


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Base(DeclarativeBase):
    """Apart from the models of the application."""


class Shelf(Base):
    """Where things are. Its key is a whole number, as tables have it that were there before."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


class Thing(Base):
    """Something with a field of every type."""

    __tablename__ = "everything"
    __table_args__ = (Index(None, "name", "id"), Index(None, "amount", "id"), Index(None, "color", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(50))
    notes: Mapped[str] = mapped_column(Text)
    amount: Mapped[int]
    serial: Mapped[int | None] = mapped_column(BigInteger)
    share: Mapped[float | None]
    price: Mapped[Decimal | None] = mapped_column(AsText)
    active: Mapped[bool]
    agreed: Mapped[bool | None]
    due: Mapped[date | None]
    opens: Mapped[time | None]
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    local: Mapped[datetime | None] = mapped_column(DateTime)
    kind: Mapped[str] = mapped_column(String(10))
    color: Mapped[Color | None] = mapped_column(
        Choice(Color, values_callable=lambda all_: [each.value for each in all_])
    )
    size: Mapped[int] = mapped_column(Integer)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey(Shelf.id), index=True)
    labels: Mapped[list[str]] = mapped_column(JSON)
    rates: Mapped[dict[str, int]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class ShelfIn(Content):
    name: Annotated[str, one_line(50)]


class ThingIn(Content):
    name: Annotated[str, Field(max_length=20, description="As it stands on the label.")]
    notes: LongText = ""
    amount: int = Field(1, ge=0, le=100)
    serial: int | None = None
    share: float | None = None
    price: Decimal | None = None
    active: bool = True
    agreed: bool | None = None
    due: date | None = None
    opens: time | None = None
    at: datetime | None = None
    local: NaiveDatetime | None = None
    kind: Literal["thing", "service"] = "thing"
    color: Color | None = None
    size: Size = Size.SMALL
    shelf_id: int | None = None
    labels: Annotated[list[str], Field(max_length=3)] = []
    rates: dict[str, int] = {}


shelves: Final = Resource(
    "shelves",
    Shelf,
    body=ShelfIn,
    noun="shelf",
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    sorts={"name": Shelf.name},
)
things: Final = Resource(
    "everything",
    Thing,
    body=ThingIn,
    noun="thing",
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    filters={
        "name": Match(Thing.name, like=True),
        "amount": Thing.amount,
        "color": Thing.color,
        "shelf": Thing.shelf_id,
        "agreed": Thing.agreed,
    },
    sorts={"name": Thing.name, "amount": Thing.amount},
    display=Display(label="All types", icon="star", order=1, suggests={"labels": "shelves"}),
)


@things.on("create", "change")
def refuse_odd_amounts(write: Write[Thing]) -> None:
    """Raise ``InvalidField`` for thirteen, which the document does not say."""
    if write.after.amount == 13:
        raise InvalidField("amount", "Thirteen brings bad luck.")


def includeme(config: Configurator) -> None:
    """Add the resources."""
    for resource in (shelves, things):
        config.add_resource(resource)
