"""What each tenant has used in each hour, as rows of the user database."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, String
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
