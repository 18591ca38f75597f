"""What is used, as the API shows it."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer
from tenantapp.usage.models import Databases


class HourOfUsage(Answer):
    """What was used in the hour that begins at ``hour``: by one tenant, or by all together.

    ``milliseconds`` is the whole time of the requests, ``database_milliseconds`` what they waited of it for databases
    of tenants.
    """

    hour: datetime
    requests: int
    milliseconds: int
    database_milliseconds: int
    bytes_sent: int
    rows_written: int


class TenantUsage(HourOfUsage):
    """What a tenant has used in a period. ``hour`` is the last one in which it was used.

    ``slug`` is its present one, or the last one of a tenant that was removed.
    """

    tenant_id: UUID
    slug: str


class Statement(Answer):
    """How often a statement was executed for requests in a period, and how long that took.

    ``statement`` is its text with a question mark in the place of each value.
    """

    database: Databases
    statement: str
    calls: int
    milliseconds: float
    worst_milliseconds: float
