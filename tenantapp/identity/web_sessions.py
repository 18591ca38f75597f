"""Start, find and end web sessions. A web session is a signed-in browser, and a row of the user database.

What may lead to one, or to the account, and waits to be used ends here too: see ``end_pending``.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Table, delete, insert, or_, select, update
from sqlalchemy.orm import Session, joinedload

from tenantapp.identity.audit import IMPERSONATOR, record
from tenantapp.identity.errors import NotFound, SessionEnded
from tenantapp.identity.models import OneTimeLink, SignInChallenge, Tenant, User, WebSession
from tenantapp.settings import Settings
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import GrantedTenant, Person, TenantPlace

USER_AGENT_LENGTH = 200
# What the audit trail says of a web session.
_TOLD: Final = (
    WebSession.id,
    WebSession.user_id,
    select(User.login).where(User.id == WebSession.user_id).scalar_subquery().label("login"),
    select(User.name).where(User.id == WebSession.user_id).scalar_subquery().label("name"),
    WebSession.tenant_id,
    select(Tenant.slug).where(Tenant.id == WebSession.tenant_id).scalar_subquery().label("slug"),
    WebSession.impersonator_id,
    WebSession.impersonator,
)

# On the table, not on the model, which takes several times as long.
_START: Final = insert(cast(Table, WebSession.__table__))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a web session lasts without use (``idle``), and how long at most (``absolute``)."""

    idle: timedelta
    absolute: timedelta


def lifetimes_of(settings: Settings) -> Lifetimes:
    """Return the lifetimes in the settings."""
    return Lifetimes(
        idle=timedelta(seconds=settings.session_idle_timeout),
        absolute=timedelta(seconds=settings.session_absolute_timeout),
    )


def new_token() -> str:
    """Return a new token, the secret id of a web session: 256 random bits as 43 characters for a cookie."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a token, which is stored in its place. A slow hash is not needed for 256 random bits."""
    return hashlib.sha256(token.encode()).digest()


def csrf_token(token: str) -> str:
    """Return the CSRF token of a web session. It is derived from the token, so it need not be stored."""
    return urlsafe_b64encode(hmac.digest(token.encode(), b"csrf", hashlib.sha256)).rstrip(b"=").decode()


def start(
    session: Session,
    token: str,
    person: Person,
    tenant: GrantedTenant | Tenant | TenantPlace | None,
    lifetimes: Lifetimes,
    user_agent: str | None,
    factors: Iterable[str],
    *,
    identity_provider_id: UUID | None = None,
    authenticated_at: datetime | None = None,
) -> None:
    """Store a web session for a new token. ``factors`` are what the person, who is stored, has proved who they are by.

    They did so at ``authenticated_at``, which defaults to the present time, or ``identity_provider_id`` vouches for it.
    """
    now, web_session_id = utcnow(), uuid7()
    tenant_id, slug = (None, None) if tenant is None else (tenant.id, tenant.slug)
    _store(
        session,
        id=web_session_id,
        token_hash=hash_token(token),
        user_id=person.id,
        tenant_id=tenant_id,
        user_agent=user_agent[:USER_AGENT_LENGTH] if user_agent else None,
        created_at=now,
        last_seen_at=now,
        expires_at=now + lifetimes.absolute,
        authenticated_at=authenticated_at or now,
        factors=joined(factors),
        identity_provider_id=identity_provider_id,
    )
    detail = {"session": str(web_session_id), "factors": sorted(set(factors))}
    record(session, "session.start", tenant_id=tenant_id, slug=slug, detail=detail, person=person)


def _store(session: Session, **columns: Any) -> None:
    session.execute(_START, columns)


def switch(session: Session, old_token: str, token: str, tenant_id: UUID) -> None:
    """Select another tenant under a new token. The old token no longer works. Raises ``SessionEnded``."""
    changed = session.execute(
        update(WebSession)
        .where(WebSession.token_hash == hash_token(old_token))
        .values(token_hash=hash_token(token), tenant_id=tenant_id, last_seen_at=utcnow())
        .returning(*_TOLD)
    ).one_or_none()
    if changed is None:
        raise SessionEnded
    _record(session, "session.switch", changed)


def authenticated_again(session: Session, old_token: str, token: str, factors: Iterable[str]) -> None:
    """Note that the person has just proved who they are again, under a new token. Raises ``SessionEnded``.

    ``factors`` are those of the web session until now and those of this time. The old token no longer works.
    """
    now = utcnow()
    changed = session.execute(
        update(WebSession)
        .where(WebSession.token_hash == hash_token(old_token))
        .values(token_hash=hash_token(token), factors=joined(factors), authenticated_at=now, last_seen_at=now)
    )
    if cast("CursorResult[object]", changed).rowcount != 1:
        raise SessionEnded


