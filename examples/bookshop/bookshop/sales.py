"""Sell books."""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session
from tenantapp.tenancy.access import Access

from bookshop.books import locked_book
from bookshop.errors import OutOfStock
from bookshop.models import Sale

# A permission of our own, which ``includeme`` declares.
SALES_RECORD: Final = "sales.record"


def record_sale(session: Session, access: Access, book_id: UUID, copies: int = 1) -> Sale:
    """Sell copies of a book at its price. Raises ``NotFound`` and ``OutOfStock``."""
    book = locked_book(session, book_id)
    if book.stock < copies:
        raise OutOfStock(book.stock)
    book.stock -= copies
    sale = Sale(book_id=book.id, seller_id=access.person.id, copies=copies, price_cents=book.price_cents)
    session.add(sale)
    session.flush()
    return sale
