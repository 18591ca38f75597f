"""What a client writes of a book and of a sale."""

from typing import Annotated

from pydantic import Field
from tenantapp.content import Content, Id, one_line

from bookshop.models import TITLE_LENGTH

# A number from JSON is strictly an integer; the bounds keep it within a column of four bytes.
Cents = Annotated[int, Field(ge=0, le=100_000_000)]
Copies = Annotated[int, Field(ge=0, le=1_000_000)]


class BookContent(Content):
    """The part of a book that its owner decides."""

    title: Annotated[str, Field(max_length=TITLE_LENGTH), one_line(TITLE_LENGTH)]
    price_cents: Cents
    stock: Copies = 0


class NewSale(Content):
    """``POST /sales``."""

    book_id: Id
    copies: int = Field(1, ge=1, le=1000)
