"""Know the browsers in which people have signed in, by a cookie that stays after they sign out.

A known device only has counters of its own (see ``throttling``). Its token lets nobody in.

A sign-in by an identity provider makes a device that counts for the notice alone. The provider belongs to the
administrators of one tenant: they could make devices of anybody who is linked, and guess at the account with each.
"""

import re
from datetime import timedelta
from typing import Final, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    CursorResult,
    Table,
    Uuid,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from tenantapp.characters import visible
from tenantapp.credentials.models import KnownDevice
from tenantapp.credentials.post import Post
from tenantapp.identity.models import User
from tenantapp.identity.web_sessions import hash_token, new_token
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.dbfactory import DBFactory

LIFETIME: Final = timedelta(days=365)  # without a sign-in
MOST: Final = 50  # devices of a person; a program that signs in without keeping its cookies makes one each time

MOST_NOTICES: Final = 5  # new devices of a person that are told of, in an hour
USER_AGENT_SHOWN: Final = 200  # characters


class Held(NamedTuple):
    """How many devices a person has: all, those that are alike, which a provider has vouched for or not, and of these,
    those that are new within an hour."""

    total: int
    alike: int
    lately: int


_ALIKE: Final = KnownDevice.by_provider == bindparam("by_provider", type_=Boolean)
_HELD: Final = LoneSelect(
    select(
        func.count().label("total"),
        func.count().filter(_ALIKE).label("alike"),
        func.count().filter(_ALIKE, KnownDevice.created_at > bindparam("lately", type_=UtcDateTime)).label("lately"),
    ).where(KnownDevice.user_id == bindparam("user_id", type_=Uuid)),
    Held,
)

# Statements on the table, not on the model: these are many times cheaper, and each sign-in has one or more of them.
_DEVICES: Final = cast(Table, KnownDevice.__table__)
_ADD: Final = insert(_DEVICES)
_LIKE: Final = (
    KnownDevice.user_id == bindparam("of_user", type_=Uuid),
    KnownDevice.by_provider == bindparam("how", type_=Boolean),
)
_LATEST: Final = (
    select(KnownDevice.token_hash).where(*_LIKE).order_by(KnownDevice.last_used_at.desc()).limit(bindparam("most"))
)
_FORGET: Final = delete(_DEVICES).where(*_LIKE, KnownDevice.token_hash.not_in(_LATEST))


def find(user_db: DBFactory, person: ColumnElement[bool], token: str | None) -> bytes | None:
    """Return the hash of the token if it is of a device of the person whom this condition on ``User`` names, else None.

    A device by a provider is none. It takes as long if there is nobody.
    """
    if token is None:
        return None
    hashed = hash_token(token)
    with user_db.begin(read_only=True) as session:
        known = session.scalar(
            select(KnownDevice.token_hash)
            .join(User, User.id == KnownDevice.user_id)
            .where(KnownDevice.token_hash == hashed, KnownDevice.last_used_at > utcnow() - LIFETIME)
            .where(~KnownDevice.by_provider, person)
        )
    return None if known is None else hashed


def use_again(session: Session, user_id: UUID, token: str, *, by_provider: bool = False) -> bool:
    """Note that the person signs in again in the browser that has this token. Return whether they have done so before.

    Unless they sign in by a provider now as well, what a provider has vouched for there is not asked.
    """
    lately = KnownDevice.last_used_at > utcnow() - LIFETIME
    return _use(
        session,
        user_id,
        token,
        *([lately] if by_provider else [lately, ~KnownDevice.by_provider]),
        by_provider=by_provider,
    )


def held(session: Session, user_id: UUID, *, by_provider: bool = False) -> Held:
    """Return how many devices a person has."""
    values = {"user_id": user_id, "by_provider": by_provider, "lately": utcnow() - timedelta(hours=1)}
    return _HELD.rows(session, values)[0]


def remember(
    session: Session,
    user_id: UUID,
    token: str | None,
    before: Held | None = None,
    *,
    by_provider: bool = False,
    most: int = MOST,
) -> str:
    """Make the browser a known device of a person who has signed in. Return the token that it has from now on.

    ``before`` is what ``held`` has said, if it was asked. A browser that several people use keeps its token. A token
    that this installation did not issue is not adopted. Of more than ``most`` devices by providers, or of others, those
    are forgotten that were used longest ago.
    """
    now = utcnow()
    # It may be known by a provider, or from long ago.
    if token is not None and _use(session, user_id, token, by_provider=by_provider):
        return token
    shared = token is not None and session.scalar(select(exists().where(KnownDevice.token_hash == hash_token(token))))
    kept = token if token is not None and shared else new_token()
    whose = {"user_id": user_id, "by_provider": by_provider}
    before = before or held(session, user_id, by_provider=by_provider)
    session.execute(_ADD, {**whose, "token_hash": hash_token(kept), "created_at": now, "last_used_at": now})
    if before.alike >= most:
        session.execute(_FORGET, {"of_user": user_id, "how": by_provider, "most": most})
    return kept


def tell_of_unknown(
    session: Session,
    post: Post,
    user_id: UUID,
    before: Held,
    address: str | None,
    user_agent: str | None,
) -> None:
    """Have a person told that somebody signs in as them on a device that is not known. Call it before ``remember``.

    The first sign-in of a new account is not told of, and nothing after ``MOST_NOTICES`` new devices in an hour: a
    program that keeps no cookies is on a new device each time. Sign-ins by a provider are counted by themselves.
    ``before`` is what ``held`` has said, and ``address`` is the client's.
    """
    if before.lately >= MOST_NOTICES:
        return
    user, now = session.get_one(User, user_id), utcnow()
    if not before.total and user.created_at > now - LIFETIME:
        return
    values = {"at": f"{now:%Y-%m-%d %H:%M} UTC", "client": address or "?", "browser": _shown(user_agent)}
    post.notice(session, user.mail_address, "unknown-device", login=user.login, **values)


def _shown(user_agent: str | None) -> str:
    """Return what a browser calls itself, without what mail programs make links of: anybody can send any text."""
    return re.sub(r"://|\.(?!\d)", " ", visible((user_agent or "?")[:USER_AGENT_SHOWN]))


def _use(session: Session, user_id: UUID, token: str, *which: ColumnElement[bool], by_provider: bool) -> bool:
    used = (
        update(_DEVICES)
        .where(KnownDevice.token_hash == hash_token(token), KnownDevice.user_id == user_id, *which)
        .values({"last_used_at": utcnow()} | ({} if by_provider else {"by_provider": False}))
    )
    return cast("CursorResult[object]", session.execute(used)).rowcount == 1
