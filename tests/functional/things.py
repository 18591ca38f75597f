"""A resource that has every type, with views of its own. Its table is made by the tests."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AwareDatetime, Base64Bytes, BeforeValidator, Field, NaiveDatetime, create_model
from pyramid.config import Configurator
from sqlalchemy import JSON, Date, Interval, LargeBinary, Numeric, String, Time, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp.answers import Answer
from tenantapp.api.json import apply_patch
from tenantapp.api.views import ID, MergePatch, add_api_view, path_id
from tenantapp.content import Content, Id
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.request import TenantRequest


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Kind(Enum):
    FIRST = "first"


class Part(Content):
    """An object within the object."""

    due: date
    price: Decimal
    color: Color = Color.RED
    parts: list["Part"] = []


class ThingContent(Content):
    """A field of every type."""

    price: Annotated[Decimal, Field(max_digits=12, decimal_places=4, ge=0)]
    due: date
    at: datetime
    opens: time
    lasts: timedelta
    other: UUID
    color: Color
    size: Size = Size.SMALL
    kind: Kind = Kind.FIRST
    owner: Id | None = None
    until: AwareDatetime | None = None
    local: NaiveDatetime | None = None
    holidays: list[date] = []
    labels: frozenset[str] = frozenset()
    pair: tuple[date, Decimal] | None = None
    rates: dict[str, Decimal] = {}
    by_day: dict[date, int] = {}
    part: Part | None = None
    raw: Base64Bytes = Field(b"", validate_default=False)
    checked: Annotated[date | None, BeforeValidator(lambda value: value)] = None
    either: date | int | Literal["never"] | None = None


class Base(DeclarativeBase):
    """Of the one table."""


class AsText(TypeDecorator[Decimal]):
    """SQLite has no decimals."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Decimal(value)


class Thing(Base):
    """The columns that SQL has, and what it has not as JSON."""

    __tablename__ = "things"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 4).with_variant(AsText(), "sqlite"))
    due: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    opens: Mapped[time] = mapped_column(Time)
    lasts: Mapped[timedelta] = mapped_column(Interval)
    other: Mapped[UUID]
    color: Mapped[str] = mapped_column(String(10))
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    rest: Mapped[dict[str, Any]] = mapped_column(JSON)


OWN = tuple(column.name for column in Thing.__table__.c if column.name not in ("id", "rest"))


# The same fields, not as strict.
FIELDS: dict[str, Any] = {name: (field.annotation, ...) for name, field in ThingContent.model_fields.items()}
ThingAnswer: Any = create_model("ThingAnswer", __base__=Answer, **FIELDS)


class ThingShown(Answer):
    """A thing as it is answered."""

    id: UUID
    content: ThingAnswer
    total: Decimal
    days: set[date]
    took: timedelta


def _store(thing: Thing, content: ThingContent) -> dict[str, Any]:
    for name in OWN:
        setattr(thing, name, getattr(content, name))
    thing.rest = content.model_dump(mode="json", exclude=set(OWN))
    return _shown(thing)


def _content(thing: Thing) -> ThingContent:
    rest = ThingContent.model_validate_json(orjson.dumps({**thing.rest, **PLAIN}))
    return rest.model_copy(update={name: getattr(thing, name) for name in OWN})


def _shown(thing: Thing) -> dict[str, Any]:
    return {
        "id": thing.id,
        "content": _content(thing),
        "total": thing.price * 2,
        "days": {thing.due, date(2026, 1, 1)},
        "took": timedelta(seconds=90),
    }


# Whatever is valid: it is replaced by what the columns have.
PLAIN: dict[str, Any] = {
    "price": 0, "due": "2026-01-01", "at": "2026-01-01T00:00:00Z", "opens": "00:00", "lasts": "PT0S",
    "other": "01900000-0000-7000-8000-000000000000", "color": "red", "raw": "",
}  # fmt: skip


def create(request: TenantRequest) -> dict[str, Any]:
    """Add a thing."""
    thing = Thing(id=uuid7())
    _store(thing, request.checked_body)
    request.tenant_session.add(thing)
    request.tenant_session.flush()
    return _shown(thing)


def read(request: TenantRequest) -> dict[str, Any]:
    """Return a thing."""
    return _shown(request.tenant_session.get_one(Thing, path_id(request)))


def replace(request: TenantRequest) -> dict[str, Any]:
    """Replace a thing."""
    return _store(request.tenant_session.get_one(Thing, path_id(request)), request.checked_body)


def patch(request: TenantRequest) -> dict[str, Any]:
    """Change a thing."""
    thing = request.tenant_session.get_one(Thing, path_id(request))
    return _store(thing, apply_patch(request.checked_body, _content(thing)))


def includeme(config: Configurator) -> None:
    """Add the views."""
    config.add_route("things", "/api/v1/things")
    config.add_route("thing", f"/api/v1/things/{ID}")
    common: Any = {"permission": "content.create", "answer": ThingShown}
    add_api_view(config, create, "things", "POST", body=ThingContent, status=201, **common)
    add_api_view(config, read, "thing", "GET", **common)
    add_api_view(config, replace, "thing", "PUT", body=ThingContent, **common)
    add_api_view(config, patch, "thing", "PATCH", body=MergePatch[ThingContent], **common)
