"""Find the person for whom a provider vouches, or make them, and give them their roles in the tenant.

A provider belongs to a tenant's administrators, who may let it say anything. So it finds a person by nothing but the
subject under which it has been linked with them: a login or an address in its words finds nobody, but for members with
an address of a domain that the tenant has proved to be its own, and captures (``domains``). The logins of people
that it makes have a mark of the tenant, so nobody learns from it which other logins there are. Once the directory of
the tenant says by SCIM who is there (``provisioned``), nobody else comes in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from tenantapp.federation import provisioned
from tenantapp.federation.domains import captured_member
from tenantapp.federation.errors import NoRole, SingleSignOnFailed
from tenantapp.federation.models import FederatedIdentity, IdentityProvider, ProvisionedPerson
from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue, LastAdmin
from tenantapp.identity.grants import add_grant
from tenantapp.identity.look_alikes import skeleton_hash
from tenantapp.identity.members import revoke
from tenantapp.identity.models import NAME_LENGTH, Grant, Tenant, User
from tenantapp.identity.names import check_login, clean_name
from tenantapp.identity.users import create_user

MOST_GROUPS: Final = 2000  # of a person, that are looked at


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider says of a person. ``groups`` are as it names them.

    ``ids`` are what a directory may call the person: the subject, and Entra's ``oid``. ``confirmed_address`` is set if
    the provider has confirmed it.
    """

    subject: str
    login: str
    name: str
    groups: frozenset[str]
    ids: tuple[str, ...] = ()
    confirmed_address: str | None = None


def vouched(claims: Mapping[str, Any], groups_claim: str) -> Vouched:
    """Return what the claims of a person say."""
    named = [claims.get(name) for name in ("email", "preferred_username", "name")]
    texts = [text for text in named if isinstance(text, str) and text.strip()]
    name = claims.get("name")
    groups = claims.get(groups_claim)
    listed = groups if isinstance(groups, list) else [groups]
    ids = [claims.get(name) for name in ("sub", "oid")]
    confirmed = claims.get("email") if claims.get("email_verified") is True else None
    return Vouched(
        subject=str(claims["sub"]),
        login=texts[0] if texts else "person",
        name=name if isinstance(name, str) and name.strip() else (texts[0] if texts else "Person"),
        groups=frozenset(group for group in listed[:MOST_GROUPS] if isinstance(group, str)),
        ids=tuple(text for text in ids if isinstance(text, str) and text),
        confirmed_address=confirmed if isinstance(confirmed, str) and confirmed else None,
    )


def find_or_make(
    session: Session, tenant: Tenant, provider: IdentityProvider, who: Vouched, *, link_to: UUID | None = None
) -> FederatedIdentity:
    """Return the identity of a person, with the roles that their groups give them.

    ``link_to`` is a person who is signed in, and wants the provider to vouch for them from now on. A member with an
    address of a domain that the tenant captures is linked at their first sign-in, see ``captured_member``.

    Raises ``NoRole`` for somebody who would have no role or was not provisioned, and ``SingleSignOnFailed`` for a
    person who is disabled or whom the directory has removed, or if the identity or the person is linked with another
    one.
    """
    by_directory = provisioned.is_used(session, provider)
    if by_directory:
        provisioned.lock(session, tenant.id)
    roles = wanted_roles(provider, who.groups)
    identity = session.get(FederatedIdentity, (provider.id, who.subject), with_for_update=True)
    if link_to is None and identity is None and who.confirmed_address is not None and not by_directory:
        link_to = captured_member(session, provider, who.confirmed_address)
    if link_to is not None:
        identity = _linked(session, provider, who, identity, link_to)
    if by_directory:
        identity, groups = _of_directory(session, provider, who, identity)
        roles = roles if groups is None else wanted_roles(provider, groups)
    if identity is None:
        if not roles:
            raise NoRole
        identity = _made(session, tenant, provider, who)
    if identity.shut_out or not identity.user.enabled:
        raise SingleSignOnFailed("Your account is disabled. Ask an administrator of the tenant.")
    give_roles(session, tenant.id, identity, roles)
    return identity


def wanted_roles(provider: IdentityProvider, groups: frozenset[str]) -> frozenset[str]:
    """Return the roles that a provider gives to whoever is in these groups."""
    given = {each.role for each in provider.roles if each.group in groups}
    return frozenset(given | ({provider.default_role} if provider.default_role else set()))


