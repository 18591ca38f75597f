"""Books and sales over HTTP."""

import csv
import io
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.view import view_config
from tenantapp.answers import Page
from tenantapp.api.json import apply_patch
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, MergePatch, api_view, path_id
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest

from bookshop import books, sales
from bookshop.answers import BookAnswer, BookWithSales, SaleAnswer
from bookshop.content import BookContent, NewSale
from bookshop.models import Book


@api_view("books", "GET", permission=Permission.CONTENT_READ, query=PageQuery, answer=Page[BookAnswer])
def list_books(request: TenantRequest) -> dict[str, Any]:
    """Return a page of books, in the order in which they were added."""
    query: PageQuery = request.checked_query
    shelf = books.list_books(request.tenant_session, after=query.after_id(), limit=query.limit + 1)
    page = page_of(shelf, query.limit, lambda book: str(book.id))
    return {"items": [book_object(request, book) for book in page["items"]], "next": page["next"]}


@api_view(
    "books",
    "POST",
    permission=Permission.CONTENT_CREATE,
    body=BookContent,
    status=201,
    answer=BookAnswer,
    headers=("Location",),
)
def add_book(request: TenantRequest) -> dict[str, Any]:
    """Add a book."""
    book = books.add_book(request.tenant_session, request.access, request.checked_body)
    request.response.location = request.route_path("book", id=book.id)
    return book_object(request, book)


@api_view("book", "GET", permission=Permission.CONTENT_READ, answer=BookWithSales)
def read_book(request: TenantRequest) -> dict[str, Any]:
    """Return one book, and how many copies were sold."""
    book = books.get_book(request.tenant_session, path_id(request))
    return book_object(request, book) | {"sold": book.copies_sold()}


@api_view(
    "book",
    "PATCH",
    permission=Permission.CONTENT_CREATE,
    body=MergePatch[BookContent],
    answer=BookAnswer,
    problems=("not_owner",),
)
def change_book(request: TenantRequest) -> dict[str, Any]:
    """Change a part of a book, by a merge patch."""
    change = partial(apply_patch, request.checked_body)
    book = books.change_book(request.tenant_session, request.access, path_id(request), change)
    return book_object(request, book)


@api_view(
    "sales",
    "POST",
    permission=sales.SALES_RECORD,
    body=NewSale,
    status=201,
    answer=SaleAnswer,
    problems=("not_found", "out_of_stock"),
)
def record_sale(request: TenantRequest) -> dict[str, Any]:
    """Sell a book."""
    body: NewSale = request.checked_body
    sale = sales.record_sale(request.tenant_session, request.access, body.book_id, body.copies)
    total = {"total_cents": sale.copies * sale.price_cents, "currency": request.registry.currency}
    return {"id": sale.id, "book_id": sale.book_id, "copies": sale.copies, **total, "sold_at": sale.sold_at}


@view_config(route_name="price_list", request_method="GET", permission=Permission.CONTENT_READ)
def price_list(request: TenantRequest) -> Response:
    """Return the books as CSV. This is a plain Pyramid view: it is guarded like the others, but writes no JSON."""
    text = io.StringIO()
    rows = csv.writer(text)
    for book in books.list_books(request.tenant_session):
        rows.writerow([book.title, book.price_cents, request.registry.currency])
    return Response(text.getvalue(), content_type="text/csv")


def book_object(request: TenantRequest, book: Book) -> dict[str, Any]:
    """Return a book as the API shows it."""
    return {
        "id": book.id,
        "owner_id": book.owner_id,
        "title": book.title,
        "price_cents": book.price_cents,
        "currency": request.registry.currency,
        "stock": book.stock,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("books", "/books")
    config.add_route("book", f"/books/{ID}")
    config.add_route("price_list", "/books.csv")
    config.add_route("sales", "/sales")
