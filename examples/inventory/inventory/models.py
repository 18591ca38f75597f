"""Suppliers, products and their movements, and orders, in the database of each company."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.models import TenantBase, Tracked, Versioned


class Supplier(Tracked, Versioned, TenantBase):
    """Who delivers products."""

    __tablename__ = "suppliers"

    name: Mapped[str] = mapped_column(String(100), unique=True)


class Product(Tracked, Versioned, TenantBase):
    """What is on the shelves. ``stock`` is the sum of its movements."""

    __tablename__ = "products"
    __table_args__ = (CheckConstraint("stock>=0", "stock"), Index(None, "name", "id"), Index(None, "supplier_id", "id"))

    sku: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    supplier_id: Mapped[UUID | None] = mapped_column(ForeignKey(Supplier.id))
    picture_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenant_files.id"), index=True)
    stock: Mapped[int] = mapped_column(default=0)
    reorder_level: Mapped[int] = mapped_column(default=0)


class Movement(Tracked, Versioned, TenantBase):
    """Some pieces of a product that came, or with a negative quantity went."""

    __tablename__ = "movements"
    __table_args__ = (Index(None, "product_id", "id"),)

    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id))
    quantity: Mapped[int]
    reason: Mapped[str] = mapped_column(String(200))
    moved_by: Mapped[UUID]
    moved_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


class Order(Tracked, Versioned, TenantBase):
    """What is ordered from a supplier."""

    __tablename__ = "orders"
    __table_args__ = (Index(None, "supplier_id", "id"), Index(None, "state", "id"))

    number: Mapped[str] = mapped_column(String(60), unique=True)
    supplier_id: Mapped[UUID] = mapped_column(ForeignKey(Supplier.id))
    state: Mapped[str] = mapped_column(String(10), default="draft")


class OrderLine(Tracked, Versioned, TenantBase):
    """Some pieces of a product in an order."""

    __tablename__ = "order_lines"
    __table_args__ = (Index(None, "order_id", "id"),)

    order_id: Mapped[UUID] = mapped_column(ForeignKey(Order.id))
    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id), index=True)
    quantity: Mapped[int]
