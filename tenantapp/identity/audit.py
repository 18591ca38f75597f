"""Keep the audit trail: who did what to which tenant.

Services write their entries in their own transaction. So the trail has exactly the changes that were committed.
"""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import ADDRESS_LENGTH, AuditEntry, Tenant
from tenantapp.identity.names import LOCAL
from tenantapp.tenancy.access import ACTOR, Actor, Person
from tenantapp.tenancy.dbfactory import DBFactory

NO_DETAIL: Final[Mapping[str, Any]] = MappingProxyType({})
# What the people of a tenant do themselves, and of the work of operators, what has nothing of the machines in it.
BY_PEOPLE: Final = (
    *("session.", "identity_provider.", "scim.", "domain.", "member.", "service_account.", "token.", "export."),
    *("invitation.", "webhook.", "job.", "settings."),
)
IMPERSONATOR: Final = "impersonator"  # the key in the detail of an entry that an operator has caused as somebody else


class Naming(StrEnum):
    """How the text under a key of a detail may name a person."""

    LOGIN = "login"  # it is the login of a person, or what somebody typed as theirs
    ADDRESS = "address"  # it is a mail address
    SUBJECT = "subject"  # it is what an identity provider calls the person whose login is beside it
    TEXT = "text"  # somebody wrote it, so it may have a name in it


# Each key in the detail of an entry, and in the arguments of an operation, whose value may name a person. Nothing is
# erased under another key when a person is forgotten. See ``audit.named_person``.
NAMING: Final[Mapping[str, Naming]] = MappingProxyType(
    {
        **dict.fromkeys(("login", "user", "administrator", IMPERSONATOR), Naming.LOGIN),
        "address": Naming.ADDRESS,
        "subject": Naming.SUBJECT,
        **dict.fromkeys(("name", "reason"), Naming.TEXT),
    }
)
ARGUMENTS: Final = "arguments"  # the key of the arguments of an operation in the detail of its entry
ABOUT_TENANT: Final = frozenset(
    {
        *("tenant.suspend", "tenant.resume", "tenant.rename", "tenant.delete", "tenant.undelete", "tenant.expire"),
        "tenant.quota",
        *("impersonation.start", "impersonation.end"),
    }
)


def local_requester() -> str:
    """Return ``local:`` and the name of the user who runs this process. Commands and scripts act under this name."""
    try:
        return f"{LOCAL}{getpass.getuser()}"
    except (OSError, KeyError):
        # The user of a container may have no name.
        return f"{LOCAL}{os.getuid()}"


def record(
    session: Session,
    action: str,
    *,
    tenant_id: UUID | None = None,
    slug: str | None = None,
    detail: Mapping[str, Any] = NO_DETAIL,
    by: str | None = None,
    person: Person | None = None,
) -> None:
    """Write an entry in the session's transaction.

    ``action`` has the form ``what.how``. ``detail`` is JSON without secrets. What may name a person is under a key of
    ``NAMING``. The actor is in the session's ``info``. If it has none, the actor is ``by`` or ``local_requester()``. If
    nobody is signed in, ``by`` replaces the actor's name. ``person`` is the actor whoever is signed in: the one who
    signs in just now. If an API token was used, its id is added to the detail as ``api_token``. If an operator works as
    the actor, their login is added as ``impersonator``.
    """
    actor = _actor(session, by)
    if person is not None:
        actor = replace(actor, name=person.login, id=person.id)
    by_token = {} if actor.api_token_id is None else {"api_token": str(actor.api_token_id)}
    by_operator = {} if actor.impersonator is None else {IMPERSONATOR: actor.impersonator}
    entry = AuditEntry(
        actor_id=actor.id,
        actor=actor.name,
        action=action,
        tenant_id=tenant_id,
        slug=slug,
        detail={**detail, **by_token, **by_operator},
        request_id=actor.request_id,
        address=actor.address and actor.address[:ADDRESS_LENGTH],
    )
    session.add(entry)


@contextmanager
def recording(user_db: DBFactory, actor: Actor) -> Iterator[Session]:
    """Yield a session that writes entries in the name of the actor, in a transaction of its own.

    Use it to record that data is about to be read. The entries are committed before the reading begins, so no reading
    is unrecorded, and no lock is held meanwhile.
    """
    with user_db.begin() as session:
        session.info[ACTOR] = actor
        yield session


def list_entries(
    session: Session,
    *,
    slug: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    """Return entries, the newest first.

    ``slug`` selects the entries of the tenant that has this slug now, and those of tenants that had it at the time of
    the entry. ``before`` continues a list: only entries with smaller ids are returned.
    """
    statement = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if slug is not None:
        now_called_so = select(Tenant.id).where(Tenant.slug == slug).scalar_subquery()
        statement = statement.where(or_(AuditEntry.slug == slug, AuditEntry.tenant_id == now_called_so))
    if actor is not None:
        statement = statement.where(AuditEntry.actor == actor)
    if action is not None:
        statement = statement.where(AuditEntry.action == action)
    if before is not None:
        statement = statement.where(AuditEntry.id < before)
    return list(session.scalars(statement))


def list_own_entries(
    session: Session,
    tenant_id: UUID,
    *,
    actor: str | None = None,
    action: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    """Return the entries of a tenant for its administrators, the newest first. ``before`` is as in ``list_entries``.

    They are found by the id of the tenant, because another tenant may have had its slug. ``actor`` selects only entries
    in which the actor is shown: a filter must not tell who the others were.
    """
    statement = select(AuditEntry).where(AuditEntry.tenant_id == tenant_id).order_by(AuditEntry.id.desc()).limit(limit)
    if actor is not None:
        of_people = or_(*(AuditEntry.action.startswith(family, autoescape=True) for family in BY_PEOPLE))
        statement = statement.where(
            AuditEntry.actor == actor, of_people, ~AuditEntry.actor.startswith(LOCAL, autoescape=True)
        )
    if action is not None:
        statement = statement.where(AuditEntry.action == action)
    if before is not None:
        statement = statement.where(AuditEntry.id < before)
    return list(session.scalars(statement))


def describe_own_entry(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as the administrators of the tenant see it: without operators, addresses, servers and databases.

    Of what operators did, ``actor`` is null, and ``detail`` is empty unless it is about the tenant alone. Who lets
    people in is named, operators too. With ``impersonated``, an operator did it as the actor, and is not named.
    """
    by_people = entry.action.startswith(BY_PEOPLE)
    told = entry.detail if by_people or entry.action in ABOUT_TENANT else {}
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor if by_people and not entry.actor.startswith(LOCAL) else None,
        "action": entry.action,
        "detail": {key: value for key, value in told.items() if key != IMPERSONATOR},
        "impersonated": IMPERSONATOR in entry.detail,
    }


def describe_entry(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as operators see it, over HTTP and on the command line."""
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "action": entry.action,
        "tenant_id": entry.tenant_id,
        "slug": entry.slug,
        "detail": entry.detail,
        "request_id": entry.request_id,
        "address": entry.address,
    }


def _actor(session: Session, by: str | None) -> Actor:
    actor: Actor | None = session.info.get(ACTOR)
    if actor is None:
        return Actor(by or local_requester())
    return replace(actor, name=by) if by and actor.id is None else actor
