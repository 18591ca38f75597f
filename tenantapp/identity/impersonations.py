"""Let an operator work as somebody else in one tenant: for a reason, for a time, and read-only unless they say so.

An impersonation is a web session of its own, with the operator's name. It works only while the impersonator is an
operator, and the access statement finds no other tenant by it.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from tenantapp.identity.audit import record
from tenantapp.identity.effective import effective_permissions
from tenantapp.identity.errors import ImpersonationForbidden, ImpersonationRefused, NotFound
from tenantapp.identity.models import Tenant, User, WebSession
from tenantapp.identity.names import clean_reason
from tenantapp.identity.tenants import locked_tenant, served_tenant
from tenantapp.identity.web_sessions import USER_AGENT_LENGTH, Lifetimes, end_impersonations, hash_token, joined
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access

MINUTES: Final = 15
MOST_MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class Terms:
    """Why an operator works as somebody else, for how many minutes, and whether they change something."""

    reason: str
    minutes: int = MINUTES
    write: bool = False


def start(
    session: Session, token: str, operator: Access, user: User, slug: str, terms: Terms, user_agent: str | None = None
) -> WebSession:
    """Store and return a web session for a new token, in which the operator works as a person in the tenant.

    Raises ``NotFound``, ``TenantUnfinished`` and ``TenantDeleted`` for the tenant, ``InvalidValue`` for the reason,
    ``ImpersonationForbidden`` if the tenant forbids it, and ``ImpersonationRefused`` if nobody may work as this person
    there: an operator, a program, or somebody who cannot work there themselves.
    """
    # The lock keeps the tenant from forbidding it at the same moment.
    tenant = served_tenant(session, slug, for_update=True)
    if tenant.impersonation_forbidden:
        raise ImpersonationForbidden(slug)
    _check_person(session, user, tenant)
    now = utcnow()
    web_session = WebSession(
        token_hash=hash_token(token),
        user_id=user.id,
        tenant_id=tenant.id,
        user_agent=user_agent[:USER_AGENT_LENGTH] if user_agent else None,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(minutes=terms.minutes),
        authenticated_at=operator.authenticated_at,
        factors=joined(operator.factors),
        impersonator_id=operator.person.id,
        impersonator=operator.person.login,
        impersonation_reason=clean_reason(terms.reason),
        read_only=not terms.write,
    )
    session.add(web_session)
    session.flush()
    _record_start(session, web_session, user, tenant)
    return web_session


def _check_person(session: Session, user: User, tenant: Tenant) -> None:
    refused = {
        "is an operator": user.operator,
        "is a service account": user.service_tenant_id is not None,
        "is disabled": not user.enabled,
    }
    for why, is_so in refused.items():
        if is_so:
            raise ImpersonationRefused(f"{user.login} {why}. Nobody can work as them.")
    if not effective_permissions(session, user.id, tenant.id).roles:
        raise ImpersonationRefused(f"{user.login} has no role in the tenant {tenant.slug}.")


def _record_start(session: Session, web_session: WebSession, user: User, tenant: Tenant) -> None:
    detail = {
        "session": str(web_session.id),
        "login": user.login,
        "reason": web_session.impersonation_reason,
        "read_only": web_session.read_only,
        "expires_at": web_session.expires_at.isoformat(),
    }
    record(session, "impersonation.start", tenant_id=tenant.id, slug=tenant.slug, detail=detail)


def list_running(session: Session, lifetimes: Lifetimes) -> list[tuple[WebSession, User]]:
    """Return the impersonations that have not ended, each with the person, the newest first."""
    now = utcnow()
    running = (
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .where(WebSession.impersonator_id.is_not(None), WebSession.expires_at > now)
        .where(WebSession.last_seen_at > now - lifetimes.idle)
        .options(joinedload(WebSession.tenant))
        .order_by(WebSession.id.desc())
    )
    return [(web_session, user) for web_session, user in session.execute(running)]


def end(session: Session, web_session_id: UUID) -> None:
    """End an impersonation, from the next request on. Raises ``NotFound``."""
    if not end_impersonations(session, WebSession.id == web_session_id):
        raise NotFound("impersonation", web_session_id)


def forbid(session: Session, tenant_id: UUID, forbidden: bool) -> Tenant:
    """Forbid that operators work as people of a tenant, or permit it again. Those who do are ended."""
    tenant = locked_tenant(session, tenant_id)
    if tenant.impersonation_forbidden != forbidden:
        tenant.impersonation_forbidden = forbidden
        detail = {"impersonation_forbidden": forbidden}
        record(session, "settings.change", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    if forbidden:
        end_impersonations(session, WebSession.tenant_id == tenant_id)
    session.flush()
    return tenant
