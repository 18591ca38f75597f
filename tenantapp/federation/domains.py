"""The domains of mail addresses that a tenant has proved to be its own. Each change is in the audit trail.

The proof is a TXT record in the DNS, below the domain, at a name that begins with an underscore: such names are no
hosts (RFC 8552), so nobody gets one from whoever only gives out host names. Each claim has a challenge of its own, so
the record of one tenant proves nothing for another. An alias is no proof: whoever serves all names of a domain on its
behalf, by a wildcard, would be able to publish the record.

A domain is verified for one tenant only, and for no domain below it. A worker looks for the record each day.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, exists, func, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.credentials.post import Post
from tenantapp.email_addresses import clean_address, clean_domain
from tenantapp.federation.errors import (
    DnsUnavailable,
    DomainNotProved,
    DomainTaken,
    NoIdentityProvider,
    TooManyConversations,
    TooManyDomains,
)
from tenantapp.federation.models import DOMAIN_LENGTH, IS_VERIFIED, FederatedIdentity, IdentityProvider, TenantDomain
from tenantapp.federation.txt_records import TxtAnswer, TxtRecords
from tenantapp.identity.administrators import list_mail_addresses
from tenantapp.identity.audit import record
from tenantapp.identity.effective import grants_of
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.identity.models import Tenant, TenantState, User
from tenantapp.identity.names import clean_reason
from tenantapp.identity.roles import require_admin
from tenantapp.identity.tenants import get_tenant, locked_tenant
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.web_sessions import new_token
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.dbfactory import DBFactory

log = logging.getLogger(__name__)

MOST: Final = 20  # claims of a tenant
BELOW: Final = "_tenantapp"
TEXT: Final = "tenantapp-domain="
LONGEST: Final = DOMAIN_LENGTH - len(f"{BELOW}.")
MOST_FOUND: Final = 5  # texts that are told of those that are there
LONGEST_FOUND: Final = 200  # characters of each
CHECK_EVERY: Final = timedelta(days=1)
CHECK_AGAIN: Final = timedelta(hours=1)  # after a question that the DNS has not answered
GRACE: Final = timedelta(days=7)  # for which a domain stays the tenant's without its record
MOST_CHECKED: Final = 5  # domains at a time


class _Due(NamedTuple):
    id: UUID
    name: str


_DUE: Final[LoneSelect[_Due]] = LoneSelect(
    select(TenantDomain.id, TenantDomain.name)
    .where(TenantDomain.check_at <= bindparam("now", type_=UtcDateTime))
    .order_by(TenantDomain.check_at)
    .limit(MOST_CHECKED),
    _Due,
)


def record_name(domain: str) -> str:
    """Return the name at which the record of a domain stands."""
    return f"{BELOW}.{domain}"


def record_text(domain: TenantDomain) -> str:
    """Return the text of the record that proves a domain."""
    return f"{TEXT}{domain.challenge}"


def claim(session: Session, access: Access, name: str) -> TenantDomain:
    """Claim a domain for the access's tenant. It counts for nothing until it is verified.

    Raises ``InvalidValue``, ``AlreadyExists`` if the tenant has claimed it before, ``TooManyDomains``, and
    ``RoleBeyondRights`` for who is less than an administrator.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    checked = check_name(name)
    locked_tenant(session, tenant.id)
    if (session.scalar(select(func.count()).where(TenantDomain.tenant_id == tenant.id)) or 0) >= MOST:
        raise TooManyDomains(MOST)
    domain = TenantDomain(tenant_id=tenant.id, name=checked, challenge=new_token())
    session.add(domain)
    flush_unique(session, "domain", checked)
    _record(session, "claim", domain, tenant.slug)
    return domain


def check_name(text: str) -> str:
    """Return a domain in lower case and in ASCII, without a dot at the end. Raises ``InvalidValue``."""
    try:
        name = clean_domain(text.strip().removesuffix("."))
    except ValueError:
        name = ""
    # The last label of no domain is a number, but that of an IPv4 address is.
    if "." not in name or len(name) > LONGEST or name.rpartition(".")[2].isdigit():
        raise InvalidValue("domain", "A domain is like example.com.")
    return name


def list_domains(session: Session, tenant_id: UUID) -> Sequence[TenantDomain]:
    """Return the domains that a tenant has claimed, by name."""
    return session.scalars(_of_tenant(tenant_id).order_by(TenantDomain.name)).all()


