"""The models that every tenant database has, whatever the domain."""

from typing import Final
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Constraints get names by this convention, so that a migration can drop a constraint by its name on both engines.
# https://alembic.sqlalchemy.org/en/latest/naming.html
NAMING_CONVENTION: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class TenantBase(DeclarativeBase):
    """Base class of every model of a tenant database. A domain derives its models from it."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class TenantIdentity(TenantBase):
    """The single row with the id of the tenant whose data this database holds. Each new connection reads it."""

    __tablename__ = "tenant_identity"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
