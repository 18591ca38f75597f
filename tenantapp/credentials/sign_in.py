"""Sign people in, and switch them to another tenant.

To sign in takes three steps: read the hash, verify the password, write the web session. So no connection and no lock is
held while the password is hashed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tenantapp.credentials import passwords
from tenantapp.credentials.factors import HAS_FACTOR
from tenantapp.credentials.one_time_links import LIFETIMES, Purpose
from tenantapp.identity import web_sessions
from tenantapp.identity.effective import tenants_of
from tenantapp.identity.errors import InvalidCredentials, InvalidValue
from tenantapp.identity.models import User
from tenantapp.identity.names import normalize_login
from tenantapp.identity.web_sessions import Lifetimes
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import GrantedTenant
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenantForbidden

INITIAL_LIVES: Final = LIFETIMES[Purpose.FIRST_PASSWORD]  # until an initial password is used, like a link in its place


@dataclass(frozen=True, slots=True)
class Proof:
    """Who has proved who they are, and by what.

    ``password_hash`` is that of the password that was right; it is None if no password was asked for. ``new_hash``
    replaces it, if it was made with other parameters. With ``second_factor`` or ``initial``, more is to be proved or
    done before a web session begins: see ``challenges``.
    """

    user_id: UUID
    factors: tuple[str, ...]
    password_hash: str | None = None
    new_hash: str | None = None
    second_factor: bool = False
    initial: bool = False


def authenticate(user_db: DBFactory, login: str, password: str, memory: int) -> Proof:
    """Check a login and a password. ``memory`` is that for new hashes, in KiB.

    Raises ``InvalidCredentials`` for an unknown login, a wrong password, an expired initial one and a disabled person,
    after the same time if the person's hash was made with this ``memory``. Raises ``TooManySignIns``.
    """
    user, second_factor = _find(user_db, login)
    right = passwords.verify_password(user.password_hash if user else None, password, memory)
    if user is None or user.password_hash is None:
        raise InvalidCredentials("unknown login" if user is None else "no password")
    if not (right and user.enabled):
        raise InvalidCredentials("disabled" if right else "wrong password")
    if user.password_initial and _is_old(user.password_set_at):
        raise InvalidCredentials("expired initial password")
    outdated = passwords.needs_rehash(user.password_hash, memory)
    new_hash = passwords.rehash(password, memory) if outdated else None
    return Proof(user.id, ("password",), user.password_hash, new_hash, second_factor, user.password_initial)


def _is_old(password_set_at: datetime | None) -> bool:
    """Return whether an initial password has expired (OWASP ASVS 5.0, 6.4.1)."""
    return password_set_at is not None and utcnow() - password_set_at > INITIAL_LIVES


def account_of(login: str) -> str:
    """Return the normalized login, or empty text if no login can be like this."""
    try:
        return normalize_login(login)
    except InvalidValue:
        return ""  # nobody has it


def _find(user_db: DBFactory, login: str) -> tuple[User | None, bool]:
    """Return the person with this login, and whether they have a second factor."""
    with user_db.begin(read_only=True) as session:
        wanted = select(User, HAS_FACTOR).where(User.login == account_of(login))
        found = session.execute(wanted).one_or_none()
        session.expunge_all()
    return (None, False) if found is None else (found[0], found[1])


def sign_in(
    session: Session,
    proof: Proof,
    tenant_slug: str | None,
    lifetimes: Lifetimes,
    user_agent: str | None,
) -> str:
    """Start a web session and return its token. The tenant with this slug is selected, or the person's only tenant.

    Raises ``TenantForbidden`` for a tenant that is unknown, suspended or not granted. Raises ``InvalidCredentials`` if
    the person was disabled, or the password changed, after it was checked.
    """
    still_right(session, proof)
    tenant_id = tenant_to_select(session, proof.user_id, tenant_slug)
    token = web_sessions.new_token()
    web_sessions.start(session, token, proof.user_id, tenant_id, lifetimes, user_agent, proof.factors)
    return token


def still_right(session: Session, proof: Proof) -> None:
    """Lock the person, and store the new hash if there is one.

    Raises ``InvalidCredentials`` if the person was disabled, or the password changed, after it was checked.
    """
    locked = select(User.enabled, User.password_hash).where(User.id == proof.user_id).with_for_update()
    found = session.execute(locked).one_or_none()
    if found is None or not found.enabled or proof.password_hash not in (None, found.password_hash):
        raise InvalidCredentials
    if proof.new_hash is not None:
        session.execute(update(User).where(User.id == proof.user_id).values(password_hash=proof.new_hash))


def switch_tenant(session: Session, old_token: str, user_id: UUID, tenant_slug: str) -> str:
    """Select another tenant without a new sign-in. Return the new token; the old one no longer works.

    Raises ``TenantForbidden`` and ``SessionEnded``.
    """
    tenant_id = _granted_tenant(session, user_id, tenant_slug)
    token = web_sessions.new_token()
    web_sessions.switch(session, old_token, token, tenant_id)
    return token


def tenant_to_select(session: Session, user_id: UUID, slug: str | None) -> UUID | None:
    """Return the id of the tenant with this slug, or of the person's only tenant. Raises ``TenantForbidden``."""
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
