"""Books and their sales, in the database of each shop."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, select
from sqlalchemy.orm import Mapped, mapped_column, object_session
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.models import TenantBase, Tracked, Versioned

TITLE_LENGTH: Final = 200


class Book(Tracked, Versioned, TenantBase):
    """A title on the shelf. Its owner added it. ``version`` counts its changes, so that none is overwritten."""

    __tablename__ = "books"
    __table_args__ = (
        CheckConstraint("price_cents >= 0", name="price"),
        CheckConstraint("stock >= 0", name="stock"),
        Index(None, "owner_id", "id"),
    )

    # A person of the user database. A foreign key cannot refer to another database.
    owner_id: Mapped[UUID]
    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    price_cents: Mapped[int]
    stock: Mapped[int]

    def copies_sold(self) -> int:
        """Return how many copies were sold. The sales are read in the book's own session."""
        session = object_session(self)
        if session is None:
            raise RuntimeError("the book belongs to no session, so it cannot read its sales")
        return session.scalar(select(func.coalesce(func.sum(Sale.copies), 0)).where(Sale.book_id == self.id)) or 0


class Sale(Tracked, TenantBase):
    """Some copies of one book, at the price of that day."""

    __tablename__ = "sales"
    __table_args__ = (CheckConstraint("copies > 0", name="copies"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    book_id: Mapped[UUID] = mapped_column(ForeignKey(Book.id), index=True)
    seller_id: Mapped[UUID]
    copies: Mapped[int]
    price_cents: Mapped[int]
    sold_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