def name_to_verify(session: Session, access: Access, domain_id: UUID) -> str:
    """Return the name of a domain that is about to be verified. Raises ``NotFound`` and ``RoleBeyondRights``."""
    require_admin(session, access.permissions)
    return _get(session, access.require_tenant().id, domain_id).name


def verify(session: Session, access: Access, domain_id: UUID, answer: TxtAnswer) -> TenantDomain:
    """Let a domain be the tenant's own from now on. ``answer`` is what the DNS has at its ``record_name``.

    Raises ``DomainNotProved``, ``DomainTaken``, ``NotFound`` and ``RoleBeyondRights``.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    domain = _get(session, tenant.id, domain_id, for_update=True)
    if not _proves(answer, domain):
        found = [text[:LONGEST_FOUND] for text in answer.texts[:MOST_FOUND]]
        raise DomainNotProved(record_name(domain.name), record_text(domain), found, answer.alias)
    name, was_verified = domain.name, domain.verified_at is not None
    domain.verified_at, domain.missing_since = domain.verified_at or utcnow(), None
    domain.check_at = utcnow() + CHECK_EVERY
    try:
        session.flush()
    except IntegrityError:
        raise DomainTaken(name) from None
    if not was_verified:
        _record(session, "verify", domain, tenant.slug)
    return domain


def set_capture(session: Session, access: Access, domain_id: UUID, capture: bool) -> TenantDomain:
    """Let who has an address of the domain register by the tenant's provider alone, or no longer.

    It counts while the domain is verified, and the tenant is active and has a provider. Raises ``NotFound`` and
    ``RoleBeyondRights``.
    """
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    domain = _get(session, tenant.id, domain_id, for_update=True)
    if domain.capture != capture:
        domain.capture = capture
        session.flush()
        _record(session, "capture" if capture else "release", domain, tenant.slug)
    return domain


def remove(session: Session, access: Access, domain_id: UUID) -> None:
    """Give up a domain, from the next request on. Raises ``NotFound`` and ``RoleBeyondRights``."""
    tenant = access.require_tenant()
    require_admin(session, access.permissions)
    domain = _get(session, tenant.id, domain_id, for_update=True)
    _record(session, "remove", domain, tenant.slug)
    session.delete(domain)


def remove_by_operator(session: Session, slug: str, name: str, reason: str) -> str:
    """Take a domain from a tenant, and return its name.

    Raises ``NotFound``, and ``InvalidValue`` for a name or a reason.
    """
    tenant, checked = get_tenant(session, slug), check_name(name)
    domain = session.scalar(_of_tenant(tenant.id).where(TenantDomain.name == checked).with_for_update())
    if domain is None:
        raise NotFound(f"domain of the tenant {slug} that is called", checked)
    detail = {"domain": domain.name, "reason": clean_reason(reason)}
    record(session, "domain.remove", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    session.delete(domain)
    return checked


def list_all(session: Session) -> list[tuple[str, TenantDomain]]:
    """Return the domains of all tenants with the tenant's slug, by the name of the domain."""
    statement = select(Tenant.slug, TenantDomain).join(TenantDomain, TenantDomain.tenant_id == Tenant.id)
    return [(row[0], row[1]) for row in session.execute(statement.order_by(TenantDomain.name, Tenant.slug))]


def provider_of(session: Session, name: str) -> tuple[Tenant, IdentityProvider]:
    """Return the active tenant that a domain is verified for, and its provider. Raises ``NoIdentityProvider``.

    It depends on the domain alone: nobody learns by it which people there are.
    """
    found = session.execute(_provided(name)).one_or_none()
    if found is None:
        raise NoIdentityProvider
    return found[0], found[1]


def capturing_tenant(session: Session, address: str) -> Tenant | None:
    """Return the tenant whose provider everybody registers by who has a checked mail address of its domain, or None."""
    found = session.execute(_provided(address.rpartition("@")[2]).where(TenantDomain.capture)).one_or_none()
    return None if found is None else found[0]


