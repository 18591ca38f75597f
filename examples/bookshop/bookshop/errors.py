"""What can go wrong in a bookshop.

BookshopError
+-- NotFound        no such book in this shop
+-- NotOwner        the book is somebody else's, and the person is not an editor
+-- OutOfStock      fewer copies are left than were to be sold; `stock` says how many
"""


class BookshopError(Exception):
    """Base of the errors. ``str(error)`` is a sentence that may be shown to the person."""


class NotFound(BookshopError):
    """There is no such book in this shop."""

    def __init__(self) -> None:
        super().__init__("There is no such book.")


class NotOwner(BookshopError):
    """Only its owner and editors may change a book."""

    def __init__(self) -> None:
        super().__init__("Only its owner or an editor may change this book.")


class OutOfStock(BookshopError):
    """Nothing was sold."""

    def __init__(self, stock: int) -> None:
        super().__init__(f"Only {stock} are left." if stock else "None are left.")
        self.stock = stock
