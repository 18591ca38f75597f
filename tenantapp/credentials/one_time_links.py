"""Links that let their holder do one thing, once, within a time: they are in mails, or an operator passes them on.

A link leads to the page, and its token is in the fragment of the address: browsers send that to no server, so it is in
no log and in no ``Referer``. The page posts the token to ``/links/{purpose}``.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from tenantapp.credentials.errors import LinkNotValid
from tenantapp.identity.models import OneTimeLink, User, UserBase
from tenantapp.sql.times import utcnow

LINKS: Final = UserBase.metadata.tables[OneTimeLink.__tablename__]
TOKEN_BYTES: Final = 32  # 256 random bits
NO_DETAIL: Final[Mapping[str, Any]] = MappingProxyType({})


class Purpose(StrEnum):
    """What a link is for. The page has an address for each."""

    CONFIRM_ADDRESS = "confirm-address"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - the name of a purpose
    FIRST_PASSWORD = "first-password"  # noqa: S105 - the name of a purpose
    INVITATION = "invitation"
    REGISTRATION = "registration"


# OWASP ASVS 5.0, 6.5.5: what is sent out of band to prove who somebody is lives for 10 minutes at most.
LIFETIMES: Final[Mapping[Purpose, timedelta]] = MappingProxyType(
    {
        Purpose.CONFIRM_ADDRESS: timedelta(hours=1),
        Purpose.RESET_PASSWORD: timedelta(minutes=10),
        Purpose.FIRST_PASSWORD: timedelta(days=3),
        Purpose.INVITATION: timedelta(days=7),
        Purpose.REGISTRATION: timedelta(hours=1),
    }
)


class Link(NamedTuple):
    """What a link is about. ``user_id`` is None if the person is not known yet."""

    user_id: UUID | None
    mail_address: str | None
    detail: Mapping[str, Any]
    expires_at: datetime


def make_link(
    session: Session,
    purpose: Purpose,
    *,
    user_id: UUID | None = None,
    mail_address: str | None = None,
    detail: Mapping[str, Any] = NO_DETAIL,
    expires_at: datetime | None = None,
) -> str:
    """Store a new link, and return its token: 256 random bits as 43 characters. Nobody can read the token again.

    ``expires_at`` is by default ``LIFETIMES`` from now. ``detail`` is JSON.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.add(
        OneTimeLink(
            token_hash=_hash(token),
            purpose=purpose,
            user_id=user_id,
            mail_address=mail_address,
            detail=dict(detail),
            expires_at=expires_at or utcnow() + LIFETIMES[purpose],
        )
    )
    session.flush()
    return token


def address_of(web_address: str, purpose: Purpose, token: str) -> str:
    """Return the address of a link. ``web_address`` is where the page is: ``https://app.example.com``."""
    return f"{web_address.rstrip('/')}/links/{purpose}#{token}"


def read_link(session: Session, purpose: Purpose, token: str) -> Link:
    """Return what a link is about. It can still be used. Raises ``LinkNotValid``."""
    return _found(session.execute(select(*_COLUMNS).where(*_is(purpose, token))).one_or_none())


def use_link(session: Session, purpose: Purpose, token: str) -> Link:
    """Return what a link is about, and delete it: of two who use it at the same time, one succeeds.

    If the session's transaction is rolled back, the link can be used again. Raises ``LinkNotValid``.
    """
    used = delete(LINKS).where(*_is(purpose, token)).returning(*_COLUMNS)
    return _found(session.execute(used).one_or_none())


def use_own_link(session: Session, purpose: Purpose, token: str) -> tuple[Link, User]:
    """Return what a link is about, and the person whose it is, who is locked; the link is deleted.

    Of two who change an account at the same moment, the second sees what the first has done. Raises ``LinkNotValid``,
    also for a disabled person.
    """
    own = select(User).where(User.id == read_link(session, purpose, token).user_id, User.enabled)
    user = session.scalar(own.with_for_update().execution_options(populate_existing=True))
    if user is None:
        raise LinkNotValid
    return use_link(session, purpose, token), user


def count_links(session: Session, purpose: Purpose, user_id: UUID | None) -> int:
    """Return how many links of a person could be used now."""
    living = select(func.count()).select_from(LINKS).where(LINKS.c.expires_at > utcnow())
    return session.scalars(living.where(LINKS.c.purpose == purpose, LINKS.c.user_id == user_id)).one()


def revoke_mailed(session: Session, user_id: UUID, former: str | None) -> None:
    """Delete the links that were mailed to a person, and those to an address that was theirs, such as invitations.

    A link for a first password that an operator has passed on stays.
    """
    passed_on = and_(LINKS.c.purpose == Purpose.FIRST_PASSWORD, LINKS.c.mail_address.is_(None))
    session.execute(delete(LINKS).where(LINKS.c.user_id == user_id, ~passed_on))
    if former is not None:
        session.execute(delete(LINKS).where(LINKS.c.mail_address == former))


_COLUMNS: Final = (LINKS.c.user_id, LINKS.c.mail_address, LINKS.c.detail, LINKS.c.expires_at)


def _is(purpose: Purpose, token: str) -> tuple[ColumnElement[bool], ...]:
    return (LINKS.c.token_hash == _hash(token), LINKS.c.purpose == purpose, LINKS.c.expires_at > utcnow())


def _found(row: Any) -> Link:
    if row is None:
        raise LinkNotValid
    return Link(*row)


def _hash(token: str) -> bytes:
    # A slow hash is not needed for 256 random bits. The look-up by it leaks nothing of them through its time.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
