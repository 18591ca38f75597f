"""The tables of the user database about the fleet, besides operations."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.identity.models import UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow


class Installation(UserBase):
    """The only row. Its id marks what this installation makes on servers that others may use too.

    ``oldest_program`` is the revision of the user history that programs must know: see ``histories.oldest_program``.
    """

    __tablename__ = "installation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    oldest_program: Mapped[str | None] = mapped_column(String(32))


class WarmDatabase(UserBase):
    """A database that is ready before its tenant exists. It carries the id of the future tenant."""

    __tablename__ = "warm_databases"
    __table_args__ = (UniqueConstraint("server", "database"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(String(31))
    database: Mapped[str] = mapped_column(String(63))
    template: Mapped[str] = mapped_column(String(63))
    revision: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
