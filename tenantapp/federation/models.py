"""The models of the user database for the identity providers of tenants, and for the people they vouch for."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tenantapp.identity.models import NAME_LENGTH, Role, Tenant, User, UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow

ISSUER_LENGTH: Final = 1000
CLIENT_LENGTH: Final = 500
CLAIM_LENGTH: Final = 100
GROUP_LENGTH: Final = 255
SUBJECT_LENGTH: Final = 255  # OpenID Connect Core 1.0, section 2


class IdentityProvider(UserBase):
    """The provider of OpenID Connect that vouches for a tenant's people.

    ``client_secret`` is stored as ``identity.encrypted`` does. ``groups_claim`` names the claim with a person's groups,
    and ``default_role`` is what everybody gets for whom the provider vouches. ``factor_values`` are separated by
    spaces: if ``acr`` is one of them, or ``amr`` has one, the provider has seen a second factor.
    """

    __tablename__ = "identity_providers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    issuer: Mapped[str] = mapped_column(String(ISSUER_LENGTH))
    client_id: Mapped[str] = mapped_column(String(CLIENT_LENGTH))
    client_secret: Mapped[str | None] = mapped_column(Text)
    groups_claim: Mapped[str] = mapped_column(String(CLAIM_LENGTH))
    default_role: Mapped[str | None] = mapped_column(ForeignKey(Role.name, ondelete="SET NULL"))
    factor_values: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    roles: Mapped[list["ProviderRole"]] = relationship(order_by="ProviderRole.group", cascade="all, delete-orphan")


class ProviderRole(UserBase):
    """Whom the provider says to be in a group gets this role."""

    __tablename__ = "identity_provider_roles"

    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"), primary_key=True)
    group: Mapped[str] = mapped_column("group_name", String(GROUP_LENGTH), primary_key=True)
    role: Mapped[str] = mapped_column(ForeignKey(Role.name, ondelete="CASCADE"), primary_key=True)


class FederatedIdentity(UserBase):
    """A provider knows a person by this subject. Neither a login nor an address of mail finds them.

    ``roles`` are those that the person has from the provider, separated by spaces.
    """

    __tablename__ = "federated_identities"

    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(SUBJECT_LENGTH), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    roles: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    user: Mapped[User] = relationship()
