"""A chain of bookshops: each shop is a tenant, with books and sales in a database of its own."""

import re

from pyramid.config import Configurator
from tenantapp.api import PREFIX

from bookshop import errors
from bookshop.books import books
from bookshop.sales import SALES_RECORD


def currency_code(value: str) -> str:
    """Return a currency code of ISO 4217. Raises ``ValueError``."""
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError("must be a currency of three capital letters")
    return value


def includeme(config: Configurator) -> None:
    """Add our setting, map our error to status and code, and add our permission, resource and views."""
    config.add_setting("bookshop.currency", currency_code, "EUR", "the currency that prices are in")
    config.add_problem(errors.OutOfStock, 409, "out_of_stock", members=("stock",))
    config.add_permission(SALES_RECORD, "Sell books", held_by=["author"])
    config.add_resource(books)
    config.include("bookshop.views", route_prefix=PREFIX)
    config.scan("bookshop.views")
