"""The errors of a bookshop.

BookshopError
+-- NotFound        this shop has no such book
+-- NotOwner        somebody else owns the book, and the person is not an editor
+-- OutOfStock      too few copies are left; `stock` is their number
"""


class BookshopError(Exception):
    """Base of the errors. ``str(error)`` is a sentence that may be shown to the person."""


class NotFound(BookshopError):
    """The shop has no such book."""

    def __init__(self) -> None:
        super().__init__("There is no such book.")


class NotOwner(BookshopError):
    """The person may not change this book."""

    def __init__(self) -> None:
        super().__init__("Only its owner or an editor may change this book.")


class OutOfStock(BookshopError):
    """Too few copies are left, so nothing was sold."""

    def __init__(self, stock: int) -> None:
        super().__init__(f"Only {stock} are left." if stock else "None are left.")
        self.stock = stock