def captured_member(session: Session, provider: IdentityProvider, address: str) -> UUID | None:
    """Return who has a confirmed address that their provider has confirmed too, of a domain that the tenant captures.

    It is a member of the tenant already, no operator, and nobody whom the provider knows. Who decides on the domain
    reads its mail, and so is who could reset the person's password; but they do not make a member of anybody. While the
    record is missing, nobody is found.
    """
    try:
        checked = clean_address(address)
    except ValueError:
        return None
    captured = _provided(checked.rpartition("@")[2]).where(TenantDomain.capture, TenantDomain.missing_since.is_(None))
    if session.scalar(captured.with_only_columns(Tenant.id)) != provider.tenant_id:
        return None
    is_member = exists(select(grants_of(User.id, literal(provider.tenant_id)).c.id))
    is_known = exists().where(FederatedIdentity.provider_id == provider.id, FederatedIdentity.user_id == User.id)
    return session.scalar(select(User.id).where(User.mail_address == checked, ~User.operator, is_member, ~is_known))


def _provided(name: str) -> Select[Tenant, IdentityProvider]:
    statement = select(Tenant, IdentityProvider).join(IdentityProvider, IdentityProvider.tenant_id == Tenant.id)
    statement = statement.join(TenantDomain, TenantDomain.tenant_id == Tenant.id)
    return statement.where(TenantDomain.name == name, IS_VERIFIED, Tenant.state == TenantState.ACTIVE)


def check_due(user_db: DBFactory, records: TxtRecords, post: Post) -> bool:
    """Look for the records of domains that nobody has looked at for a day: of a few at a time, in any worker.

    Return whether others may be due, and the DNS answers.

    A domain whose record is missing for ``GRACE`` is not the tenant's any more. Its administrators are told by ``post``
    when the record is missed for the first time, and at the end. Only an answer of the DNS counts.
    """
    due = user_db.fetch(_DUE, {"now": utcnow()})
    for domain_id, name in due:
        if not _is_taken_on(user_db, domain_id):
            continue
        try:
            answer = records.read(record_name(name), None)
        except (DnsUnavailable, TooManyConversations) as error:
            # Others wait for the next time: each of them could take as long.
            log.warning("The domain %s is looked at later: %s", name, error)
            return False
        with user_db.begin() as session:
            _note(session, domain_id, answer, post)
    return len(due) == MOST_CHECKED


def _is_taken_on(user_db: DBFactory, domain_id: UUID) -> bool:
    """Return whether it is this worker that looks at a domain now. If it dies, another one does in an hour."""
    now = utcnow()
    due = update(TenantDomain).where(TenantDomain.id == domain_id, TenantDomain.check_at <= now)
    with user_db.begin() as session:
        return session.scalar(due.values(check_at=now + CHECK_AGAIN).returning(TenantDomain.id)) is not None


def _note(session: Session, domain_id: UUID, answer: TxtAnswer, post: Post) -> None:
    domain, now = session.get(TenantDomain, domain_id, with_for_update=True), utcnow()
    if domain is None or domain.verified_at is None:
        return
    domain.check_at = now + CHECK_EVERY
    if _proves(answer, domain):
        domain.missing_since = None
    elif domain.missing_since is None:
        domain.missing_since = now
        _tell(session, "miss", domain, post)
    elif now - domain.missing_since >= GRACE:
        domain.verified_at = domain.missing_since = domain.check_at = None
        _tell(session, "lapse", domain, post)


def _tell(session: Session, how: str, domain: TenantDomain, post: Post) -> None:
    tenant = session.get_one(Tenant, domain.tenant_id)
    _record(session, how, domain, tenant.slug)
    values = {"domain": domain.name, "tenant": tenant.name, "record": record_name(domain.name)}
    values |= {"text": record_text(domain), "days": str(GRACE.days)}
    for address in list_mail_addresses(session, tenant.id):
        post.notice(session, address, f"domain-{how}", **values)


def _proves(answer: TxtAnswer, domain: TenantDomain) -> bool:
    return answer.alias is None and record_text(domain) in answer.texts


def _of_tenant(tenant_id: UUID) -> Select[TenantDomain]:
    return select(TenantDomain).where(TenantDomain.tenant_id == tenant_id)


def _get(session: Session, tenant_id: UUID, domain_id: UUID, *, for_update: bool = False) -> TenantDomain:
    statement = _of_tenant(tenant_id).where(TenantDomain.id == domain_id)
    domain = session.scalar(statement.with_for_update() if for_update else statement)
    if domain is None:
        raise NotFound("domain", domain_id)
    return domain


def _record(session: Session, how: str, domain: TenantDomain, slug: str) -> None:
    record(session, f"domain.{how}", tenant_id=domain.tenant_id, slug=slug, detail={"domain": domain.name})
