"""New passwords: of a person who knows the old one, and by a link.

A change takes two steps, as a sign-in does: what takes long is prepared without a transaction, then it is written.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from tenantapp.credentials import passwords
from tenantapp.credentials.addresses import check_address, put_address
from tenantapp.credentials.errors import LinkNotValid, WrongOldPassword
from tenantapp.credentials.factors import factors_of
from tenantapp.credentials.one_time_links import LIFETIMES, Purpose, count_links, make_link, read_link, use_own_link
from tenantapp.credentials.password_rules import Breached, hash_new_password, words_about
from tenantapp.credentials.post import Post
from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import User
from tenantapp.identity.names import normalize_login
from tenantapp.identity.users import end_sessions, store_password
from tenantapp.identity.web_sessions import end_others, end_pending
from tenantapp.mail.messages import NOBODY
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

MOST_RESETS: Final = 3  # links of a person that could be used now; further requests send none
RESET: Final = Purpose.RESET_PASSWORD
FIRST: Final = Purpose.FIRST_PASSWORD
ACTIONS: Final = {RESET: "password.reset", FIRST: "password.set"}


@dataclass(frozen=True, slots=True)
class Hashing:
    """How new passwords are hashed, in KiB of memory, and which breached ones are refused."""

    memory: int
    breached: Breached | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A new password that is accepted and hashed, in the place of an old one."""

    user_id: UUID
    old_hash: str | None
    new_hash: str


def check_old_password(user_db: DBFactory, user_id: UUID, password: str, memory: int) -> str:
    """Return the stored hash of a person's password. ``memory`` is that for new hashes, in KiB.

    Raises ``WrongOldPassword`` and ``TooManySignIns``.
    """
    with user_db.begin(read_only=True) as session:
        old_hash = session.scalar(select(User.password_hash).where(User.id == user_id))
    if old_hash is None or not passwords.verify_password(old_hash, password, memory):
        raise WrongOldPassword
    return old_hash


def prepare_change(user_db: DBFactory, user_id: UUID, old_hash: str, new: str, hashing: Hashing) -> Change:
    """Check a new password and hash it. ``old_hash`` is of ``check_old_password``.

    Raises ``InvalidValue`` for the field ``new``, and ``TooManySignIns``.
    """
    with user_db.begin(read_only=True) as session:
        words, second_factor = words_about(session, user_id), factors_of(session, user_id).number > 0
    new_hash = _hashed(new, words, hashing, "new", second_factor=second_factor)
    if passwords.verify_password(old_hash, new, hashing.memory):
        raise InvalidValue("new", "The new password is the old one.")
    return Change(user_id, old_hash, new_hash)


def change_password(
    session: Session, change: Change, post: Post, *, keep: UUID | None, end_other_sessions: bool
) -> None:
    """Store a new password that its person has chosen, and send them a notice.

    With ``end_other_sessions``, their web sessions end but for ``keep``. Raises ``WrongOldPassword`` if another request
    has changed the password since it was checked.
    """
    user = session.scalars(select(User).where(User.id == change.user_id).with_for_update()).one()
    if user.password_hash != change.old_hash:
        raise WrongOldPassword
    store_password(session, user, change.new_hash, "password.change")
    if end_other_sessions:
        end_others(session, user.id, keep)
    tell_of_new_password(session, user, post)


def tell_of_new_password(session: Session, user: User, post: Post) -> None:
    """Write to a person that they have a new password, whoever has set it (OWASP ASVS 5.0, 6.3.7)."""
    post.notice(session, user.mail_address, "password-changed", login=user.login)


def request_reset(session: Session, post: Post, *, login: str | None = None, address: str | None = None) -> None:
    """Have a link sent by which a person sets a new password, to their confirmed address.

    Nobody learns whether there is such a person: the same rows are written either way, and those for nobody have
    expired already. Raises ``MailNotConfigured``.
    """
    post.require()
    user = session.scalar(select(User).where(named(login, address), *_MAY_RESET))
    user_id = user.id if user else None
    sent = count_links(session, RESET, user_id) < MOST_RESETS and user is not None
    expires_at = utcnow() + (LIFETIMES[RESET] if sent else LIFETIMES[RESET] * 0)
    token = make_link(session, RESET, user_id=user_id, mail_address=None, expires_at=expires_at)
    to = user.mail_address if user and user.mail_address and sent else NOBODY.address
    post.link(session, to, RESET, token, expires_at, login=user.login if user else "")


def send_first_link(session: Session, user: User, address: str | None, post: Post | None) -> str:
    """Make a link by which a person sets their first password, or one in the place of a lost one. Return its token.

    With ``post``, it is sent to ``address``, which is confirmed by using it. Earlier links of the person, for whatever
    they are, and sign-ins that wait for their next step, no longer work.
    """
    end_pending(session, user.id)
    record(session, "password.link", detail={"login": user.login, "mailed": post is not None})
    expires_at = utcnow() + LIFETIMES[FIRST]
    token = make_link(session, FIRST, user_id=user.id, mail_address=address if post else None, expires_at=expires_at)
    if post is not None and address is not None:
        post.link(session, address, FIRST, token, expires_at, login=user.login)
    return token


def prepare_by_link(user_db: DBFactory, purpose: Purpose, token: str, password: str, hashing: Hashing) -> Change:
    """Check a link and a new password, and hash it. The link can still be used, also if the password is refused.

    Raises ``LinkNotValid``, ``InvalidValue`` and ``TooManySignIns``.
    """
    with user_db.begin(read_only=True) as session:
        link = read_link(session, purpose, token)
        user = session.scalar(select(User).where(User.id == link.user_id, User.enabled))
        if user is None:
            raise LinkNotValid
        user_id, old_hash, words = user.id, user.password_hash, words_about(session, user.id)
        second_factor = factors_of(session, user_id).number > 0
    return Change(user_id, old_hash, _hashed(password, words, hashing, "password", second_factor=second_factor))


def set_by_link(session: Session, purpose: Purpose, token: str, change: Change, post: Post) -> None:
    """Use a link: store the new password, end all web sessions, and send a notice. Nobody is signed in by it.

    Second factors stay. The address that a link for the first password was sent to is confirmed. Raises
    ``LinkNotValid``.
    """
    link, user = use_own_link(session, purpose, token)
    if user.id != change.user_id:
        raise LinkNotValid
    store_password(session, user, change.new_hash, ACTIONS[purpose], by=user.login)
    end_sessions(session, user.id)
    if link.mail_address is not None:
        put_address(session, user, link.mail_address)
    tell_of_new_password(session, user, post)


_MAY_RESET: Final = (
    User.enabled,
    User.service_tenant_id.is_(None),
    User.mail_address.is_not(None),
    User.password_hash.is_not(None),
)


def named(login: str | None, address: str | None) -> ColumnElement[bool]:
    """Return the condition on ``User`` of the person with a login, or else with a mail address, as it was typed."""
    try:
        if address is not None:
            return User.mail_address == check_address(address)
        return User.login == normalize_login(login or "")
    except InvalidValue:
        return User.login == ""  # nobody has it


def _hashed(password: str, words: list[str], hashing: Hashing, field: str, *, second_factor: bool) -> str:
    try:
        return hash_new_password(
            password, words, memory=hashing.memory, second_factor=second_factor, breached=hashing.breached
        )
    except InvalidValue as error:
        raise InvalidValue(field, str(error)) from None
