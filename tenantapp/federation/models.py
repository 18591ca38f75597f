"""The models of the user database for the identity providers of tenants, and for the people they vouch for."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tenantapp.identity.models import LOGIN_LENGTH, NAME_LENGTH, Role, Tenant, User, UserBase
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow

ISSUER_LENGTH: Final = 1000
CLIENT_LENGTH: Final = 500
CLAIM_LENGTH: Final = 100
GROUP_LENGTH: Final = 255
SUBJECT_LENGTH: Final = 255  # OpenID Connect Core 1.0, section 2
EXTERNAL_ID_LENGTH: Final = 255
DOMAIN_LENGTH: Final = 253  # RFC 1035, section 2.3.4, as text
CHALLENGE_LENGTH: Final = 43
KEY_LENGTH: Final = 800  # of a name in lower case, which may be longer than the name


class IdentityProvider(UserBase):
    """The provider of OpenID Connect that vouches for a tenant's people.

    ``client_secret`` is stored as ``identity.encrypted`` does. ``groups_claim`` names the claim with a person's groups,
    and ``default_role`` is what everybody gets for whom the provider vouches. ``factor_values`` are separated by
    spaces: if ``acr`` is one of them, or ``amr`` has one, the provider has seen a second factor. With
    ``only_provisioned``, nobody comes in of whom the directory has not told; it is set when the directory first tells
    of somebody, and stays when it tells of nobody any more. Since ``admission_decided``, only an administrator changes
    it.
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
    only_provisioned: Mapped[bool] = mapped_column(default=False, server_default=false())
    admission_decided: Mapped[bool] = mapped_column(default=False, server_default=false())
    roles: Mapped[list["ProviderRole"]] = relationship(order_by="ProviderRole.group", cascade="all, delete-orphan")


class ProviderRole(UserBase):
    """Whom the provider says to be in a group gets this role."""

    __tablename__ = "identity_provider_roles"

    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"), primary_key=True)
    group: Mapped[str] = mapped_column("group_name", String(GROUP_LENGTH), primary_key=True)
    role: Mapped[str] = mapped_column(ForeignKey(Role.name, ondelete="CASCADE"), primary_key=True)


class FederatedIdentity(UserBase):
    """A provider knows a person by this subject. Neither a login nor an address of mail finds them.

    ``roles`` are those that the person has from the provider, separated by spaces. With ``shut_out``, the directory has
    said that the person is not to come in, or has removed them, and they stay out until it tells of them again.
    """

    __tablename__ = "federated_identities"

    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(SUBJECT_LENGTH), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    roles: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    shut_out: Mapped[bool] = mapped_column(default=False, server_default=false())
    user: Mapped[User] = relationship()


class ProvisioningToken(UserBase):
    """With it, the directory behind a provider says who is there, by SCIM. Only the SHA-256 of it is stored."""

    __tablename__ = "provisioning_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ProvisionedPerson(UserBase):
    """A person as the directory of a tenant describes them by SCIM. ``document`` is what we only give back.

    ``user_name_key`` is ``user_name`` as it is compared. ``roles`` are those that the person has from the directory,
    with spaces between them, until the person is linked with a ``FederatedIdentity``, which then has them.
    """

    __tablename__ = "provisioned_people"
    __table_args__ = (
        UniqueConstraint("provider_id", "user_name_key"),
        UniqueConstraint("provider_id", "external_id"),
        UniqueConstraint("provider_id", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    user_name: Mapped[str] = mapped_column(String(LOGIN_LENGTH))
    user_name_key: Mapped[str] = mapped_column(String(KEY_LENGTH))
    external_id: Mapped[str | None] = mapped_column(String(EXTERNAL_ID_LENGTH))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    active: Mapped[bool] = mapped_column(default=True)
    roles: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    version: Mapped[int] = mapped_column(default=1)
    user: Mapped[User] = relationship()


class ProvisionedGroup(UserBase):
    """A group of the directory. Its name, or what the directory calls it itself, may give a role: ``ProviderRole``."""

    __tablename__ = "provisioned_groups"
    __table_args__ = (Index("ix_provisioned_groups_provider_id_display_name_key", "provider_id", "display_name_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey(IdentityProvider.id, ondelete="CASCADE"))
    display_name: Mapped[str] = mapped_column(String(GROUP_LENGTH))
    display_name_key: Mapped[str] = mapped_column(String(KEY_LENGTH))
    external_id: Mapped[str | None] = mapped_column(String(EXTERNAL_ID_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    version: Mapped[int] = mapped_column(default=1)


class ProvisionedGroupMember(UserBase):
    """A person of the directory is in a group of it."""

    __tablename__ = "provisioned_group_members"

    group_id: Mapped[UUID] = mapped_column(ForeignKey(ProvisionedGroup.id, ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[UUID] = mapped_column(
        ForeignKey(ProvisionedPerson.id, ondelete="CASCADE"), primary_key=True, index=True
    )


class TenantDomain(UserBase):
    """A tenant claims a domain of mail addresses. It is the tenant's while ``verified_at`` says since when.

    ``name`` is in lower case and in ASCII (IDNA). ``challenge`` is what the record in the DNS has to say. With
    ``capture``, who has an address of the domain registers by the tenant's provider alone. A worker looks for the
    record at ``check_at``; since ``missing_since`` it is not there.
    """

    __tablename__ = "tenant_domains"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(DOMAIN_LENGTH))
    challenge: Mapped[str] = mapped_column(String(CHALLENGE_LENGTH))
    capture: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    missing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    check_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)


IS_VERIFIED: Final = TenantDomain.verified_at.is_not(None)
# A domain is verified for one tenant only.
Index(
    "uq_tenant_domains_verified_name",
    TenantDomain.name,
    unique=True,
    postgresql_where=IS_VERIFIED,
    sqlite_where=IS_VERIFIED,
)
