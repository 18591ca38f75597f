"""The books of one shop: who may read and change them, and how they are listed."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, More, Owned, Resource, Translation
from tenantapp.resources.errors import NotFound

from bookshop.content import BookContent
from bookshop.models import Book, Sale


def copies_sold(page: Any) -> More:
    """Return the member ``sold`` for a page of books."""
    copies = select(func.coalesce(func.sum(Sale.copies), 0)).where(Sale.book_id == page.c.id).correlate(page)
    return More({"sold": copies.scalar_subquery()})


IN_GERMAN: Final = Translation(
    label="Bücher",
    noun="Buch",
    labels={
        "title": "Titel",
        "price_cents": "Preis in Cent",
        "stock": "Vorrat",
        "sold": "Verkauft",
        "owner_id": "Eigentümer",
    },
)
books: Final = Resource(
    "books",
    Book,
    body=BookContent,
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


def list_books(session: Session) -> list[Book]:
    """Return all books in the order in which they were added."""
    return list(session.scalars(select(Book).order_by(Book.id)))


def locked_book(session: Session, book_id: UUID) -> Book:
    """Return one book, and keep it from others until the transaction ends. Raises ``NotFound``."""
    book = session.get(Book, book_id, with_for_update=True)
    if book is None:
        raise NotFound(books.noun)
    return book
