"""A chain of bookshops: each shop is a tenant, with books and sales in a database of its own."""

from pyramid.config import Configurator

from bookshop.books import SALES_RECORD, OutOfStock, books, sales


def includeme(config: Configurator) -> None:
    """Declare what there is. tenantapp calls this at start-up."""
    config.add_problem(OutOfStock, 409, "out_of_stock", members=("stock",))
    config.add_permission(SALES_RECORD, "Sell books", held_by=["author"])
    config.add_resource(books)
    config.add_resource(sales)