def give_roles(
    session: Session, tenant_id: UUID, identity: FederatedIdentity | ProvisionedPerson, roles: frozenset[str]
) -> None:
    """Give a person these roles, and take those that they had from the provider before. Others they keep.

    The tenant's last administrator stays one.
    """
    own = select(Grant).where(Grant.tenant_id == tenant_id, Grant.user_id == identity.user_id)
    held = {grant.role: grant for grant in session.scalars(own)}
    before = set(identity.roles.split())
    kept = set()
    for role in sorted(roles - held.keys()):
        add_grant(session, tenant_id, role, login=identity.user.login)
    for role in sorted((before - roles) & held.keys()):
        try:
            with session.begin_nested():
                revoke(session, tenant_id, held[role].id)
        except LastAdmin:
            kept.add(role)
    # A role that somebody had before is not the provider's to take.
    identity.roles = " ".join(sorted((roles - held.keys()) | (before & roles) | kept))


def _linked(
    session: Session, provider: IdentityProvider, who: Vouched, identity: FederatedIdentity | None, user_id: UUID
) -> FederatedIdentity:
    if identity is not None and identity.user_id != user_id:
        raise SingleSignOnFailed("Somebody else here is linked with this account of the identity provider.")
    if identity is not None:
        return identity
    other = exists().where(FederatedIdentity.provider_id == provider.id, FederatedIdentity.user_id == user_id)
    if session.scalar(select(other)):
        raise SingleSignOnFailed("You are linked with another account of the identity provider.")
    return _identity(session, provider, who, session.get_one(User, user_id), "link")


def make_person(
    session: Session, tenant_id: UUID, provider: IdentityProvider, login: str, name: str, known_as: str
) -> User:
    """Make a person for whom the provider vouches. ``known_as`` is what it calls them itself."""
    user = create_user(session, _free_login(session, tenant_id, login, known_as), name=name_for(name))
    user.identity_provider_id = provider.id
    return user


def _of_directory(
    session: Session, provider: IdentityProvider, who: Vouched, identity: FederatedIdentity | None
) -> tuple[FederatedIdentity | None, frozenset[str] | None]:
    """Return the identity of a person who was provisioned, and their groups, or None if the directory tells no groups.

    Of somebody whom the directory does not know, return ``identity``. Raises ``NoRole`` if it decides who comes in.
    """
    user_id = None if identity is None else identity.user_id
    person = provisioned.find(session, provider.id, user_id, who.ids, who.confirmed_address)
    if person is None:
        if provider.only_provisioned:
            raise NoRole
        return identity, None
    if identity is None:
        identity = _identity(session, provider, who, person.user, "link")
        identity.roles = person.roles
    elif person.user_id != identity.user_id:
        provisioned.move(session, person, identity.user)
    if not person.active:
        raise SingleSignOnFailed("Your account is disabled. Ask an administrator of the tenant.")
    identity.shut_out = False
    return identity, provisioned.groups_of(session, person) if provisioned.has_groups(session, provider.id) else None


def _made(session: Session, tenant: Tenant, provider: IdentityProvider, who: Vouched) -> FederatedIdentity:
    user = make_person(session, tenant.id, provider, who.login, who.name, who.subject)
    return _identity(session, provider, who, user, "provision")


def _identity(session: Session, provider: IdentityProvider, who: Vouched, user: User, how: str) -> FederatedIdentity:
    identity = FederatedIdentity(provider_id=provider.id, subject=who.subject, user=user, roles="")
    session.add(identity)
    session.flush()
    slug = session.scalar(select(Tenant.slug).where(Tenant.id == provider.tenant_id))
    detail = {"login": user.login, "subject": who.subject}
    record(session, f"identity_provider.{how}", tenant_id=provider.tenant_id, slug=slug, detail=detail)
    return identity


def _free_login(session: Session, tenant_id: UUID, wanted: str, known_as: str) -> str:
    """Return a login for a person, with the mark of the tenant that service accounts have too.

    The first two are taken if another provider of the tenant has made the same person. Nobody has the last one.
    """
    mark = tenant_id.hex[-12:]
    digest = sha256(known_as.encode()).hexdigest()
    for base in (wanted[:200], f"{wanted[:200]}.{digest[:8]}"):
        try:
            login = check_login(f"{base}@{mark}")
        except InvalidValue:
            continue
        if not _is_taken(session, login):
            return login
    return check_login(f"person.{uuid4().hex}@{mark}")


def _is_taken(session: Session, login: str) -> bool:
    alike = (User.login == login) | (User.login_skeleton == skeleton_hash(login))
    return bool(session.scalar(select(exists().where(alike))))


def name_for(text: str) -> str:
    """Return the name of a person who is called like this elsewhere."""
    try:
        return clean_name(text[:NAME_LENGTH])
    except InvalidValue:
        return "Person"
