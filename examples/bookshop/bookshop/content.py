"""The fields of a book and of a sale that a client writes."""

from typing import Annotated

from pydantic import Field
from tenantapp.content import Content, Id, example, one_line

from bookshop.models import TITLE_LENGTH

# Strict types accept only integers from JSON. The bounds keep them within a column of four bytes.
Cents = Annotated[int, Field(ge=0, le=100_000_000)]
Copies = Annotated[int, Field(ge=0, le=1_000_000)]


class BookContent(Content, json_schema_extra=example({"title": "Emma", "price_cents": 1250, "stock": 3})):
    """The fields of a book that its owner sets."""

    title: Annotated[str, Field(max_length=TITLE_LENGTH), one_line(TITLE_LENGTH)]
    price_cents: Cents
    stock: Copies = 0


class NewSale(Content):
    """The body of ``POST /sales``."""

    book_id: Id
    copies: int = Field(1, ge=1, le=1000)
