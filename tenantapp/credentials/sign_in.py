"""Sign people in, and switch them to another tenant.

To sign in takes three steps: read the hash, verify the password, write the web session. So no connection and no lock is
held while the password is hashed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, select, update
from sqlalchemy.orm import Session

from tenantapp.credentials import passwords
from tenantapp.credentials.factors import HAS_FACTOR
from tenantapp.credentials.one_time_links import LIFETIMES, Purpose
from tenantapp.identity import web_sessions
from tenantapp.identity.effective import granted_tenants, read_tenants, tenants_of
from tenantapp.identity.errors import InvalidCredentials, InvalidValue
from tenantapp.identity.models import User
from tenantapp.identity.names import normalize_login
from tenantapp.identity.web_sessions import Lifetimes
from tenantapp.sql.prepared import LoneSelect, PreparedSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.access import GrantedTenant, Person
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenantForbidden

INITIAL_LIVES: Final = LIFETIMES[Purpose.FIRST_PASSWORD]  # until an initial password is used, like a link in its place


class _ByLogin(NamedTuple):
    id: UUID
    enabled: bool
    password_hash: str | None
    password_set_at: datetime | None
    password_initial: bool
    has_factor: bool


class _Locked(NamedTuple):
    enabled: bool
    password_hash: str | None
    login: str
    name: str
    tenants: str | None


_BY_LOGIN: Final = LoneSelect(
    select(
        User.id,
        User.enabled,
        User.password_hash,
        User.password_set_at,
        User.password_initial,
        HAS_FACTOR.label("has_factor"),
    ).where(User.login == bindparam("login", type_=Text)),
    _ByLogin,
)
_LOCKED: Final = PreparedSelect(
    "tenantapp_lock_person",
    select(
        *(User.enabled, User.password_hash, User.login, User.name),
        granted_tenants(User.id, bindparam("now", type_=UtcDateTime)).label("tenants"),
    )
    .where(User.id == bindparam("user_id", type_=Uuid))
    .with_for_update(of=User),
    {"user_id": "uuid", "now": "timestamptz"},
    _Locked,
)


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
    found = user_db.fetch(_BY_LOGIN, {"login": account_of(login)})
    user = found[0] if found else None
    right = passwords.verify_password(user.password_hash if user else None, password, memory)
    if user is None or user.password_hash is None:
        raise InvalidCredentials("unknown login" if user is None else "no password")
    if not (right and user.enabled):
        raise InvalidCredentials("disabled" if right else "wrong password")
    if user.password_initial and _is_old(user.password_set_at):
        raise InvalidCredentials("expired initial password")
    outdated = passwords.needs_rehash(user.password_hash, memory)
    new_hash = passwords.rehash(password, memory) if outdated else None
    return Proof(user.id, ("password",), user.password_hash, new_hash, user.has_factor, user.password_initial)


def _is_old(password_set_at: datetime | None) -> bool:
    """Return whether an initial password has expired (OWASP ASVS 5.0, 6.4.1)."""
    return password_set_at is not None and utcnow() - password_set_at > INITIAL_LIVES


def account_of(login: str) -> str:
    """Return the normalized login, or empty text if no login can be like this."""
    try:
        return normalize_login(login)
    except InvalidValue:
        return ""  # nobody has it


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
    person, tenants = still_right(session, proof)
    tenant = tenant_to_select(tenants, tenant_slug)
    token = web_sessions.new_token()
    web_sessions.start(session, token, person, tenant, lifetimes, user_agent, proof.factors)
    return token


def still_right(session: Session, proof: Proof) -> tuple[Person, tuple[GrantedTenant, ...]]:
    """Lock the person, and store the new hash if there is one. Return the person, and the tenants they have a role in.

    Raises ``InvalidCredentials`` if the person was disabled, or the password changed, after it was checked.
    """
    found = _LOCKED.rows(session, {"user_id": proof.user_id, "now": utcnow()})
    if not (found and found[0].enabled and proof.password_hash in (None, found[0].password_hash)):
        raise InvalidCredentials
    if proof.new_hash is not None:
        session.execute(update(User).where(User.id == proof.user_id).values(password_hash=proof.new_hash))
    return Person(proof.user_id, found[0].login, found[0].name), read_tenants(found[0].tenants)


def switch_tenant(session: Session, old_token: str, user_id: UUID, tenant_slug: str) -> str:
    """Select another tenant without a new sign-in. Return the new token; the old one no longer works.

    Raises ``TenantForbidden`` and ``SessionEnded``.
    """
    tenant = _of_slug(tenants_of(session, user_id), tenant_slug)
    token = web_sessions.new_token()
    web_sessions.switch(session, old_token, token, tenant.id)
    return token


def tenant_to_select(tenants: Iterable[GrantedTenant], slug: str | None) -> GrantedTenant | None:
    """Return the tenant with this slug, or the only one. Raises ``TenantForbidden``."""
    if slug is not None:
        return _of_slug(tenants, slug)
    choosable = _choosable(tenants)
    return choosable[0] if len(choosable) == 1 else None


def _of_slug(tenants: Iterable[GrantedTenant], slug: str) -> GrantedTenant:
    for tenant in _choosable(tenants):
        if tenant.slug == slug:
            return tenant
    raise TenantForbidden


def _choosable(tenants: Iterable[GrantedTenant]) -> list[GrantedTenant]:
    return [tenant for tenant in tenants if tenant.condition != "suspended"]
