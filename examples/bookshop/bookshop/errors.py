"""The errors of a bookshop, beside those of every resource (``tenantapp.resources.errors``)."""

from tenantapp.resources.errors import ResourceError


class OutOfStock(ResourceError):
    """Too few copies are left, so nothing was sold."""

    def __init__(self, stock: int) -> None:
        super().__init__(f"Only {stock} are left." if stock else "None are left.")
        self.stock = stock
