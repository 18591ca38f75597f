"""What a client writes of a book and of a sale."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from tenantapp.api.json import Body

# A number from JSON is strictly an integer; the bounds keep it within a column of four bytes.
Cents = Annotated[int, Field(ge=0, le=100_000_000)]
Copies = Annotated[int, Field(ge=0, le=1_000_000)]


class BookContent(Body):
    """The part of a book that its owner decides."""

    title: str = Field(min_length=1, max_length=200)
    price_cents: Cents
    stock: Copies = 0


class NewSale(Body):
    """``POST /sales``."""

    # Bodies are strict, and JSON has no ids: this one may come as text.
    book_id: UUID = Field(strict=False)
    copies: int = Field(1, ge=1, le=1000)
