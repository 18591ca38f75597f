"""The models of the user database: people, groups, roles, tenants, grants, web sessions, API tokens, audit trail."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tenantapp.identity.epochs import EPOCH_LENGTH, new_epoch
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.models import NAMING_CONVENTION

NAME_LENGTH = 200
REASON_LENGTH = 500
LOGIN_LENGTH = 254  # enough for any e-mail address (RFC 5321, section 4.5.3.1.3, without the brackets)
SLUG_LENGTH = 63
ADDRESS_LENGTH = 100


class UserBase(DeclarativeBase):
    """Base class of every model of the user database."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class User(UserBase):
    """A person. ``login`` is normalized, see ``names.normalize_login``.

    ``login_skeleton`` is what the login looks like, see ``look_alikes``. It is null for people whom an older version of
    the program has made, until ``tenantapp init``, and for those whose login looks like that of somebody before them.

    ``mail_address`` is only stored once it is confirmed. A password that is ``initial`` was set by somebody else, and
    has to be changed at its first use. With ``identity_provider_id``, this provider of a tenant has made the person,
    and vouches for all of their account. With ``disabled_by_provider``, it is the one who disabled the account, and may
    enable it again. With ``service_tenant_id`` it is a service account of this tenant: a program, which has API tokens
    and does not sign in.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(
            "service_tenant_id IS NULL OR (password_hash IS NULL AND NOT operator)",
            name="service_accounts_do_not_sign_in",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    login: Mapped[str] = mapped_column(String(LOGIN_LENGTH), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    enabled: Mapped[bool] = mapped_column(default=True)
    operator: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    service_tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    mail_address: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH), unique=True)
    password_set_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    password_initial: Mapped[bool] = mapped_column(default=False, server_default=false())
    login_skeleton: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    identity_provider_id: Mapped[UUID | None] = mapped_column(index=True)
    disabled_by_provider: Mapped[bool] = mapped_column(default=False, server_default=false())


class Group(UserBase):
    """People who are granted roles together."""

    __tablename__ = "groups"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    members: Mapped[list[User]] = relationship(secondary="group_members", order_by=User.login)


class GroupMember(UserBase):
    """A person is in a group."""

    __tablename__ = "group_members"

    group_id: Mapped[UUID] = mapped_column(ForeignKey(Group.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True)


class Role(UserBase):
    """A named set of permissions. If a person has several roles, the one with the highest rank is shown first."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    rank: Mapped[int] = mapped_column(unique=True)
    permissions: Mapped[list["RolePermission"]] = relationship(
        order_by="RolePermission.permission", cascade="all, delete-orphan"
    )


class RolePermission(UserBase):
    """A role has a permission."""

    __tablename__ = "role_permissions"

    role: Mapped[str] = mapped_column(ForeignKey(Role.name, ondelete="CASCADE"), primary_key=True)
    permission: Mapped[str] = mapped_column(String(100), primary_key=True)


class AppliedDeclaration(UserBase):
    """``tenantapp init`` has added a role that the domain declares, or a permission to a role.

    For the role itself, ``permission`` is empty. The role may be gone since.
    """

    __tablename__ = "declared_rights"

    role: Mapped[str] = mapped_column(String(50), primary_key=True)
    permission: Mapped[str] = mapped_column(String(100), primary_key=True)