def add_factor(session: Session, web_session_id: UUID | None, factors: Iterable[str]) -> None:
    """Note the factors of a web session whose person has just set another one up, and so proved to have it."""
    session.execute(update(WebSession).where(WebSession.id == web_session_id).values(factors=joined(factors)))


def joined(factors: Iterable[str]) -> str:
    """Return the factors as a web session and an API token store them."""
    return " ".join(sorted(set(factors)))


def end(session: Session, token: str) -> None:
    """Delete the web session with this token, if there is one."""
    _end(session, WebSession.token_hash == hash_token(token))


def end_by_id(session: Session, web_session_id: UUID | None) -> None:
    """Delete the web session with this row id, if there is one. Its token may have changed."""
    _end(session, WebSession.id == web_session_id)


def end_others(session: Session, user_id: UUID, web_session_id: UUID | None) -> int:
    """Delete all web sessions of a person but this one, and what is pending. Return how many were the person's own."""
    end_pending(session, user_id)
    end_impersonations(session, WebSession.user_id == user_id)
    others = delete(WebSession).where(WebSession.user_id == user_id, WebSession.id != web_session_id)
    ended = cast("CursorResult[object]", session.execute(others)).rowcount
    if ended:
        record(session, "session.end", detail={"sessions": ended})
    return ended


def end_pending(session: Session, user_id: UUID) -> None:
    """End whatever was begun as a person, or sent to them, and waits for its next step: sign-ins and one-time links.

    So it is of no use any more to whoever had the account before. Invitations stay: they let nobody into an account.
    """
    # The person is locked first, as by whoever uses a link: so one waits for the other, and not each for the other.
    session.scalar(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    for model in (SignInChallenge, OneTimeLink):
        session.execute(delete(model).where(model.user_id == user_id))


def end_one(session: Session, user_id: UUID, web_session_id: UUID) -> None:
    """Delete one of a person's own web sessions, or an operator's who works as them.

    Raises ``NotFound``, also for a session of somebody else.
    """
    this = (WebSession.id == web_session_id) & (WebSession.user_id == user_id)
    if not (end_impersonations(session, this) or _end(session, this)):
        raise NotFound("session", web_session_id)


def list_live(session: Session, user_id: UUID, lifetimes: Lifetimes) -> list[WebSession]:
    """Return a person's web sessions that have not expired, the newest first."""
    now = utcnow()
    statement = (
        select(WebSession)
        .where(WebSession.user_id == user_id, WebSession.expires_at > now)
        .where(WebSession.last_seen_at > now - lifetimes.idle)
        .options(joinedload(WebSession.tenant))
        .order_by(WebSession.id.desc())
    )
    return list(session.scalars(statement))


def sweep(session: Session, lifetimes: Lifetimes, now: datetime | None = None) -> int:
    """Delete the expired web sessions, which are refused anyway. Return how many."""
    now = now or utcnow()
    expired = or_(WebSession.expires_at <= now, WebSession.last_seen_at <= now - lifetimes.idle)
    impersonations = end_impersonations(session, expired, expired=True)
    return impersonations + cast("CursorResult[object]", session.execute(delete(WebSession).where(expired))).rowcount


def end_impersonations(session: Session, which: ColumnElement[bool], *, expired: bool = False) -> int:
    """Delete those web sessions that a condition selects and in which an operator works as somebody else.

    Return how many. Each has an entry in the audit trail, as an act of the session's actor.
    """
    ended = delete(WebSession).where(WebSession.impersonator_id.is_not(None), which).returning(*_TOLD)
    rows = session.execute(ended).all()
    for told in rows:
        _record_end(session, told, expired=expired)
    return len(rows)


def _end(session: Session, which: ColumnElement[bool]) -> bool:
    """Delete the web session that a condition selects. Return whether there was one."""
    ended = session.execute(delete(WebSession).where(which).returning(*_TOLD)).one_or_none()
    if ended is not None and ended.impersonator_id is not None:
        _record_end(session, ended, by=Person(ended.impersonator_id, ended.impersonator, ended.impersonator))
    elif ended is not None:
        _record(session, "session.end", ended)
    return ended is not None


def _record_end(session: Session, told: Any, *, expired: bool = False, by: Person | None = None) -> None:
    detail = {"session": str(told.id), "login": told.login, IMPERSONATOR: told.impersonator, "expired": expired}
    record(session, "impersonation.end", tenant_id=told.tenant_id, slug=told.slug, detail=detail, person=by)


def _record(session: Session, action: str, told: Any) -> None:
    """Write what happens to a web session to the audit trail, as an act of its person."""
    person = Person(told.user_id, told.login, told.name)
    record(session, action, tenant_id=told.tenant_id, slug=told.slug, detail={"session": str(told.id)}, person=person)
