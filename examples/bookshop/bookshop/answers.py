"""A sale as the API shows it. Requests do not check their answers; the tests do."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer


class SaleAnswer(Answer):
    """A sale. ``total_cents`` is in hundredths of ``currency``."""

    id: UUID
    book_id: UUID
    copies: int
    total_cents: int
    currency: str
    sold_at: datetime
