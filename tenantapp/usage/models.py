"""What each tenant has used in each hour, and how long statements took, as rows of the user database."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import SLUG_LENGTH, UserBase
from tenantapp.sql.times import UtcDateTime


class TenantUsage(UserBase):
    """What a tenant has used in the hour that begins at ``hour``.

    The row outlives its tenant, for whoever writes the bill. So there is no foreign key, and ``slug`` is the last one
    that the tenant had in this hour. ``microseconds`` is the whole time of the requests, ``database_microseconds`` the
    part of it in which they waited for the tenant's database. Milliseconds would not do: a process adds to the row
    every few seconds, and a request to a small tenant takes less than one.
    """

    __tablename__ = "tenant_usage"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)
    slug: Mapped[str] = mapped_column(String(SLUG_LENGTH))
    requests: Mapped[int] = mapped_column(BigInteger)
    microseconds: Mapped[int] = mapped_column(BigInteger)
    database_microseconds: Mapped[int] = mapped_column(BigInteger)
    bytes_sent: Mapped[int] = mapped_column(BigInteger)
    rows_written: Mapped[int] = mapped_column(BigInteger)


class Databases(StrEnum):
    """Which databases a statement was sent to."""

    USER = "user"
    TENANTS = "tenants"


class StatementUsage(UserBase):
    """How long a statement of requests took in the hour that begins at ``hour``, by all processes of all machines.

    ``database`` is one of ``Databases``. ``digest`` is that of the text, which has no values in it.
    """

    __tablename__ = "statement_usage"

    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    database: Mapped[str] = mapped_column(String(20), primary_key=True)
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    calls: Mapped[int] = mapped_column(BigInteger)
    microseconds: Mapped[int] = mapped_column(BigInteger)
    worst_microseconds: Mapped[int] = mapped_column(BigInteger)
