"""What the user database knows of the fleet, the operations apart."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow


class Installation(UserBase):
    """The one row whose id marks what this installation makes on a server that others may use as well."""

    __tablename__ = "installation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)


class WarmDatabase(UserBase):
    """A database that is ready for a tenant that is yet to be made, and carries that tenant's id already."""

    __tablename__ = "warm_databases"
    __table_args__ = (UniqueConstraint("server", "database"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(String(31))
    database: Mapped[str] = mapped_column(String(63))
    template: Mapped[str] = mapped_column(String(63))
    revision: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
