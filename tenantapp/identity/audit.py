"""The audit trail: who did what to which tenant.

The services that do it write the entry, in their own transaction: what is rolled back is not in the trail, and what is
in the trail was done.
"""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import ADDRESS_LENGTH, AuditEntry, Tenant
from tenantapp.identity.names import LOCAL
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, Actor
from tenantapp.tenancy.dbfactory import DBFactory

NO_DETAIL: Final[Mapping[str, Any]] = MappingProxyType({})


def local_requester() -> str:
    """Who does something on this machine, without having signed in."""
    try:
        return f"{LOCAL}{getpass.getuser()}"
    except (OSError, KeyError):
        # A container's user need not have a name.
        return f"{LOCAL}{os.getuid()}"


def record(
    session: Session,
    action: str,
    *,
    tenant_id: UUID | None = None,
    slug: str | None = None,
    detail: Mapping[str, Any] = NO_DETAIL,
    by: str | None = None,
) -> None:
    """Write an entry with what the session does. ``action`` is named ``what.how``; ``detail`` is JSON, and no secret.

    The session's ``info`` has the actor. Without one, or without a person, it is ``by``, or whoever runs this program.
    """
    actor = _actor(session, by)
    entry = AuditEntry(
        actor_id=actor.id,
        actor=actor.name,
        action=action,
        tenant_id=tenant_id,
        slug=slug,
        detail=dict(detail),
        request_id=actor.request_id,
        address=actor.address and actor.address[:ADDRESS_LENGTH],
    )
    session.add(entry)


@contextmanager
def recording(user_db: DBFactory, actor: Actor) -> Iterator[Session]:
    """Yield a session that writes entries in the name of the actor, in a transaction of its own.

    For what is only read: before it is, so that nobody waits meanwhile and no reading goes untold.
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
    """The newest entries, newest first; keyset by id.

    With ``slug`` those of the tenant that is called so now, whatever it was called then, and those of whichever was
    called so then.
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


def describe_entry(entry: AuditEntry) -> dict[str, Any]:
    """Return what operators see of an entry, over HTTP and on the command line alike."""
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


def sweep_entries(session: Session, older: timedelta) -> int:
    """Delete the entries that are so old. Returns how many."""
    old = delete(AuditEntry).where(AuditEntry.at < utcnow() - older)
    return cast("CursorResult[object]", session.execute(old)).rowcount


def _actor(session: Session, by: str | None) -> Actor:
    actor: Actor | None = session.info.get(ACTOR)
    if actor is None:
        return Actor(by or local_requester())
    return replace(actor, name=by) if by and actor.id is None else actor
