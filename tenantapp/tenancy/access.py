"""An access says who makes a request, for which tenant, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tenantapp.tenancy.errors import NotWhileImpersonating, TenancyError, TenantRequired, TokenNotAllowed

ACTOR: Final = "actor"  # the key in a session's ``info`` of the ``Actor`` who writes in it
NOBODY: Final = "not signed in"  # the name of an actor; no login has spaces, so no person has it
BY_OPERATOR: Final = " (operator)"  # after the name that the tenant sees of a person as whom an operator works
SHOWN_LENGTH: Final = 200  # characters of a name in the changes of a tenant
# What proves who somebody is beside a password. A passkey is one also alone: then it has verified the person itself.
# Of a provider (``sso``) it is one that the provider has seen, where the tenant's administrator trusts it.
SECOND_FACTORS: Final = frozenset({"totp", "passkey", "recovery_code", "sso_factor"})


@dataclass(frozen=True, slots=True)
class Person:
    """The person who makes a request."""

    id: UUID
    login: str
    name: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change. ``name`` is a login, or ``local:NAME`` for a user of this machine who has not signed in.
    ``shown`` is the person's name, for others in the tenant: a login may be an address that is nobody's business.

    ``address`` is the client's address, as the server and the proxies that it trusts report it. ``api_token_id`` is set
    if the person acts by an API token. ``impersonator`` is the login of the operator who in truth acts in their name.
    """

    name: str
    id: UUID | None = None
    request_id: str | None = None
    address: str | None = None
    api_token_id: UUID | None = None
    shown: str | None = None
    impersonator: str | None = None


@dataclass(frozen=True, slots=True)
class Impersonation:
    """An operator, named by login, works as the person of an access. With ``read_only`` they change nothing."""

    operator: str
    reason: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class TenantPlace:
    """A tenant and the place of its database: the name of a server in the settings, and of a database on it.

    ``epoch`` is the incarnation of its content, see ``identity.epochs``. It is empty where it was not read.
    ``connection_quota`` is the tenant's own; None: that of the settings counts.
    """

    id: UUID
    slug: str
    name: str
    server: str
    database: str
    epoch: str = field(default="", compare=False)
    connection_quota: int | None = field(default=None, compare=False)


TenantCondition = Literal["active", "suspended", "migrating"]


@dataclass(frozen=True, slots=True)
class GrantedTenant:
    """A tenant that a person has roles in, the highest rank first. ``revision`` is that of its database.

    ``condition`` says whether its calls are carried out now: ``migrating`` ends by itself, ``suspended`` does not.
    """

    id: UUID
    slug: str
    name: str
    roles: tuple[str, ...]
    condition: TenantCondition = "active"
    revision: str | None = None
    identity_provider_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who makes a request, for which tenant, and what they may do. It is read for one request and not kept longer.

    ``tenant`` is set only if its database may be used now; otherwise ``refusal`` says why not. ``selected`` is also set
    while the reason is temporary, such as a migration, or is that the tenant requires a second factor: then there are
    neither roles nor permissions. ``roles`` are the person's roles in it, the highest rank first.
    ``permissions`` is what these permit, or with ``api_token_id`` the part of it that the API token has. ``tenants``
    are the tenants that the person has a role in; it is None if they were not read. ``factors`` are what the person has
    proved who they are by, such as ``password`` and ``totp``, and ``authenticated_at`` is when they last did. With
    ``identity_provider_id``, the provider of a tenant has vouched for them: that counts in its tenant and nowhere else.
    They may change their account (``owns_account``) only if it has made them as well. With ``impersonation``,
    an operator works as the person, and the factors are the operator's. With ``storage_full``, nothing may be added to
    the tenant's data.
    """

    person: Person
    tenant: TenantPlace | None = None
    selected: GrantedTenant | None = None
    refusal: TenancyError = field(default_factory=TenantRequired, compare=False)
    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    operator: bool = False
    web_session_id: UUID | None = None
    api_token_id: UUID | None = None
    expires_at: datetime | None = None
    tenants: tuple[GrantedTenant, ...] | None = None
    factors: frozenset[str] = frozenset()
    authenticated_at: datetime | None = None
    identity_provider_id: UUID | None = None
    owns_account: bool = True
    impersonation: Impersonation | None = None
    storage_full: bool = False

    @property
    def has_second_factor(self) -> bool:
        """Return whether the person has proved who they are by more than a password."""
        return has_second_factor(self.factors)

    @property
    def only_reads(self) -> bool:
        """Return whether an operator works as the person, and changes nothing."""
        return self.impersonation is not None and self.impersonation.read_only

    def require_tenant(self) -> TenantPlace:
        """Return the tenant of this request. Raises ``refusal`` if there is none."""
        if self.tenant is None:
            raise self.refusal
        return self.tenant

    def refuse_tokens(self) -> None:
        """Raise ``TokenNotAllowed`` if the request was made with an API token."""
        if self.api_token_id is not None:
            raise TokenNotAllowed

    def refuse_impersonation(self) -> None:
        """Raise ``NotWhileImpersonating`` if an operator works as the person."""
        if self.impersonation is not None:
            raise NotWhileImpersonating

    def may(self, permission: str) -> bool:
        """Return whether the person has this permission in the tenant."""
        return permission in self.permissions


def has_second_factor(factors: Iterable[str]) -> bool:
    """Return whether one of these factors is more than a password."""
    return not SECOND_FACTORS.isdisjoint(factors)


def reachable(tenants: Iterable[GrantedTenant], identity_provider_id: UUID | None) -> tuple[GrantedTenant, ...]:
    """Return those of a person's tenants that this provider counts in, or all of them if no provider has vouched."""
    return tuple(each for each in tenants if identity_provider_id in (None, each.identity_provider_id))
