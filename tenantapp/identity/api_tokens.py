"""Make, list and revoke API tokens. A token acts for one person in one tenant, with some of their permissions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.orm import Session, joinedload

from tenantapp.identity.audit import record
from tenantapp.identity.errors import BeyondRights, InvalidValue, NotFound, TooManyTokens
from tenantapp.identity.models import ApiToken, Tenant, User
from tenantapp.identity.names import clean_name
from tenantapp.identity.token_text import new_token
from tenantapp.identity.web_sessions import hash_token, joined
from tenantapp.settings import Settings
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace

EXPIRED_KEPT: Final = timedelta(days=30)  # an expired token stays in the lists for so long, to be recognised


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """How many days a token works, and how many tokens a person has in a tenant, with the expired ones: at most."""

    days: int
    number: int


def limits_of(settings: Settings) -> TokenLimits:
    """Return the limits in the settings."""
    return TokenLimits(settings.tokens_most_days, settings.tokens_most)


def create_token(
    session: Session,
    tenant: TenantPlace,
    user: User,
    held: Collection[str],
    *,
    name: str,
    permissions: Sequence[str],
    days: int,
    limits: TokenLimits,
    factors: Collection[str] = (),
    identity_provider_id: UUID | None = None,
) -> tuple[ApiToken, str]:
    """Make a token that works for ``days`` days. Return it and its text, which is not stored.

    ``factors`` and ``identity_provider_id`` are those of the web session that it is made in: a tenant that requires a
    second factor, or its identity provider, takes no token that was made without. ``held`` are the permissions of the
    person in the tenant. Raises ``InvalidValue``, ``BeyondRights`` if the person does not have all of ``permissions``,
    ``TooManyTokens``, and ``NotFound`` for a service account of another tenant.
    """
    if user.service_tenant_id not in (None, tenant.id):
        # An older version of the program lets such an account get roles elsewhere.
        raise NotFound("user", user.login)
    wanted = sorted(set(permissions))
    if beyond := [each for each in wanted if each not in held]:
        raise BeyondRights(beyond)
    if not wanted:
        raise InvalidValue("permissions", "A token needs at least one permission.")
    if not 1 <= days <= limits.days:
        raise InvalidValue("days", f"A token works for 1 to {limits.days} days.")
    # Of two requests at once, the second counts what the first has made. FOR NO KEY UPDATE: tokens refer to the person.
    session.scalar(select(User.id).where(User.id == user.id).with_for_update(key_share=True))
    own = select(func.count()).where(ApiToken.user_id == user.id, ApiToken.tenant_id == tenant.id)
    if (session.scalar(own) or 0) >= limits.number:
        raise TooManyTokens(limits.number)
    text, now = new_token(), utcnow()
    token = ApiToken(
        token_hash=hash_token(text),
        user=user,
        tenant_id=tenant.id,
        name=clean_name(name),
        permissions=" ".join(wanted),
        created_at=now,
        expires_at=now + timedelta(days=days),
        factors=joined(factors),
        identity_provider_id=identity_provider_id,
    )
    session.add(token)
    session.flush()
    detail = {"token": str(token.id), "name": token.name, "user": user.login, "permissions": wanted, "days": days}
    record(session, "token.create", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    return token, text


def list_tokens(
    session: Session,
    tenant_id: UUID,
    *,
    user_id: UUID | None = None,
    after: UUID | None = None,
    limit: int | None = None,
) -> list[ApiToken]:
    """Return the tokens of a tenant, or those of one person in it, in the order in which they were made."""
    statement = select(ApiToken).where(ApiToken.tenant_id == tenant_id).order_by(ApiToken.id).limit(limit)
    if user_id is not None:
        statement = statement.where(ApiToken.user_id == user_id)
    if after is not None:
        statement = statement.where(ApiToken.id > after)
    return list(session.scalars(statement.options(joinedload(ApiToken.user))))


def revoke_token(
    session: Session, token_id: UUID, *, tenant_id: UUID | None = None, user_id: UUID | None = None
) -> None:
    """Delete a token, from the next request on. Raises ``NotFound``, also if it is of another tenant or person."""
    token = session.get(ApiToken, token_id)
    if token is None or tenant_id not in (None, token.tenant_id) or user_id not in (None, token.user_id):
        raise NotFound("token", token_id)
    detail = {"token": str(token.id), "name": token.name, "user": token.user.login}
    tenant = session.get_one(Tenant, token.tenant_id)
    record(session, "token.revoke", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    session.delete(token)


def sweep_tokens(session: Session, kept: timedelta = EXPIRED_KEPT) -> int:
    """Delete the tokens that expired longer ago than ``kept``. Return how many."""
    old = delete(ApiToken).where(ApiToken.expires_at <= utcnow() - kept)
    return cast("CursorResult[object]", session.execute(old)).rowcount
