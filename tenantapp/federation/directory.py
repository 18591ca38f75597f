"""Do what the directory of a tenant says by SCIM: people come and go, and groups give them roles.

The directory speaks for its tenant alone. It makes people, and changes those that it has made or that were linked with
the tenant's provider, but for operators. Whoever it removes loses the tenant from the next request on. Each function
runs under ``provisioned.lock``, and writes to the audit trail what it does.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from tenantapp.federation import provisioned
from tenantapp.federation.models import (
    EXTERNAL_ID_LENGTH,
    GROUP_LENGTH,
    FederatedIdentity,
    IdentityProvider,
    ProvisionedGroup,
    ProvisionedGroupMember,
    ProvisionedPerson,
)
from tenantapp.federation.people import give_roles, make_person, name_for, wanted_roles
from tenantapp.identity.api_tokens import revoke_token
from tenantapp.identity.audit import record
from tenantapp.identity.errors import AlreadyExists, InvalidValue
from tenantapp.identity.grants import remove_grant
from tenantapp.identity.members import keeping_admins
from tenantapp.identity.models import LOGIN_LENGTH, ApiToken, Grant, Invitation, Tenant, User, WebSession
from tenantapp.identity.users import rename_user, set_enabled
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many people and groups a directory may tell of, and how many members of a group with a role change at once.

    A filter without an index looks at ``looked_at`` people or groups. The groups of a page have ``members`` members in
    all, unless it is a single group.
    """

    people: int = 100_000
    groups: int = 10_000
    changed: int = 1000
    looked_at: int = 1000
    members: int = 5000


BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory of a tenant, in a transaction that may change people."""

    session: Session
    tenant: TenantPlace
    provider: IdentityProvider
    bounds: Bounds = BOUNDS


@dataclass(frozen=True, slots=True)
class PersonContent:
    """What the directory says of a person. ``name`` is how others see them, ``document`` is only given back."""

    user_name: str
    external_id: str | None
    name: str
    active: bool
    document: Mapping[str, Any]


def add_person(directory: Directory, content: PersonContent) -> ProvisionedPerson:
    """Make a person, or take on the one whom the provider knows by ``external_id``.

    From the first one on nobody comes in by the provider of whom the directory does not tell, unless an administrator
    has decided on it. Raises ``AlreadyExists`` if it has told of them before, ``InvalidValue``, and ``AccountDisabled``
    if they may not be let in.
    """
    session, provider = directory.session, directory.provider
    _check_person(directory, content, None)
    _check_number(session, ProvisionedPerson, provider.id, directory.bounds.people, "people")
    _close(directory)
    user = _known_to_provider(directory, content.external_id) or make_person(
        session, directory.tenant.id, provider, content.user_name, content.name, content.user_name
    )
    person = ProvisionedPerson(
        provider_id=provider.id,
        user=user,
        user_name=content.user_name,
        user_name_key=provisioned.key_of(content.user_name),
        external_id=content.external_id,
        document=dict(content.document),
        active=content.active,
        roles="",
    )
    session.add(person)
    session.flush()
    _record(directory, "scim.person_add", person)
    if content.active:
        _let_in(directory, person)
    else:
        _shut_out(directory, person)
    return person


def change_person(directory: Directory, person: ProvisionedPerson, content: PersonContent) -> None:
    """Change what the directory says of a person.

    Raises ``AlreadyExists``, ``InvalidValue``, ``LastAdmin``, and ``AccountDisabled`` if they may not be let in again.
    """
    _check_person(directory, content, person.id)
    was_active, person.active = person.active, content.active
    person.user_name, person.user_name_key = content.user_name, provisioned.key_of(content.user_name)
    person.external_id, person.document = content.external_id, dict(content.document)
    _changed(person)
    directory.session.flush()
    if _is_owned(person) and person.user.name != name_for(content.name):
        rename_user(directory.session, person.user_id, name_for(content.name))
    if was_active != content.active:
        _record(directory, "scim.person_activate" if content.active else "scim.person_deactivate", person)
        (_let_in if content.active else _shut_out)(directory, person)


def remove_person(directory: Directory, person: ProvisionedPerson) -> None:
    """Remove a person from the tenant. Who has never signed in goes altogether. Raises ``LastAdmin``."""
    session, user = directory.session, person.user
    _record(directory, "scim.person_remove", person)
    _shut_out(directory, person)
    goes = _is_owned(person) and not provisioned.is_linked(session, person)
    session.delete(person)
    session.flush()
    if goes:
        session.delete(user)
        session.flush()


def add_group(directory: Directory, name: str, external_id: str | None, members: Collection[UUID]) -> ProvisionedGroup:
    """Make a group. Raises ``InvalidValue``."""
    _check_group(name, external_id)
    _check_number(directory.session, ProvisionedGroup, directory.provider.id, directory.bounds.groups, "groups")
    group = ProvisionedGroup(
        provider_id=directory.provider.id,
        display_name=name,
        display_name_key=provisioned.key_of(name),
        external_id=external_id,
    )
    directory.session.add(group)
    directory.session.flush()
    _record_group(directory, "scim.group_add", group)
    _set_members(directory, group, members, renamed=False)
    return group


def change_group(
    directory: Directory, group: ProvisionedGroup, name: str, external_id: str | None, members: Collection[UUID]
) -> None:
    """Change a group and who is in it. Raises ``InvalidValue``."""
    _check_group(name, external_id)
    renamed = (group.display_name, group.external_id) != (name, external_id)
    before = _gives_roles(directory, group)
    group.display_name, group.display_name_key, group.external_id = name, provisioned.key_of(name), external_id
    _changed(group)
    directory.session.flush()
    _record_group(directory, "scim.group_change", group)
    _set_members(directory, group, members, renamed=renamed and (before or _gives_roles(directory, group)))


def remove_group(directory: Directory, group: ProvisionedGroup) -> None:
    """Remove a group. Its members lose the roles that it gave them."""
    session = directory.session
    _record_group(directory, "scim.group_remove", group)
    gave, members = _gives_roles(directory, group), provisioned.members_of(session, group.id)
    session.execute(delete(ProvisionedGroupMember).where(ProvisionedGroupMember.group_id == group.id))
    session.delete(group)
    session.flush()
    if gave:
        _refresh(directory, members)


def _set_members(directory: Directory, group: ProvisionedGroup, members: Collection[UUID], *, renamed: bool) -> None:
    session, wanted = directory.session, set(members)
    before = set(provisioned.members_of(session, group.id))
    come, leave = wanted - before, before - wanted
    if _gives_roles(directory, group) and len(come | leave) > directory.bounds.changed:
        raise InvalidValue(
            "members", f"Change at most {directory.bounds.changed} members of a group with a role at a time."
        )
    _check_members(directory, come)
    session.add_all(ProvisionedGroupMember(group_id=group.id, person_id=person_id) for person_id in come)
    gone = ProvisionedGroupMember.person_id.in_(leave)
    session.execute(delete(ProvisionedGroupMember).where(ProvisionedGroupMember.group_id == group.id, gone))
    session.flush()
    if renamed:
        _refresh(directory, wanted | leave)
    elif _gives_roles(directory, group):
        _refresh(directory, come | leave)


def _refresh(directory: Directory, people: Collection[UUID]) -> None:
    """Give these people the roles of the groups that they are in now, and take the others that they had from them."""
    for person in _people(directory, ProvisionedPerson.id.in_(people)):
        if person.active:
            _give_roles(directory, person)


def _close(directory: Directory) -> None:
    """Let nobody else come in, unless that was decided before, by an administrator too: read under the lock."""
    session, provider, tenant = directory.session, directory.provider, directory.tenant
    session.refresh(provider, ["only_provisioned", "admission_decided"])
    if not provider.admission_decided:
        provider.only_provisioned = provider.admission_decided = True
        session.flush()
        detail = {"issuer": provider.issuer}
        record(session, "identity_provider.close", tenant_id=tenant.id, slug=tenant.slug, detail=detail)


def _let_in(directory: Directory, person: ProvisionedPerson) -> None:
    if _is_owned(person):
        provisioned.enable(directory.session, person.user)
    identity = provisioned.identity_of(directory.session, person)
    if identity is not None:
        identity.shut_out = False
    _give_roles(directory, person)


def _shut_out(directory: Directory, person: ProvisionedPerson) -> None:
    """Take all roles in the tenant, revoke tokens and invitations for it, and end the sessions by the provider."""
    session, tenant, user = directory.session, directory.tenant, person.user
    with keeping_admins(session, Tenant.id == tenant.id):
        for grant in session.scalars(select(Grant).where(Grant.tenant_id == tenant.id, Grant.user_id == user.id)):
            remove_grant(session, grant)
        if _is_owned(person):
            set_enabled(session, user.login, False, by_provider=True)
    _revoke_invitations(directory, user)
    for token_id in session.scalars(
        select(ApiToken.id).where(ApiToken.tenant_id == tenant.id, ApiToken.user_id == user.id)
    ).all():
        revoke_token(session, token_id)
    by_provider = WebSession.identity_provider_id == person.provider_id
    session.execute(delete(WebSession).where(WebSession.user_id == user.id, by_provider))
    _holder(session, person).roles = ""
    identity = provisioned.identity_of(session, person)
    if identity is not None:
        identity.shut_out = True
    session.flush()


def _revoke_invitations(directory: Directory, user: User) -> None:
    session, tenant = directory.session, directory.tenant
    whom = Invitation.login == user.login
    if user.mail_address is not None:
        whom |= Invitation.mail_address == user.mail_address
    for invitation in session.scalars(select(Invitation).where(Invitation.tenant_id == tenant.id, whom)):
        detail = {"login": user.login, "role": invitation.role, "invitation": str(invitation.id)}
        record(session, "invitation.revoke", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
        session.delete(invitation)


def _give_roles(directory: Directory, person: ProvisionedPerson) -> None:
    groups = provisioned.groups_of(directory.session, person)
    roles = wanted_roles(directory.provider, groups)
    give_roles(directory.session, directory.tenant.id, _holder(directory.session, person), roles)
    directory.session.flush()


def _holder(session: Session, person: ProvisionedPerson) -> FederatedIdentity | ProvisionedPerson:
    """Return who has noted which roles the person has from the provider."""
    return provisioned.identity_of(session, person) or person


def _is_owned(person: ProvisionedPerson) -> bool:
    """Return whether the provider vouches for all of the account. Others only have it linked, and it is theirs."""
    return person.user.identity_provider_id == person.provider_id


def _known_to_provider(directory: Directory, external_id: str | None) -> User | None:
    """Return a person who signs in by the provider under this subject, and of whom the directory has not told yet."""
    identity = directory.session.get(FederatedIdentity, (directory.provider.id, external_id)) if external_id else None
    if identity is None or identity.user.operator:
        return None
    told = ProvisionedPerson.user_id == identity.user_id
    return None if list(_people(directory, told)) else identity.user


def _people(directory: Directory, condition: ColumnElement[bool]) -> list[ProvisionedPerson]:
    of_provider = ProvisionedPerson.provider_id == directory.provider.id
    return list(directory.session.scalars(select(ProvisionedPerson).where(of_provider, condition)))


def _gives_roles(directory: Directory, group: ProvisionedGroup) -> bool:
    return any(each.group in (group.display_name, group.external_id) for each in directory.provider.roles)


def _check_person(directory: Directory, content: PersonContent, own: UUID | None) -> None:
    if not 1 <= len(content.user_name) <= LOGIN_LENGTH:
        raise InvalidValue("userName", f"A userName has 1 to {LOGIN_LENGTH} characters.")
    _check_external_id(content.external_id)
    same = ProvisionedPerson.user_name_key == provisioned.key_of(content.user_name)
    if content.external_id is not None:
        same |= ProvisionedPerson.external_id == content.external_id
    if any(person.id != own for person in _people(directory, same)):
        raise AlreadyExists("person with the userName or the externalId of", content.user_name)


def _check_group(name: str, external_id: str | None) -> None:
    if not 1 <= len(name) <= GROUP_LENGTH:
        raise InvalidValue("displayName", f"A group's displayName has 1 to {GROUP_LENGTH} characters.")
    _check_external_id(external_id)


def _check_external_id(external_id: str | None) -> None:
    if external_id is not None and not 1 <= len(external_id) <= EXTERNAL_ID_LENGTH:
        raise InvalidValue("externalId", f"An externalId has 1 to {EXTERNAL_ID_LENGTH} characters.")


def _check_members(directory: Directory, ids: Collection[UUID]) -> None:
    if ids and len(_people(directory, ProvisionedPerson.id.in_(ids))) != len(ids):
        raise InvalidValue("members", "A member is not among the people of this directory.")


def _check_number(session: Session, model: Any, provider_id: UUID, most: int, what: str) -> None:
    if (session.scalar(select(func.count()).where(model.provider_id == provider_id)) or 0) >= most:
        raise InvalidValue(what, f"No tenant has more than {most} {what} of a directory.")


def _changed(row: ProvisionedPerson | ProvisionedGroup) -> None:
    row.changed_at, row.version = utcnow(), row.version + 1


def _record(directory: Directory, action: str, person: ProvisionedPerson) -> None:
    # No name that only the directory knows: the trail keeps it when the person is forgotten.
    detail = {"login": person.user.login, "person": str(person.id)}
    tenant = directory.tenant
    record(directory.session, action, tenant_id=tenant.id, slug=tenant.slug, detail=detail)


def _record_group(directory: Directory, action: str, group: ProvisionedGroup) -> None:
    tenant = directory.tenant
    detail = {"group": group.display_name, "id": str(group.id)}
    record(directory.session, action, tenant_id=tenant.id, slug=tenant.slug, detail=detail)
