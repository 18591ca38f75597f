"""Books and sales as the API shows them. Requests do not check their answers; the tests do."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer


class BookAnswer(Answer):
    """A book of the shop. ``price_cents`` is in hundredths of ``currency``."""

    id: UUID
    owner_id: UUID
    title: str
    price_cents: int
    currency: str
    stock: int


class BookWithSales(BookAnswer):
    """A book, and how many copies of it were sold."""

    sold: int


class SaleAnswer(Answer):
    """A sale. ``total_cents`` is in hundredths of ``currency``."""

    id: UUID
    book_id: UUID
    copies: int
    total_cents: int
    currency: str
    sold_at: datetime
