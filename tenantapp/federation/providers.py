"""Configure the identity provider of a tenant, and require it or not. Each change is in the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from tenantapp.federation.ending import end_provider
from tenantapp.federation.errors import (
    NoIdentityProvider,
    SingleSignOnInUse,
    SingleSignOnUntried,
)
from tenantapp.federation.issuers import ClientOf
from tenantapp.federation.models import IdentityProvider, ProviderRole
from tenantapp.identity.audit import record
from tenantapp.identity.encrypted import CLEAR, decrypt_by_any, encrypt
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.names import clean_name, clean_reason
from tenantapp.identity.roles import check_held, get_role, require_admin
from tenantapp.identity.tenants import get_tenant, locked_tenant, locking
from tenantapp.tenancy.access import Access, TenantPlace

PURPOSE: Final = "identity provider"  # of the key that encrypts the client's secret


@dataclass(frozen=True, slots=True)
class ProviderContent:
    """What an administrator says of the provider. ``client_secret`` None keeps the one that is there.

    ``roles`` are pairs of a group, as the provider names it, and a role.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str | None
    groups_claim: str
    default_role: str | None
    factor_values: Sequence[str]
    roles: Sequence[tuple[str, str]]


def get_provider(session: Session, tenant_id: UUID, *, for_update: bool = False) -> IdentityProvider:
    """Return the provider of a tenant. Raises ``NoIdentityProvider``."""
    if for_update:
        locked_tenant(session, tenant_id)
    statement = select(IdentityProvider).where(IdentityProvider.tenant_id == tenant_id)
    provider = session.scalar(statement.options(selectinload(IdentityProvider.roles)))
    if provider is None:
        raise NoIdentityProvider
    return provider


def provider_at(session: Session, slug: str) -> tuple[Tenant, IdentityProvider]:
    """Return an active tenant and its provider, by the tenant's slug. Raises ``NoIdentityProvider``."""
    found = session.execute(
        select(Tenant, IdentityProvider)
        .join(IdentityProvider, IdentityProvider.tenant_id == Tenant.id)
        .where(Tenant.slug == slug, Tenant.state == TenantState.ACTIVE)
    ).one_or_none()
    if found is None:
        raise NoIdentityProvider
    return found[0], found[1]


def client_of(provider: IdentityProvider, secrets: Sequence[str | None]) -> ClientOf:
    """Return what we are to the provider. ``secrets`` are as in ``encrypted.secrets_of``. Raises ``Undecipherable``."""
    stored = provider.client_secret
    opened = None if stored is None else decrypt_by_any(stored, secrets, PURPOSE, str(provider.id))
    return ClientOf(provider.client_id, opened)


def set_provider(session: Session, access: Access, content: ProviderContent, secret: str | None) -> IdentityProvider:
    """Configure the provider of the access's tenant. ``secret`` is ``tenancy.secret``.

    With another issuer or client it is another provider: it knows nobody yet, and what the old one has given ends, see
    ``ending``. Raises ``InvalidValue``, ``RoleBeyondRights`` for who is less than an administrator, and
    ``SingleSignOnInUse`` for another issuer or client while the provider is required.
    """
    tenant = access.require_tenant()
    row = _locked(session, tenant)
    require_admin(session, access.permissions)
    _check_roles(session, access, content)
    provider = _same_or_new(session, row, content)
    provider.name, provider.groups_claim = clean_name(content.name), content.groups_claim
    provider.default_role, provider.factor_values = content.default_role, " ".join(sorted(set(content.factor_values)))
    if content.client_secret is not None:
        text = content.client_secret
        provider.client_secret = encrypt(text, secret, PURPOSE, str(provider.id)) if text else None
    provider.roles = [ProviderRole(group=group, role=role) for group, role in sorted(set(content.roles))]
    session.flush()
    detail = {"name": provider.name, "issuer": provider.issuer, "default_role": provider.default_role}
    roles = [{"group": each.group, "role": each.role} for each in provider.roles]
    _record(session, "set", tenant, {**detail, "roles": roles, "factor_values": provider.factor_values})
    return provider


