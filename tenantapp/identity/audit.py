"""The audit trail: who did what to which tenant.

The services that do it write the entry, in their own transaction: what is rolled back is not in the trail, and what is
in the trail was done.
"""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import ADDRESS_LENGTH, AuditEntry, Tenant
from tenantapp.identity.names import LOCAL
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import REQUEST

NO_DETAIL: Final[Mapping[str, Any]] = MappingProxyType({})
NOBODY: Final = "not signed in"  # a login has no spaces


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a login, or ``local:NAME`` for who works on this machine without having signed in."""

    name: str
    id: UUID | None = None
    request_id: str | None = None
    address: str | None = None


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

    It is done by the person of the session's request; without one by ``by``, or by whoever runs this program.
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
        address=actor.address,
    )
    session.add(entry)


@contextmanager
def recording(request: Any) -> Iterator[Session]:
    """A session that writes entries in the name of the request's person, in a transaction of its own.

    For what is only read: before it is, so that nobody waits meanwhile and no reading goes untold.
    """
    with request.registry.user_db.begin() as session:
        session.info[REQUEST] = request
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


def sweep_entries(session: Session, older: timedelta) -> int:
    """Delete the entries that are so old. Returns how many."""
    old = delete(AuditEntry).where(AuditEntry.at < utcnow() - older)
    return cast("CursorResult[object]", session.execute(old)).rowcount


def _actor(session: Session, by: str | None) -> Actor:
    request = session.info.get(REQUEST)
    if request is None:
        return Actor(by or local_requester())
    access = request.identity
    # Not what the client says of itself in X-Forwarded-For: the server has read what a trusted proxy says.
    address = (request.remote_addr or "")[:ADDRESS_LENGTH] or None
    if access is None:
        return Actor(by or NOBODY, request_id=request.request_id, address=address)
    return Actor(access.person.login, access.person.id, request.request_id, address)
