"""Make, list and revoke the tokens that the directory of a tenant comes with, and recognise them.

A token is no API token: it is good for SCIM in one tenant, and for nothing else. It goes with the identity provider.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from tenantapp.federation.errors import TooManyProvisioningTokens
from tenantapp.federation.models import IdentityProvider, ProvisioningToken
from tenantapp.federation.providers import get_provider
from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidToken, InvalidValue, NotFound
from tenantapp.identity.models import Tenant
from tenantapp.identity.names import clean_name
from tenantapp.identity.roles import require_admin
from tenantapp.identity.token_text import is_token, new_token
from tenantapp.identity.web_sessions import hash_token
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, Actor, TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory

MOST: Final = 5  # of a provider: one in use, one that replaces it, and some to spare
SEEN_INTERVAL: Final = timedelta(seconds=60)  # between two times that the last use is written


def create_token(
    session: Session, access: Access, name: str, days: int, most_days: int
) -> tuple[ProvisioningToken, str]:
    """Make a token for the directory of the access's tenant. Return it and its text, which is not stored.

    Raises ``NoIdentityProvider``, ``RoleBeyondRights`` for who is less than an administrator, ``InvalidValue`` and
    ``TooManyProvisioningTokens``.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    provider = get_provider(session, tenant.id, for_update=True)
    if not 1 <= days <= most_days:
        raise InvalidValue("days", f"A token works for 1 to {most_days} days.")
    number = session.scalar(select(func.count()).where(ProvisioningToken.provider_id == provider.id))
    if (number or 0) >= MOST:
        raise TooManyProvisioningTokens(MOST)
    text = new_token()
    token = ProvisioningToken(
        provider_id=provider.id,
        token_hash=hash_token(text),
        name=clean_name(name),
        expires_at=utcnow() + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    _record(session, "scim.token_create", tenant, token)
    return token, text


def list_tokens(session: Session, tenant_id: UUID) -> Sequence[ProvisioningToken]:
    """Return the tokens for the directory of a tenant, in the order in which they were made."""
    of_tenant = select(ProvisioningToken).join(IdentityProvider, IdentityProvider.id == ProvisioningToken.provider_id)
    of_tenant = of_tenant.where(IdentityProvider.tenant_id == tenant_id)
    return session.scalars(of_tenant.order_by(ProvisioningToken.id)).all()


def revoke_token(session: Session, access: Access, token_id: UUID) -> None:
    """Delete a token, from the next request on. Raises ``NotFound``, and ``RoleBeyondRights`` as for making one."""
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    token = next((each for each in list_tokens(session, tenant.id) if each.id == token_id), None)
    if token is None:
        raise NotFound("token", token_id)
    _record(session, "scim.token_revoke", tenant, token)
    session.delete(token)


def recognise(user_db: DBFactory, slug: str, text: str) -> tuple[TenantPlace, UUID, ProvisioningToken]:
    """Return the tenant, the id of its provider, and the token with this text, if it is one of the tenant.

    Whether there is such a tenant is told to nobody else. A suspended one goes on hearing who has left. Raises
    ``InvalidToken``.
    """
    if not is_token(text):
        raise InvalidToken
    now = utcnow()
    wanted = (
        select(Tenant, ProvisioningToken)
        .join(IdentityProvider, IdentityProvider.tenant_id == Tenant.id)
        .join(ProvisioningToken, ProvisioningToken.provider_id == IdentityProvider.id)
        .where(Tenant.slug == slug, Tenant.is_served, ProvisioningToken.token_hash == hash_token(text))
        .where(ProvisioningToken.expires_at > now)
    )
    with user_db.begin(read_only=True) as session:
        found = session.execute(wanted).one_or_none()
        session.expunge_all()
    if found is None:
        raise InvalidToken
    tenant, token = found
    if token.last_used_at is None or now - token.last_used_at >= SEEN_INTERVAL:
        _note_use(user_db, token.id, now)
    place = TenantPlace(tenant.id, tenant.slug, tenant.name, tenant.server, tenant.database)
    return place, token.provider_id, token


def actor_of(token: ProvisioningToken, request_id: str, address: str | None) -> Actor:
    """Return who makes the changes of a directory. No login has a space, so nobody else is called so."""
    return Actor(f"scim {token.name}", request_id=request_id, address=address, api_token_id=token.id)


def _note_use(user_db: DBFactory, token_id: UUID, now: datetime) -> None:
    old = or_(ProvisioningToken.last_used_at.is_(None), ProvisioningToken.last_used_at <= now - SEEN_INTERVAL)
    with user_db.begin() as session:
        used = update(ProvisioningToken).where(ProvisioningToken.id == token_id, old).values(last_used_at=now)
        session.execute(used)


def _record(session: Session, action: str, tenant: TenantPlace, token: ProvisioningToken) -> None:
    detail = {"token": str(token.id), "name": token.name}
    record(session, action, tenant_id=tenant.id, slug=tenant.slug, detail=detail)
