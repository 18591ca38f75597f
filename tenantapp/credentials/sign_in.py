"""Sign people in, and switch them to another tenant.

To sign in takes three steps: read the hash, verify the password, write the web session. So no connection and no lock is
held while the password is hashed.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tenantapp.credentials import passwords
from tenantapp.identity import web_sessions
from tenantapp.identity.effective import tenants_of
from tenantapp.identity.errors import InvalidCredentials, InvalidValue
from tenantapp.identity.models import User
from tenantapp.identity.names import normalize_login
from tenantapp.identity.web_sessions import Lifetimes
from tenantapp.tenancy.access import GrantedTenant
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenantForbidden


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A person whose password was right. ``new_hash`` replaces a hash that was made with other parameters."""

    user_id: UUID
    old_hash: str
    new_hash: str | None


def authenticate(user_db: DBFactory, login: str, password: str, memory: int) -> Authenticated:
    """Check a login and a password. ``memory`` is that for new hashes, in KiB.

    Raises ``InvalidCredentials`` for an unknown login, a wrong password and a disabled person, after the same time if
    the person's hash was made with this ``memory``. Raises ``TooManySignIns``.
    """
    user = _find(user_db, login)
    right = passwords.verify_password(user.password_hash if user else None, password, memory)
    if user is None or user.password_hash is None or not (right and user.enabled):
        raise InvalidCredentials
    outdated = passwords.needs_rehash(user.password_hash, memory)
    new_hash = passwords.rehash(password, memory) if outdated else None
    return Authenticated(user.id, user.password_hash, new_hash)


def _find(user_db: DBFactory, login: str) -> User | None:
    try:
        normal = normalize_login(login)
    except InvalidValue:
        normal = ""  # nobody has it
    with user_db.begin(read_only=True) as session:
        user = session.scalar(select(User).where(User.login == normal))
        session.expunge_all()
    return user


def sign_in(
    session: Session,
    authenticated: Authenticated,
    tenant_slug: str | None,
    lifetimes: Lifetimes,
    user_agent: str | None,
) -> str:
    """Start a web session and return its token. The tenant with this slug is selected, or the person's only tenant.

    Raises ``TenantForbidden`` for a tenant that is unknown, suspended or not granted. Raises ``InvalidCredentials`` if
    the person was disabled, or the password changed, after it was checked.
    """
    locked = select(User.enabled, User.password_hash).where(User.id == authenticated.user_id).with_for_update()
    if session.execute(locked).one_or_none() != (True, authenticated.old_hash):
        raise InvalidCredentials
    if authenticated.new_hash is not None:
        session.execute(
            update(User).where(User.id == authenticated.user_id).values(password_hash=authenticated.new_hash)
        )
    tenant_id = _tenant_to_select(session, authenticated.user_id, tenant_slug)
    token = web_sessions.new_token()
    web_sessions.start(session, token, authenticated.user_id, tenant_id, lifetimes, user_agent)
    return token


def switch_tenant(session: Session, old_token: str, user_id: UUID, tenant_slug: str) -> str:
    """Select another tenant without a new sign-in. Return the new token; the old one no longer works.

    Raises ``TenantForbidden`` and ``SessionEnded``.
    """
    tenant_id = _granted_tenant(session, user_id, tenant_slug)
    token = web_sessions.new_token()
    web_sessions.switch(session, old_token, token, tenant_id)
    return token


def _tenant_to_select(session: Session, user_id: UUID, slug: str | None) -> UUID | None:
    if slug is not None:
        return _granted_tenant(session, user_id, slug)
    tenants = _choosable(session, user_id)
    return tenants[0].id if len(tenants) == 1 else None


def _granted_tenant(session: Session, user_id: UUID, slug: str) -> UUID:
    for tenant in _choosable(session, user_id):
        if tenant.slug == slug:
            return tenant.id
    raise TenantForbidden


def _choosable(session: Session, user_id: UUID) -> list[GrantedTenant]:
    return [tenant for tenant in tenants_of(session, user_id) if tenant.condition != "suspended"]
