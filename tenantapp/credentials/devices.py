"""Know the browsers in which people have signed in, by a cookie that stays after they sign out.

A known device only has counters of its own (see ``throttling``). Its token lets nobody in.
"""

from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, exists, select, update
from sqlalchemy.orm import Session

from tenantapp.credentials.models import KnownDevice
from tenantapp.identity.models import User
from tenantapp.identity.web_sessions import hash_token, new_token
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

LIFETIME: Final = timedelta(days=365)  # without a sign-in
MOST: Final = 50  # devices of a person; a program that signs in without keeping its cookies makes one each time


def find(user_db: DBFactory, login: str, token: str | None) -> bytes | None:
    """Return the hash of the token if it is of a device of the person with this normalized login, else None.

    It takes as long if nobody has the login.
    """
    if token is None:
        return None
    hashed = hash_token(token)
    with user_db.begin(read_only=True) as session:
        known = session.scalar(
            select(KnownDevice.token_hash)
            .join(User, User.id == KnownDevice.user_id)
            .where(KnownDevice.token_hash == hashed, KnownDevice.last_used_at > utcnow() - LIFETIME)
            .where(User.login == login)
        )
    return None if known is None else hashed


def is_known(session: Session, user_id: UUID, token: str | None) -> bool:
    """Return whether the person has signed in before in the browser that has this token."""
    if token is None:
        return False
    return (
        session.scalar(
            select(
                exists().where(
                    KnownDevice.token_hash == hash_token(token),
                    KnownDevice.user_id == user_id,
                    KnownDevice.last_used_at > utcnow() - LIFETIME,
                )
            )
        )
        is True
    )


def remember(session: Session, user_id: UUID, token: str | None, most: int = MOST) -> str:
    """Make the browser a known device of a person who has signed in. Return the token that it has from now on.

    A browser that several people use keeps its token. A token that this installation did not issue is not adopted.
    Of more than ``most`` devices, those are forgotten that were used longest ago.
    """
    now = utcnow()
    if token is not None and _is_used_again(session, user_id, token, now):
        return token
    shared = token is not None and session.scalar(select(exists().where(KnownDevice.token_hash == hash_token(token))))
    kept = token if token is not None and shared else new_token()
    session.add(KnownDevice(token_hash=hash_token(kept), user_id=user_id, created_at=now, last_used_at=now))
    session.flush()
    latest = select(KnownDevice.token_hash).where(KnownDevice.user_id == user_id)
    latest = latest.order_by(KnownDevice.last_used_at.desc()).limit(most)
    session.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id, KnownDevice.token_hash.not_in(latest)))
    return kept


def _is_used_again(session: Session, user_id: UUID, token: str, now: datetime) -> bool:
    used = (
        update(KnownDevice)
        .where(KnownDevice.token_hash == hash_token(token), KnownDevice.user_id == user_id)
        .values(last_used_at=now)
    )
    return cast("CursorResult[object]", session.execute(used)).rowcount == 1


def sweep_devices(session: Session) -> int:
    """Delete the devices that were not used for a year. Return how many."""
    old = delete(KnownDevice).where(KnownDevice.last_used_at <= utcnow() - LIFETIME)
    return cast("CursorResult[object]", session.execute(old)).rowcount
