"""Books and their sales: who may read and change them, and how the page shows them."""

from typing import Annotated, Any, Final

from pydantic import Field
from sqlalchemy import func, select
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, More, Owned, Resource, Translation, Write, content_of
from tenantapp.resources.errors import InvalidReference, ResourceError

from bookshop.models import Book, Sale

Cents = Annotated[int, Field(ge=0, le=100_000_000)]  # within a column of four bytes
Copies = Annotated[int, Field(ge=0, le=1_000_000)]
SALES_RECORD: Final = "sales.record"  # a permission of our own, which `includeme` declares
IN_GERMAN: Final = Translation(
    label="Bücher",
    noun="Buch",
    labels={"title": "Titel", "price_cents": "Preis in Cent", "stock": "Vorrat", "sold": "Verkauft", "owner_id": "Von"},
)


class OutOfStock(ResourceError):
    """Too few copies are left, so nothing was sold."""

    def __init__(self, stock: int) -> None:
        super().__init__(f"Only {stock} are left." if stock else "None are left.")
        self.stock = stock


def copies_sold(page: Any) -> More:
    """Return the member ``sold`` for a page of books."""
    copies = select(func.coalesce(func.sum(Sale.copies), 0)).where(Sale.book_id == page.c.id).correlate(page)
    return More({"sold": copies.scalar_subquery()})


books: Final = Resource(
    "books",
    Book,
    body=content_of(Book, "title", price_cents=Cents, stock=Copies),
    shows=("sold",),
    more=copies_sold,
    types={"sold": int},
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    owner=Owned(Book.owner_id, over=Permission.CONTENT_EDIT_ANY),
    filters={"owner_id": Book.owner_id},
    display=Display(
        icon="book",
        columns=("title", "price_cents", "stock", "sold"),
        labels={"owner_id": "Owner"},
        component="bookshop:page/shelf.js",
        translations={"de": IN_GERMAN},
    ),
)
sales: Final = Resource(
    "sales",
    Sale,
    body=content_of(Sale, "book_id", copies=Annotated[int, Field(ge=1, le=1000)]),
    shows=("price_cents", "seller_id", "sold_at"),
    read=Permission.CONTENT_READ,
    write=SALES_RECORD,
    can=("create",),
    problems=("out_of_stock",),
)


@sales.on("create")
def sell(write: Write[Sale]) -> None:
    """Take copies out of the stock, at the book's price. Others wait for the book until the commit."""
    book = write.session.get(Book, write.row.book_id, with_for_update=True, populate_existing=True)
    if book is None:
        raise InvalidReference("book_id")
    if book.stock < write.row.copies:
        raise OutOfStock(book.stock)
    book.stock -= write.row.copies
    write.row.price_cents, write.row.seller_id = book.price_cents, write.access.person.id
