"""A small shop, to try declared resources on: suppliers, products with values of every type, and lines of orders."""

import enum
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field
from pyramid.config import Configurator
from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp import main
from tenantapp.content import Content, Id, one_line
from tenantapp.identity.local_access import local_access
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Flag, Match, Owned, Related, Resource, Write
from tenantapp.resources.errors import InvalidField
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.models import NAMING_CONVENTION
from tests.installation import Installation

MOST: Final = 5


class Base(DeclarativeBase):
    """Apart from the models of the application, so that its migrations do not see these."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Supplier(Base):
    """Who delivers products."""

    __tablename__ = "suppliers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Product(Base):
    """What the shop sells."""

    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("stock >= 0", name="stock"),
        Index(None, "owner_id", "id"),
        Index(None, "supplier_id", "id"),
        Index(None, "available_on", "id"),
        Index(None, "name", "id"),
        Index(None, "price_cents", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[UUID]
    supplier_id: Mapped[UUID | None] = mapped_column(ForeignKey(Supplier.id))
    sku: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    price_cents: Mapped[int]
    stock: Mapped[int] = mapped_column(default=0)
    reorder_level: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)
    kind: Mapped[str] = mapped_column(String(10), default="thing")
    available_on: Mapped[date | None]
    size: Mapped[Size | None] = mapped_column(Enum(Size, values_callable=lambda sizes: [each.value for each in sizes]))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, onupdate=utcnow)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Line(Base):
    """A part of a product, which counts as its change."""

    __tablename__ = "lines"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id), index=True)
    text: Mapped[str] = mapped_column(String(50))


class Entry(Base):
    """A line of a journal, which stays as it is."""

    __tablename__ = "entries"
    __table_args__ = (Index(None, "text", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    text: Mapped[str] = mapped_column(String(50))


class EntryIn(Content):
    text: Annotated[str, one_line(50)]


class SupplierIn(Content):
    name: Annotated[str, one_line(50)]


class ProductIn(Content):
    sku: str = Field(max_length=30)
    name: Annotated[str, one_line(100)]
    price_cents: int = Field(ge=0)
    supplier_id: Id | None = None
    kind: Literal["thing", "service"] = "thing"
    active: bool = True
    reorder_level: int = 0
    size: Size | None = None


class LineIn(Content):
    product_id: Id
    text: str


suppliers: Final = Resource(
    "suppliers",
    Supplier,
    body=SupplierIn,
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    sorts={"name": Supplier.name},
)


def of_supplier(name: Any) -> Any:
    """Return the condition that a product has a supplier with this name."""
    return Product.supplier_id.in_(
        Supplier.__table__.select().with_only_columns(Supplier.id).where(Supplier.name == name)
    )


products: Final = Resource(
    "products",
    Product,
    body=ProductIn,
    shows=("stock", "available_on", "created_at"),
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    owner=Owned(Product.owner_id, over=Permission.CONTENT_EDIT_ANY),
    filters={
        "supplier_id": Product.supplier_id,
        "owner_id": Product.owner_id,
        "name": Match(Product.name, like=True),
        "price": Product.price_cents,
        "active": Product.active,
        "size": Product.size,
        "kind": Match(Product.kind, value=Literal["thing", "service"]),
        "available_on": Product.available_on,
        "created_at": Product.created_at,
        "low_stock": Flag(Product.stock <= Product.reorder_level),
        "supplier": Related(str, of_supplier),
    },
    sorts={"created": Product.id, "name": Product.name, "price": Product.price_cents},
    most=MOST,
    problems=("invalid",),
)

lines: Final = Resource(
    "lines",
    Line,
    body=LineIn,
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    filters={"product_id": Line.product_id},
    touches=(Line.product_id,),
)

entries: Final = Resource(
    "entries",
    Entry,
    body=EntryIn,
    noun="entry",
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    filters={"text": Entry.text},
    can=("create",),
)

AFTER: Final[list[str]] = []


@products.on("create", "change")
def refuse_free_services(write: Write[Product]) -> Iterator[None]:
    """Raise ``InvalidField`` for a service that costs nothing, and note what was written."""
    if write.after.kind == "service" and write.after.price_cents == 0:
        raise InvalidField("price_cents", "A service has a price.")
    yield
    AFTER.append(f"{write.operation} {write.row.sku} {write.row.version}")


def access_of(installation: Installation, slug: str = "acme", login: str | None = None) -> Access:
    """What a script asks the user database for."""
    with installation.registry.user_db.begin(read_only=True) as session:
        return local_access(session, slug, login=login)


def shop_app(installation: Installation) -> Any:
    """The application with the shop, on the databases of this installation."""

    def includeme(config: Any) -> None:
        for resource in (suppliers, products, lines, entries):
            config.add_resource(resource)

    return app_including(installation, includeme)


def app_including(installation: Installation, includeme: Callable[[Any], None]) -> Any:
    """The application with what this function adds."""
    original = Configurator.make_wsgi_app

    def make(config: Any) -> Any:
        config.include(includeme)
        return original(config)

    Configurator.make_wsgi_app = make
    try:
        app = main({}, **installation.settings)
    finally:
        Configurator.make_wsgi_app = original
    app.registry.user_db.dispose()
    return app
