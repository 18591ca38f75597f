"""The tables: a database of people, and a database for each tenant."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

AwareDateTime = DateTime(timezone=True)


class PeopleBase(DeclarativeBase):
    """Base of what is in the database of people."""


class TenantBase(DeclarativeBase):
    """Base of what is in a tenant's database."""


class User(PeopleBase):
    """A person."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(Text, unique=True)
    enabled: Mapped[bool]


class Tenant(PeopleBase):
    """A customer, and the name of its database."""

    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    database: Mapped[str] = mapped_column(Text)


class Grant(PeopleBase):
    """What a person may do in a tenant."""

    __tablename__ = "grants"
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), primary_key=True)
    permission: Mapped[str] = mapped_column(Text, primary_key=True)


class WebSession(PeopleBase):
    """A signed-in browser."""

    __tablename__ = "web_sessions"
    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id))
    expires_at: Mapped[datetime] = mapped_column(AwareDateTime)


class Node(TenantBase):
    """A piece of text."""

    __tablename__ = "nodes"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(AwareDateTime)
    updated_at: Mapped[datetime] = mapped_column(AwareDateTime)
