"""End what an identity provider has given, when it is removed, or its tenant.

Its sessions and API tokens end, and it takes the roles that it gave. The people whom it has made are people like others
from then on. Those of them who have neither a role anywhere nor a way to sign in are disabled: an operator enables them
or forgets them. They are not removed, because what they wrote names them, and a copy of the tenant may be restored.
"""

from collections import defaultdict
from typing import Final
from uuid import UUID

from sqlalchemy import and_, delete, exists, select, update
from sqlalchemy.orm import Session

from tenantapp.credentials.models import Passkey
from tenantapp.federation.models import FederatedIdentity, IdentityProvider, ProvisionedPerson
from tenantapp.identity.audit import record
from tenantapp.identity.effective import grants_of
from tenantapp.identity.errors import LastAdmin
from tenantapp.identity.members import keeping_admins
from tenantapp.identity.models import ApiToken, Grant, Tenant, User, WebSession

AT_ONCE: Final = 1000  # people that a statement names


def end_provider(session: Session, tenant: Tenant, provider: IdentityProvider) -> None:
    """Remove the provider of a tenant, and end what it has given.

    If nobody else administers the tenant, those who do so by a role of the provider keep it.
    """
    _end_signed_in(session, provider.id)
    for role, people in _given(session, provider.id).items():
        _take(session, tenant, role, people)
    _release(session, provider.id)
    tenant.identity_provider_id = None
    session.delete(provider)
    session.flush()


def end_with_tenant(session: Session, tenant: Tenant) -> None:
    """End what the provider of a tenant has given, if it has one. The tenant's row is about to go, with its roles."""
    if tenant.identity_provider_id is not None:
        _end_signed_in(session, tenant.identity_provider_id)
        _release(session, tenant.identity_provider_id, going=tenant.id)


def _end_signed_in(session: Session, provider_id: UUID) -> None:
    for model in (WebSession, ApiToken):
        session.execute(delete(model).where(model.identity_provider_id == provider_id))


def _given(session: Session, provider_id: UUID) -> dict[str, list[UUID]]:
    """Return who has which roles from a provider, by role."""
    given = defaultdict(list)
    for model in (FederatedIdentity, ProvisionedPerson):
        held = select(model.user_id, model.roles).where(model.provider_id == provider_id, model.roles != "")
        for user_id, roles in session.execute(held):
            for role in roles.split():
                given[role].append(user_id)
    return given


def _take(session: Session, tenant: Tenant, role: str, people: list[UUID]) -> None:
    of_role = select(Grant, User.login).join(User, User.id == Grant.user_id)
    of_role = of_role.where(Grant.tenant_id == tenant.id, Grant.role == role)
    try:
        with session.begin_nested(), keeping_admins(session, Tenant.id == tenant.id):
            for first in range(0, len(people), AT_ONCE):
                some = of_role.where(User.id.in_(people[first : first + AT_ONCE]))
                for grant, login in session.execute(some):
                    detail = {"login": login, "role": role}
                    record(session, "member.revoke", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
                    session.delete(grant)
    except LastAdmin:
        return


def _release(session: Session, provider_id: UUID, *, going: UUID | None = None) -> None:
    """Let the people whom a provider has made be people like others. Their roles in the tenant ``going`` are gone."""
    made = User.identity_provider_id == provider_id
    grants = grants_of(User.id)
    roles = select(grants.c.id)
    has_role = exists(roles if going is None else roles.where(grants.c.tenant_id != going))
    has_passkey = exists(select(Passkey.id).where(Passkey.user_id == User.id))
    signs_in = User.password_hash.is_not(None) | User.mail_address.is_not(None) | has_passkey
    for user in session.scalars(select(User).where(and_(made, User.enabled, ~User.operator, ~has_role, ~signs_in))):
        user.enabled = False
        record(session, "user.disable", detail={"login": user.login})
    session.flush()
    session.execute(update(User).where(made).values(identity_provider_id=None))
