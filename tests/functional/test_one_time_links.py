"""One-time links: one purpose, one use, a time, and only a hash in the database."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.audit.forgetting import leave
from tenantapp.credentials.addresses import put_address
from tenantapp.credentials.challenges import Pending, ask_passkey, choose_password
from tenantapp.credentials.challenges import Purpose as Challenged
from tenantapp.credentials.errors import LinkNotValid
from tenantapp.credentials.factors import remove_all
from tenantapp.credentials.models import AttemptCount
from tenantapp.credentials.one_time_links import (
    LIFETIMES,
    Purpose,
    address_of,
    count_links,
    make_link,
    read_link,
    use_link,
)
from tenantapp.credentials.passkeys import Asked
from tenantapp.credentials.password_changes import Change, change_password, send_first_link, set_by_link
from tenantapp.credentials.post import Post
from tenantapp.federation.models import ProvisioningToken
from tenantapp.fleet.removing.expired import EXPIRING, remove_expired, sweep_expired
from tenantapp.identity import users
from tenantapp.identity.models import ApiToken, OneTimeLink, SignInChallenge, Tenant, User, UserBase, WebSession
from tenantapp.identity.web_sessions import end_others, hash_token
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow
from tenantapp.testing.clock import Clock
from tests.installation import Installation, StatementRecorder

RESET = Purpose.RESET_PASSWORD
OWN = (Purpose.CONFIRM_ADDRESS, RESET, Purpose.FIRST_PASSWORD)
ANN = "ann@example.com"
POST = Post("https://app.example.com")


def made(installation: Installation, purpose: Purpose = RESET, **about: Any) -> str:
    with installation.registry.user_db.begin() as session:
        return make_link(session, purpose, **about)


def used(session: Session, token: str, purpose: Purpose = RESET) -> bool:
    try:
        use_link(session, purpose, token)
    except LinkNotValid:
        return False
    return True


def test_a_link_is_used_once_and_for_its_purpose_only(installation: Installation) -> None:
    user_db = installation.registry.user_db
    token = made(installation, mail_address=ANN, detail={"role": "author"})
    with user_db.begin() as session:
        assert not used(session, token, Purpose.INVITATION)
        assert not used(session, token[:-1])
        link = read_link(session, RESET, token)
        assert (link.user_id, link.mail_address, link.detail) == (None, ANN, {"role": "author"})
        assert use_link(session, RESET, token) == link
        assert not used(session, token)
    with user_db.begin() as session, pytest.raises(LinkNotValid):
        read_link(session, RESET, token)


def test_a_link_of_a_transaction_that_is_rolled_back_can_be_used_again(installation: Installation) -> None:
    token = made(installation)
    with installation.registry.user_db.begin() as session:
        use_link(session, RESET, token)
        session.rollback()
    with installation.registry.user_db.begin() as session:
        assert used(session, token)


def test_only_a_hash_is_stored(installation: Installation) -> None:
    token = made(installation)
    assert len(token) == 43
    with installation.registry.user_db.begin(read_only=True) as session:
        row = session.scalars(select(OneTimeLink)).one()
        assert token not in str({name: value for name, value in vars(row).items() if name != "_sa_instance_state"})
        assert len(row.token_hash) == 32


def test_links_expire_and_are_removed_by_workers(installation: Installation, clock: Clock) -> None:
    registry = installation.registry
    assert LIFETIMES[RESET] <= timedelta(minutes=10)
    token, invitation = made(installation), made(installation, Purpose.INVITATION)
    with registry.user_db.begin() as session:
        ends = utcnow() + timedelta(minutes=10)
        session.add(SignInChallenge(token_hash=b"a", purpose="test", expires_at=ends))
        session.add(AttemptCount(key="test", count=1, expires_at=ends))
        session.add(OutgoingMail(message={}, due_at=ends, expires_at=ends))
    fleet = Fleet(registry.user_db, registry.app_settings, registry.servers)
    with StatementRecorder(registry.user_db.real) as recorded:
        remove_expired(fleet)
    assert len(recorded) == 1, "it only looks"
    clock.advance(minutes=10)
    with registry.user_db.begin() as session:
        assert not used(session, token)
        assert read_link(session, Purpose.INVITATION, invitation)
    remove_expired(fleet)
    with registry.user_db.begin() as session:
        for model in (SignInChallenge, AttemptCount, OutgoingMail):
            assert session.scalars(select(model)).all() == []
        assert not any(sweep_expired(session).values())
        assert used(session, invitation, Purpose.INVITATION)


def test_whatever_expires_is_removed() -> None:
    """Sessions and tokens by ``tenantapp sweep``; a token of a directory by an administrator who has made too many.

    A branch is deleted as other tenants are: see the tests of branches.
    """
    expiring = {mapper.class_ for mapper in UserBase.registry.mappers if "expires_at" in mapper.columns}
    removed = {at.class_ for at in EXPIRING}
    assert expiring - removed == {WebSession, ApiToken, ProvisioningToken, Tenant}


def pending(session: Session, user: User) -> dict[Purpose, str]:
    """A link for each thing that a person may do with their own account, and a sign-in that waits for its next step."""
    ask_passkey(session, Challenged.AGAIN, Asked({}, b"asked"), user.id)
    return {purpose: make_link(session, purpose, user_id=user.id, mail_address=ANN) for purpose in OWN}


def challenged(session: Session, user: User) -> Pending:
    """The challenge of somebody whose password is an initial one."""
    user.password_hash = None
    asked = ask_passkey(session, Challenged.NEW_PASSWORD, Asked({}, b"asked"), user.id)
    return Pending(hash_token(asked["token"]), Challenged.NEW_PASSWORD, user.id, user.login, (), {})


def set_by(purpose: Purpose, session: Session, user: User) -> None:
    token = make_link(session, purpose, user_id=user.id)
    set_by_link(session, purpose, token, Change(user.id, user.password_hash, "new"), POST)


def change(session: Session, user: User) -> None:
    own = Change(user.id, user.password_hash, "new")
    change_password(session, own, POST, keep=None, end_other_sessions=False)


EVENTS: dict[str, Callable[[Session, User], object]] = {
    "they change their password": change,
    "they replace a lost one": partial(set_by, RESET),
    "they set their first one": partial(set_by, Purpose.FIRST_PASSWORD),
    "they replace an initial one": lambda session, user: choose_password(
        session, challenged(session, user), "new", POST
    ),
    "an operator sets one": lambda session, user: users.set_password(session, user.login, "new"),
    "an operator gives them a link": lambda session, user: send_first_link(session, user, None, None),
    "they are disabled": lambda session, user: users.set_enabled(session, user.login, False),
    "they are disabled and enabled": lambda session, user: [
        users.set_enabled(session, user.login, enabled) for enabled in (False, True)
    ],
    "they lost their factors": lambda session, user: remove_all(session, user.login),
    "they end their other sessions": lambda session, user: end_others(session, user.id, None),
    "they leave": lambda session, user: leave(session, user.id),
}


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_pending_ends_when_an_account_is_made_safe(installation: Installation, event: str) -> None:
    """Whoever had the account for a minute is left with nothing that leads back into it."""
    with installation.registry.user_db.begin() as session:
        bob, ed = (users.get_user(session, login) for login in ("bob", "ed"))
        tokens, of_ed = pending(session, bob), pending(session, ed)
        invitation = make_link(session, Purpose.INVITATION, mail_address=ANN)
        EVENTS[event](session, bob)
        assert [used(session, token, purpose) for purpose, token in tokens.items()] == [False] * len(OWN)
        assert {each.user_id for each in session.scalars(select(SignInChallenge))} == {ed.id}
        assert all(used(session, token, purpose) for purpose, token in of_ed.items()), "nobody else's"
        assert used(session, invitation, Purpose.INVITATION), "it lets nobody into the account"


def test_another_address_ends_what_was_mailed_to_a_person(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        bob = users.get_user(session, "bob")
        bob.mail_address = "former@example.com"
        passed_on = make_link(session, Purpose.FIRST_PASSWORD, user_id=bob.id)
        invited = [make_link(session, Purpose.INVITATION, mail_address=address) for address in (bob.mail_address, ANN)]
        mailed = pending(session, bob)
        assert put_address(session, bob, "new@example.com")
        assert [used(session, token, purpose) for purpose, token in mailed.items()] == [False] * len(OWN)
        assert [used(session, token, Purpose.INVITATION) for token in invited] == [False, True]
        assert used(session, passed_on, Purpose.FIRST_PASSWORD), "an operator has given it by hand"


def test_the_links_of_a_person_are_counted(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        ada, bob = (users.get_user(session, login).id for login in ("ada", "bob"))
        assert count_links(session, RESET, ada) == 0
        for user_id in (ada, bob):
            make_link(session, RESET, user_id=user_id)
        make_link(session, Purpose.FIRST_PASSWORD, user_id=ada)
        assert count_links(session, RESET, ada) == 1


def test_the_token_is_in_the_fragment_of_the_address() -> None:
    assert address_of("https://app.example/", RESET, "abc") == "https://app.example/links/reset-password#abc"
