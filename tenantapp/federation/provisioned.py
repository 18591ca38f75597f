"""Find people and groups that the directory of a tenant has provisioned, and who of them signs in."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from tenantapp.federation.errors import AccountDisabled, NoRole
from tenantapp.federation.models import (
    FederatedIdentity,
    IdentityProvider,
    ProvisionedGroup,
    ProvisionedGroupMember,
    ProvisionedPerson,
)
from tenantapp.identity.models import User
from tenantapp.identity.tenants import locked_tenant
from tenantapp.identity.users import get_user, set_enabled


def lock(session: Session, tenant_id: UUID) -> None:
    """Let nobody else change people of the tenant until the transaction ends, so that all take locks in one order."""
    locked_tenant(session, tenant_id)


def is_used(session: Session, provider: IdentityProvider) -> bool:
    """Return whether the directory tells of people, or alone decides who comes in."""
    told = exists().where(ProvisionedPerson.provider_id == provider.id)
    return provider.only_provisioned or bool(session.scalar(select(told)))


def enable(session: Session, user: User) -> None:
    """Enable the account of a person whom the directory lets in again, after it has shut them out.

    Raises ``AccountDisabled`` if others disabled the account: an operator, or the person who has asked to be forgotten.
    """
    user = get_user(session, user.login, for_update=True)
    if not user.enabled and not user.disabled_by_provider:
        raise AccountDisabled
    set_enabled(session, user.login, True)


def has_groups(session: Session, provider_id: UUID) -> bool:
    """Return whether the directory tells groups. Then those that the provider names at a sign-in do not count."""
    return bool(session.scalar(select(exists().where(ProvisionedGroup.provider_id == provider_id))))


def key_of(name: str) -> str:
    """Return the form in which the name of a person or a group is compared: case does not count (RFC 7643)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


def is_linked(session: Session, person: ProvisionedPerson) -> bool:
    """Return whether the person has ever signed in by the provider."""
    return identity_of(session, person) is not None


def identity_of(session: Session, person: ProvisionedPerson) -> FederatedIdentity | None:
    """Return what the provider knows a person by, who has signed in by it."""
    return session.scalar(
        select(FederatedIdentity).where(
            FederatedIdentity.provider_id == person.provider_id, FederatedIdentity.user_id == person.user_id
        )
    )


def find(
    session: Session, provider_id: UUID, user_id: UUID | None, ids: Sequence[str], address: str | None
) -> ProvisionedPerson | None:
    """Return who signs in: the person of ``user_id``, or else one who was provisioned and never signed in.

    They are found by the ``externalId`` that is one of ``ids``, or by a ``userName`` that is an address which the
    provider has confirmed. Nothing else of what a provider says counts: people may choose how they are called there.
    """
    of_provider = select(ProvisionedPerson).where(ProvisionedPerson.provider_id == provider_id)
    if user_id is not None:
        own = session.scalar(of_provider.where(ProvisionedPerson.user_id == user_id))
        if own is not None:
            return own
    by_id = ProvisionedPerson.external_id.in_(ids)
    by_address = ProvisionedPerson.user_name_key == key_of(address) if address else by_id
    found = session.scalars(of_provider.where(or_(by_id, by_address))).all()
    # The id prevails over the address, and the subject over other ids.
    found = sorted(found, key=lambda person: ids.index(person.external_id) if person.external_id in ids else len(ids))
    return next((person for person in found if not is_linked(session, person)), None)


def move(session: Session, person: ProvisionedPerson, user: User) -> None:
    """Let the directory speak of a person who was there before, in place of the one that it has made for them.

    Raises ``NoRole`` for an operator, and ``AccountDisabled`` as ``enable`` does.
    """
    made = person.user
    if user.operator or made.identity_provider_id != person.provider_id:
        raise NoRole
    if person.active:
        enable(session, made)
    person.user, person.roles = user, ""
    session.flush()
    session.delete(made)
    session.flush()
    if person.active and user.identity_provider_id == person.provider_id:
        enable(session, user)


def groups_of(session: Session, person: ProvisionedPerson) -> frozenset[str]:
    """Return the groups of a person: their names, and what the directory calls them itself."""
    rows = session.execute(
        select(ProvisionedGroup.display_name, ProvisionedGroup.external_id)
        .join(ProvisionedGroupMember, ProvisionedGroupMember.group_id == ProvisionedGroup.id)
        .where(ProvisionedGroupMember.person_id == person.id)
    )
    return frozenset(text for row in rows for text in row if text is not None)


def members_of(session: Session, group_id: UUID) -> list[UUID]:
    """Return the ids of the provisioned people in a group, the oldest first."""
    of_group = ProvisionedGroupMember.group_id == group_id
    return list(
        session.scalars(
            select(ProvisionedGroupMember.person_id).where(of_group).order_by(ProvisionedGroupMember.person_id)
        )
    )


def members_by_group(session: Session, group_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Return the same for each of these groups. One without members is left out."""
    of_group, found = ProvisionedGroupMember.group_id, defaultdict(list)
    rows = select(of_group, ProvisionedGroupMember.person_id).where(of_group.in_(group_ids))
    for group_id, person_id in session.execute(rows.order_by(ProvisionedGroupMember.person_id)):
        found[group_id].append(person_id)
    return found


def count_members(session: Session, group_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many members each of these groups has. One without members is left out."""
    of_group = ProvisionedGroupMember.group_id
    numbers = select(of_group, func.count()).where(of_group.in_(group_ids)).group_by(of_group)
    return {row[0]: row[1] for row in session.execute(numbers)}
