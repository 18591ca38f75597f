"""The books of one shop. These functions know nothing of HTTP: views, scripts and pshell call them."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.access import Access

from bookshop.content import BookContent
from bookshop.errors import NotFound, NotOwner
from bookshop.models import Book


def list_books(session: Session, *, after: UUID | None = None, limit: int | None = None) -> list[Book]:
    """Return books in the order in which they were added. ``after`` is the last id of the page before."""
    statement = select(Book).order_by(Book.id).limit(limit)
    return list(session.scalars(statement if after is None else statement.where(Book.id > after)))


def get_book(session: Session, book_id: UUID, *, lock: bool = False) -> Book:
    """Return one book. ``lock`` keeps it from others until the transaction ends. Raises ``NotFound``."""
    book = session.get(Book, book_id, with_for_update=lock)
    if book is None:
        raise NotFound
    return book


def add_book(session: Session, access: Access, content: BookContent) -> Book:
    """Add a book that the access's person owns."""
    book = Book(owner_id=access.person.id, **content.model_dump())
    session.add(book)
    session.flush()
    return book


def change_book(session: Session, access: Access, book_id: UUID, change: Callable[[BookContent], BookContent]) -> Book:
    """Change a book's content. Raises ``NotFound`` and ``NotOwner``."""
    book = get_book(session, book_id, lock=True)
    if book.owner_id != access.person.id and not access.may(Permission.CONTENT_EDIT_ANY):
        raise NotOwner
    # The stored content is not checked: only changed fields must follow the present rules.
    before = BookContent.model_construct(title=book.title, price_cents=book.price_cents, stock=book.stock)
    for name, value in change(before).model_dump().items():
        setattr(book, name, value)
    session.flush()
    return book
