"""Sales over HTTP, and the price list. The views of the books are those of the resource."""

import csv
import io
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.view import view_config
from tenantapp.api.views import api_view
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest

from bookshop import sales
from bookshop.answers import SaleAnswer
from bookshop.books import list_books
from bookshop.content import NewSale


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
    currency = request.registry.domain_settings["bookshop.currency"]
    total = {"total_cents": sale.copies * sale.price_cents, "currency": currency}
    return {"id": sale.id, "book_id": sale.book_id, "copies": sale.copies, **total, "sold_at": sale.sold_at}


@view_config(route_name="price_list", request_method="GET", permission=Permission.CONTENT_READ)
def price_list(request: TenantRequest) -> Response:
    """Return the books as CSV. This is a plain Pyramid view: it is guarded like the others, but writes no JSON."""
    text, currency = io.StringIO(), request.registry.domain_settings["bookshop.currency"]
    rows = csv.writer(text)
    for book in list_books(request.tenant_session):
        rows.writerow([book.title, book.price_cents, currency])
    return Response(text.getvalue(), content_type="text/csv")


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("price_list", "/books.csv")
    config.add_route("sales", "/sales")
