"""Make, find, disable and enable people, and set their passwords. Each change is in the audit trail."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue, LooksLikeAnother, NotFound
from tenantapp.identity.look_alikes import skeleton_hash
from tenantapp.identity.models import NAME_LENGTH, User, WebSession
from tenantapp.identity.names import check_login, clean_name, normalize_login
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.web_sessions import end_impersonations, end_pending
from tenantapp.sql.times import utcnow


class How(StrEnum):
    """How a person got a password that they have not chosen. The audit trail says so."""

    INITIAL = "initial"  # it was generated, and has to be changed at its first use
    STDIN = "stdin"  # whoever ran the command chose it


def create_user(
    session: Session,
    login: str,
    *,
    name: str | None = None,
    password_hash: str | None = None,
    operator: bool = False,
    how: How | None = None,
) -> User:
    """Make a person. Without a password hash they cannot sign in yet. ``how`` is None if they chose the password.

    Hash the password before the transaction begins (``passwords.hash_password``), because hashing is slow by design.
    Raises ``InvalidValue``, and ``AlreadyExists`` also for a login that looks like another one.
    """
    normal = check_login(login)
    user = User(
        login=normal,
        login_skeleton=_free_skeleton(session, normal),
        name=clean_name(name or login[:NAME_LENGTH]),
        password_hash=password_hash,
        password_set_at=None if password_hash is None else utcnow(),
        password_initial=how is How.INITIAL,
        operator=operator,
    )
    session.add(user)
    flush_unique(session, "user", normal)
    record(session, "user.create", detail={"login": normal, "operator": operator} | _told(how))
    return user


def add_skeletons(session: Session) -> int:
    """Store what the logins look like that older versions of the program have written. Return how many.

    Of logins that look alike only the oldest gets it. All of them still work.
    """
    people = select(User).where(User.login_skeleton.is_(None), User.service_tenant_id.is_(None)).order_by(User.id)
    added = 0
    for user in session.scalars(people).all():
        found = skeleton_hash(user.login)
        if session.scalar(select(User.login).where(User.login_skeleton == found)) is None:
            user.login_skeleton = found
            session.flush()
            added += 1
    return added


def _free_skeleton(session: Session, login: str) -> bytes:
    found = skeleton_hash(login)
    other = session.scalar(select(User.login).where(User.login_skeleton == found))
    if other not in (None, login):
        raise LooksLikeAnother(login)
    return found


def get_user(session: Session, login: str, *, for_update: bool = False) -> User:
    """Return the person with this login, with ``for_update`` as nobody else changes them. Raises ``NotFound``."""
    try:
        wanted = select(User).where(User.login == normalize_login(login))
        if for_update:
            wanted = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
        user = session.scalar(wanted)
    except InvalidValue:
        user = None
    if user is None:
        raise NotFound("user", login)
    return user


def list_users(session: Session) -> list[User]:
    """Return all people, by login."""
    return list(session.scalars(select(User).order_by(User.login)))


def set_enabled(session: Session, login: str, enabled: bool, *, by_provider: bool = False) -> User:
    """Enable or disable a person. Disabling ends their web sessions, and what is pending. Raises ``NotFound``.

    ``by_provider`` is set if the identity provider that has made the person disables them. Of somebody who is disabled
    already it changes nothing. If others disable them after it, the provider no longer may enable them.
    """
    user = get_user(session, login, for_update=True)
    before = user.enabled, user.disabled_by_provider
    if user.enabled != enabled or not by_provider:
        user.enabled, user.disabled_by_provider = enabled, by_provider and not enabled
    if (user.enabled, user.disabled_by_provider) != before:
        record(session, "user.enable" if enabled else "user.disable", detail={"login": user.login})
    if not enabled:
        end_sessions(session, user.id)
    session.flush()
    return user


def set_password(session: Session, login: str, password_hash: str, how: How | None = None) -> User:
    """Set a person's password and end their web sessions.

    Raises ``NotFound``, and ``InvalidValue`` for a service account.
    """
    user = get_user(session, login)
    if user.service_tenant_id is not None:
        raise InvalidValue("login", f"{user.login} is a service account, which has no password.")
    store_password(session, user, password_hash, "password.set", how=how)
    end_sessions(session, user.id)
    return user


def store_password(
    session: Session, user: User, password_hash: str, action: str, *, by: str | None = None, how: How | None = None
) -> None:
    """Store the hash of a person's new password. ``action`` names it in the audit trail, ``by`` who did it.

    Their web sessions go on, but what is pending ends: sign-ins that the old password has begun, and one-time links.
    """
    user.password_hash, user.password_set_at, user.password_initial = password_hash, utcnow(), how is How.INITIAL
    end_pending(session, user.id)
    record(session, action, detail={"login": user.login} | _told(how), by=by)
    session.flush()


def rename_user(session: Session, user_id: UUID, name: str) -> User:
    """Give a person another name, which others in their tenants see. Raises ``InvalidValue``."""
    user = session.scalars(select(User).where(User.id == user_id)).one()
    user.name = clean_name(name)
    record(session, "user.rename", detail={"login": user.login})
    session.flush()
    return user


def end_sessions(session: Session, user_id: UUID) -> None:
    """End every web session of a person, and those in which they, an operator, work as somebody else.

    Sign-ins that wait for their next step, and one-time links, end as well.
    """
    end_pending(session, user_id)
    end_impersonations(session, or_(WebSession.user_id == user_id, WebSession.impersonator_id == user_id))
    ended = session.scalars(delete(WebSession).where(WebSession.user_id == user_id).returning(WebSession.id)).all()
    if ended:
        login = session.get_one(User, user_id).login
        record(session, "session.end", detail={"login": login, "sessions": len(ended)})


def _told(how: How | None) -> dict[str, str]:
    return {} if how is None else {"how": how}
