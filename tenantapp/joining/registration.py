"""Register people: by an invitation, or by themselves where the setting ``identity.registration`` lets them.

Whoever registers has shown that they read the mail of an address. Until then nothing is stored but a link.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.credentials.addresses import check_address
from tenantapp.credentials.one_time_links import LIFETIMES, Link, Purpose, make_link, read_link, use_link
from tenantapp.credentials.post import Post
from tenantapp.federation import domains
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.look_alikes import check_own_login, is_reserved
from tenantapp.identity.models import User
from tenantapp.identity.names import check_login, check_slug, clean_name, normalize_login
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.users import create_user
from tenantapp.joining import invitations
from tenantapp.joining.errors import AddressCaptured, start_of
from tenantapp.sql.times import utcnow

PACKAGE: Final = "tenantapp.joining"


@dataclass(frozen=True, slots=True)
class NewUser:
    """The person who registers. The hash is that of a password that follows the rule."""

    login: str
    name: str | None
    password_hash: str


def check_person(login: str, name: str | None, address: str) -> None:
    """Raise ``InvalidValue`` if nobody may choose this login and this name for themselves. Costs no hash.

    A login that is an address of mail must be that of the person. Logins with ``:`` are marks of the program.
    """
    normal = check_login(login)
    check_own_login(normal)
    if ":" in normal or ("@" in normal and normal != normalize_login(address)):
        raise InvalidValue("login", "A login has no colon. A login with @ is the address that your link was sent to.")
    if name is not None:
        clean_name(name)


def check_own_tenant(slug: str, name: str) -> None:
    """Raise ``InvalidValue`` if nobody may choose this slug and this name for a tenant of their own."""
    if is_reserved(check_slug(slug)):
        raise InvalidValue("slug", "This slug is reserved, or looks like one that is.")
    clean_name(name)


def request_registration(session: Session, address: str, post: Post) -> None:
    """Have a link sent to an address by which somebody registers. Who has an account there already is told by mail.

    So is who has an address of a domain that a tenant captures: they sign in by its provider, and get no link. The same
    rows are written either way, so neither the answer nor its time tells. Raises ``InvalidValue`` and
    ``MailNotConfigured``.
    """
    post.require()
    clean = check_address(address)
    user = session.scalar(select(User).where(User.mail_address == clean))
    expires_at = utcnow() + LIFETIMES[Purpose.REGISTRATION]
    token = make_link(session, Purpose.REGISTRATION, mail_address=clean, expires_at=expires_at)
    captor = domains.capturing_tenant(session, clean)
    # The token of those who do not register goes nowhere.
    if user is not None:
        post.notice(session, clean, "registered-already", package=PACKAGE)
    elif captor is not None:
        start = f"{post.web_address}{start_of(captor.slug)}"
        post.notice(session, clean, "registration-captured", package=PACKAGE, link=start, tenant=captor.name)
    else:
        post.link(session, clean, Purpose.REGISTRATION, token, expires_at, package=PACKAGE)


def read_registration(session: Session, token: str) -> Link:
    """Return what the link of a registration is about. Raises ``LinkNotValid``."""
    return read_link(session, Purpose.REGISTRATION, token)


def register(session: Session, token: str, new: NewUser) -> User:
    """Make the person who has the link of a registration.

    Raises ``LinkNotValid``, ``AddressCaptured`` if a tenant captures the domain of the address by now, and what
    ``create_user`` raises.
    """
    link = use_link(session, Purpose.REGISTRATION, token)
    captor = domains.capturing_tenant(session, link.mail_address or "")
    if captor is not None:
        raise AddressCaptured(captor.slug)
    return _create(session, new, link.mail_address)


def register_invited(session: Session, token: str, new: NewUser) -> User:
    """Make the person who has the link of an invitation, and let them accept it.

    Raises ``LinkNotValid``, ``InvalidValue``, ``AlreadyExists`` for the login or the address, and ``NotInvited``.
    """
    invitation, link = invitations.use_linked(session, token)
    invitations.check_invited(session, invitation, None)
    user = _create(session, new, link.mail_address)
    invitations.accept(session, invitation, user.id)
    return user


def _create(session: Session, new: NewUser, address: str | None) -> User:
    # Who has the link reads the mail of the address, so they may learn that it has an account.
    user = create_user(session, new.login, name=new.name, password_hash=new.password_hash)
    user.mail_address, user.password_set_at = address, utcnow()
    flush_unique(session, "account with the address", address)
    return user
