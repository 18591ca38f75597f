"""The mail address of a person, which counts only once they have confirmed it.

Nobody learns whether an address is somebody else's: the answer is the same, and only who reads mail there is told.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.credentials.errors import LinkNotValid, TooManyLinks
from tenantapp.credentials.one_time_links import LIFETIMES, Purpose, count_links, make_link, revoke_mailed, use_own_link
from tenantapp.credentials.post import Post
from tenantapp.email_addresses import clean_address
from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import User
from tenantapp.sql.times import utcnow

MOST_LINKS: Final = 5  # of a person, that could be used now
CONFIRM: Final = Purpose.CONFIRM_ADDRESS


def check_address(text: str) -> str:
    """Return an address as it is stored and compared: in NFC, the domain in lower case and in its ASCII form (IDNA).

    Raises ``InvalidValue``.
    """
    try:
        return clean_address(text.strip())
    except ValueError as error:
        raise InvalidValue("address", str(error)) from None


def request_address(session: Session, user_id: UUID, address: str, post: Post) -> None:
    """Have a link sent to an address that is to become the person's, and a notice to the present one.

    Raises ``InvalidValue``, ``MailNotConfigured`` and ``TooManyLinks``.
    """
    post.require()
    normal = check_address(address)
    user = session.scalars(select(User).where(User.id == user_id).with_for_update()).one()
    if count_links(session, CONFIRM, user_id) >= MOST_LINKS:
        raise TooManyLinks(LIFETIMES[CONFIRM])
    if normal == user.mail_address:
        return
    _send(session, user, normal, post)
    post.notice(session, user.mail_address, "address-changing", login=user.login)


def confirm_address(session: Session, token: str) -> User:
    """Let an address become that of a person, by the link that was sent there. Return the person.

    Raises ``LinkNotValid``, also if the address has become somebody else's, or the person is disabled.
    """
    link, user = use_own_link(session, CONFIRM, token)
    if link.mail_address is None or not put_address(session, user, link.mail_address):
        raise LinkNotValid
    return user


def put_address(session: Session, user: User, address: str) -> bool:
    """Store a person's confirmed address. Return false, and store nothing, if it is somebody else's.

    Links that were mailed to the person, or to the former address, no longer work: its reader must not get in.
    Raises ``LinkNotValid`` if it becomes somebody else's at the same moment.
    """
    if user.mail_address == address:
        return True
    if session.scalar(select(User.id).where(User.mail_address == address)) is not None:
        return False
    former, user.mail_address = user.mail_address, address
    try:
        session.flush()
    except IntegrityError:
        raise LinkNotValid from None
    revoke_mailed(session, user.id, former)
    record(session, "address.change", detail={"login": user.login}, by=user.login)
    return True


def _send(session: Session, user: User, address: str, post: Post) -> None:
    """Send a link, or to the address of somebody else a letter without one. The rows are the same either way."""
    taken = session.scalar(select(User.id).where(User.mail_address == address)) is not None
    expires_at = utcnow() + LIFETIMES[CONFIRM]
    token = make_link(session, CONFIRM, user_id=user.id, mail_address=None if taken else address, expires_at=expires_at)
    if taken:
        post.notice(session, address, "address-taken")
    else:
        post.link(session, address, CONFIRM, token, expires_at, login=user.login)