class TenantState(StrEnum):
    """The state of a tenant. Only an active tenant is served."""

    CREATING = "creating"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class Tenant(UserBase):
    """A customer, and the place of its database. ``revision`` is the Alembic revision that it was last migrated to.

    A deleted tenant keeps its slug and can be undeleted, until it is removed after ``purge_after``. The tenant is not
    served until ``migrating_until``, because its database is being migrated; the migration postpones this time while it
    works. With ``migrating_copied``, the migration has made a copy of the database, which may be put back. ``epoch``
    changes whenever the content of the database may go back, see ``epochs``. Older versions of the program write none.
    The next four say what the tenant's administrators ask of those who work in it. A branch is a copy of another tenant
    that is deleted at ``expires_at``. Other tenants have none. The last five are of the tenant's quotas.
    """

    __tablename__ = "tenants"
    __table_args__ = (
        CheckConstraint("state IN ('creating', 'active', 'suspended', 'deleted')", name="state"),
        UniqueConstraint("server", "database"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    slug: Mapped[str] = mapped_column(String(SLUG_LENGTH), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    state: Mapped[str] = mapped_column(String(20), default=TenantState.CREATING)
    state_reason: Mapped[str | None] = mapped_column(String(REASON_LENGTH))
    server: Mapped[str] = mapped_column(String(31))
    database: Mapped[str] = mapped_column(String(63))
    revision: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    purge_after: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    migrating_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    migrating_copied: Mapped[bool] = mapped_column(default=False, server_default=false())
    epoch: Mapped[str | None] = mapped_column(String(EPOCH_LENGTH), default=new_epoch)
    second_factor_required: Mapped[bool] = mapped_column(default=False, server_default=false())
    single_sign_on_required: Mapped[bool] = mapped_column(default=False, server_default=false())
    impersonation_forbidden: Mapped[bool] = mapped_column(default=False, server_default=false())
    identity_provider_id: Mapped[UUID | None]
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    storage_quota: Mapped[int | None] = mapped_column(BigInteger)
    storage_used: Mapped[int | None] = mapped_column(BigInteger)
    storage_measured_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    storage_full: Mapped[bool] = mapped_column(default=False, server_default=false())
    connection_quota: Mapped[int | None]

    @hybrid_property
    def is_served(self) -> bool:
        """Return whether the tenant's database is used, migrated and moved: it is made, and not deleted."""
        return self.state in (TenantState.ACTIVE, TenantState.SUSPENDED)

    @is_served.inplace.expression
    @classmethod
    def _is_served(cls) -> ColumnElement[bool]:
        return cls.state.in_((TenantState.ACTIVE, TenantState.SUSPENDED))


class Grant(UserBase):
    """A person or a group has a role in a tenant. There is a grant for each of their roles."""

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_grantee"),
        UniqueConstraint("tenant_id", "user_id", "role"),
        UniqueConstraint("tenant_id", "group_id", "role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    group_id: Mapped[UUID | None] = mapped_column(ForeignKey(Group.id, ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(ForeignKey(Role.name))
    tenant: Mapped[Tenant] = relationship()
    user: Mapped[User | None] = relationship()
    group: Mapped[Group | None] = relationship()


class Invitation(UserBase):
    """A tenant asks somebody to become a member, by their address of mail or by their login. It waits for an answer.

    One by login is only for a person who was there before it. ``sent_at`` is when the last mail about it was written.
    An invitation that was accepted, declined or revoked is deleted.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("(mail_address IS NULL) <> (login IS NULL)", name="one_invited"),
        UniqueConstraint("tenant_id", "mail_address", "role"),
        UniqueConstraint("tenant_id", "login", "role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    mail_address: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH), index=True)
    login: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH), index=True)
    role: Mapped[str] = mapped_column(ForeignKey(Role.name, ondelete="CASCADE"))
    invited_by_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tenant: Mapped[Tenant] = relationship()
    invited_by: Mapped[User | None] = relationship()


class WebSession(UserBase):
    """A signed-in browser. Only the SHA-256 of the id in its cookie is stored.

    ``factors`` are what the person proved who they are by, with spaces between them, and ``authenticated_at`` is when
    they last did. An operator who works as somebody else is the ``impersonator``; ``read_only`` lets them
    change nothing.
    """

    __tablename__ = "web_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey(Tenant.id, ondelete="SET NULL"), index=True)
    user_agent: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    authenticated_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=utcnow)
    factors: Mapped[str] = mapped_column(String(100), default="", server_default="")
    identity_provider_id: Mapped[UUID | None]
    impersonator_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    impersonator: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH))
    impersonation_reason: Mapped[str | None] = mapped_column(String(REASON_LENGTH))
    read_only: Mapped[bool] = mapped_column(default=False, server_default=false())
    tenant: Mapped[Tenant | None] = relationship()


class SignInChallenge(UserBase):
    """A sign-in that waits for its next step, or an authenticator that is to sign something. It is used once.

    Only the SHA-256 of its token is stored. ``factors`` are what was proved so far, with spaces between them. The
    person is not known yet if they sign in by a passkey alone.
    """

    __tablename__ = "sign_in_challenges"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    factors: Mapped[str] = mapped_column(String(100), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    attempts: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class OneTimeLink(UserBase):
    """A link that lets its holder do one thing once. Only the SHA-256 of its token is stored.

    ``user_id`` is the person whom it is about, if they are known. ``mail_address`` is where it was sent.
    """

    __tablename__ = "one_time_links"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    mail_address: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ApiToken(UserBase):
    """A program acts for a person in one tenant. Only the SHA-256 of the token is stored.

    ``permissions`` are names separated by spaces. The token permits those of them that the person has at present.
    ``factors`` and ``identity_provider_id`` are those of the web session that the token was made in.
    """

    __tablename__ = "api_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    permissions: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    factors: Mapped[str] = mapped_column(String(100), default="", server_default="")
    identity_provider_id: Mapped[UUID | None]
    user: Mapped[User] = relationship()


class AuditEntry(UserBase):
    """An entry of the audit trail, see ``audit``. It has no foreign keys, so it outlives both tenant and person.

    A worker seals it later: the last five columns are the room ``audit``'s, and null until then. Triggers of the
    database refuse other changes.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_tenant_id_position", "tenant_id", "position"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    actor_id: Mapped[UUID | None]
    actor: Mapped[str] = mapped_column(String(300), index=True)
    action: Mapped[str] = mapped_column(String(100), index=True)
    tenant_id: Mapped[UUID | None]
    slug: Mapped[str | None] = mapped_column(String(SLUG_LENGTH), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    request_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(ADDRESS_LENGTH))
    position: Mapped[int | None] = mapped_column(BigInteger)
    previous: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    erased: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