def remove_provider(session: Session, access: Access) -> None:
    """Remove the provider of the access's tenant. What it has given ends, see ``ending``.

    Raises ``NoIdentityProvider``, ``RoleBeyondRights``, and ``SingleSignOnInUse`` while it is required.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    row = _locked(session, tenant)
    provider = get_provider(session, tenant.id)
    if row.single_sign_on_required:
        raise SingleSignOnInUse
    end_provider(session, row, provider)
    _record(session, "remove", tenant, {"issuer": provider.issuer})


def require(session: Session, access: Access, required: bool) -> IdentityProvider:
    """Let the tenant take only those for whom its provider has vouched, or no longer. It holds from the next request.

    Service accounts are not asked. Raises ``NoIdentityProvider``, ``RoleBeyondRights``, and ``SingleSignOnUntried``
    unless the administrator is signed in by the provider.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    row = _locked(session, tenant)
    provider = get_provider(session, tenant.id)
    if required and access.identity_provider_id != provider.id:
        raise SingleSignOnUntried
    if row.single_sign_on_required != required:
        row.single_sign_on_required = required
        session.flush()
        _record(session, "require" if required else "release", tenant, {"issuer": provider.issuer})
    return provider


def admit(session: Session, access: Access, only_provisioned: bool) -> IdentityProvider:
    """Let only those come in by the provider of whom the directory tells, or everybody for whom it vouches.

    The directory does not change it then. Whom it has shut out stays out. Raises ``NoIdentityProvider`` and
    ``RoleBeyondRights``.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    provider = get_provider(session, tenant.id, for_update=True)
    if (provider.only_provisioned, provider.admission_decided) != (only_provisioned, True):
        provider.only_provisioned, provider.admission_decided = only_provisioned, True
        session.flush()
        _record(session, "close" if only_provisioned else "open", tenant, {"issuer": provider.issuer})
    return provider


def release(session: Session, slug: str, reason: str) -> bool:
    """Stop a tenant from requiring its provider, as an operator does whose customer is locked out.

    Return whether it was required. Raises ``NotFound``, and ``InvalidValue`` for a reason that is no line.
    """
    row = get_tenant(session, slug)
    was_required = row.single_sign_on_required
    if was_required:
        row.single_sign_on_required = False
        session.flush()
        record(
            session,
            "identity_provider.break_glass",
            tenant_id=row.id,
            slug=row.slug,
            detail={"reason": clean_reason(reason)},
        )
    return was_required


def number_in_clear(session: Session) -> int:
    """Return how many providers have a secret that is stored in clear."""
    in_clear = IdentityProvider.client_secret.startswith(CLEAR)
    return session.scalar(select(func.count()).select_from(IdentityProvider).where(in_clear)) or 0


def list_providers(session: Session) -> list[tuple[Tenant, IdentityProvider]]:
    """Return the tenants that have a provider, with it, by slug."""
    statement = select(Tenant, IdentityProvider).join(IdentityProvider, IdentityProvider.tenant_id == Tenant.id)
    return [(row[0], row[1]) for row in session.execute(statement.order_by(Tenant.slug))]


def _locked(session: Session, tenant: TenantPlace) -> Tenant:
    row = session.scalar(locking(select(Tenant).where(Tenant.id == tenant.id)))
    if row is None:
        raise NotFound("tenant", tenant.slug)
    return row


def _same_or_new(session: Session, row: Tenant, content: ProviderContent) -> IdentityProvider:
    present = session.scalar(select(IdentityProvider).where(IdentityProvider.tenant_id == row.id))
    if present is not None and (present.issuer, present.client_id) == (content.issuer, content.client_id):
        return present
    if row.single_sign_on_required:
        raise SingleSignOnInUse
    if present is not None:
        end_provider(session, row, present)
    provider = IdentityProvider(
        tenant_id=row.id,
        name=content.name,
        issuer=content.issuer,
        client_id=content.client_id,
        groups_claim=content.groups_claim,
        factor_values="",
    )
    session.add(provider)
    session.flush()
    row.identity_provider_id = provider.id
    return provider


def _check_roles(session: Session, access: Access, content: ProviderContent) -> None:
    named = [("roles", role) for _, role in content.roles]
    named += [] if content.default_role is None else [("default_role", content.default_role)]
    for field, role in named:
        try:
            get_role(session, role, keep=True)
        except NotFound as error:
            raise InvalidValue(field, str(error)) from None
        check_held(session, role, access.permissions)


def _record(session: Session, how: str, tenant: TenantPlace, detail: dict[str, Any]) -> None:
    record(session, f"identity_provider.{how}", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
