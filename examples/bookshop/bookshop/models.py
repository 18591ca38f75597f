"""Books and their sales, in the database of each shop."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.models import TenantBase, Tracked, Versioned


class Book(Tracked, Versioned, TenantBase):
    """A title on the shelf. Its owner added it."""

    __tablename__ = "books"
    __table_args__ = (
        CheckConstraint("price_cents >= 0", name="price"),
        CheckConstraint("stock >= 0", name="stock"),
        Index(None, "owner_id", "id"),
    )

    owner_id: Mapped[UUID]  # a person of the user database, to which no foreign key can refer
    title: Mapped[str] = mapped_column(String(200))
    price_cents: Mapped[int]
    stock: Mapped[int] = mapped_column(default=0)


class Sale(Tracked, TenantBase):
    """Some copies of one book, at the price of that day."""

    __tablename__ = "sales"
    __table_args__ = (CheckConstraint("copies > 0", name="copies"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    book_id: Mapped[UUID] = mapped_column(ForeignKey(Book.id), index=True)
    seller_id: Mapped[UUID]
    copies: Mapped[int] = mapped_column(default=1)
    price_cents: Mapped[int]
    sold_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
