"""One-time links: one purpose, one use, a time, and only a hash in the database."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.credentials.errors import LinkNotValid
from tenantapp.credentials.models import OneTimeLink
from tenantapp.credentials.one_time_links import (
    LIFETIMES,
    Purpose,
    address_of,
    count_links,
    has_expired_links,
    make_link,
    read_link,
    revoke_links,
    sweep_links,
    use_link,
)
from tenantapp.fleet.removing.expired import remove_expired
from tenantapp.identity import users
from tenantapp.operations.fleet import Fleet
from tenantapp.testing.clock import Clock
from tests.installation import Installation

RESET = Purpose.RESET_PASSWORD


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
    token = made(installation, mail_address="ann@example.com", detail={"role": "author"})
    with user_db.begin() as session:
        assert not used(session, token, Purpose.INVITATION)
        assert not used(session, token[:-1])
        link = read_link(session, RESET, token)
        assert (link.user_id, link.mail_address, link.detail) == (None, "ann@example.com", {"role": "author"})
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
    fleet = Fleet(registry.user_db, registry.app_settings, registry.servers)
    remove_expired(fleet)
    clock.advance(minutes=10)
    with registry.user_db.begin() as session:
        assert not used(session, token)
        assert read_link(session, Purpose.INVITATION, invitation)
    assert has_expired_links(registry.user_db)
    remove_expired(fleet)
    assert not has_expired_links(registry.user_db)
    with registry.user_db.begin() as session:
        assert sweep_links(session) == 0
        assert used(session, invitation, Purpose.INVITATION)


def test_the_links_of_a_person_are_counted_revoked_and_go_with_them(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        ada, bob = (users.get_user(session, login).id for login in ("ada", "bob"))
        token, of_bob = (make_link(session, RESET, user_id=user_id) for user_id in (ada, bob))
        invitation = make_link(session, Purpose.INVITATION, user_id=ada)
        assert count_links(session, RESET, ada) == 1
        revoke_links(session, ada, RESET, Purpose.FIRST_PASSWORD)
        assert count_links(session, RESET, ada) == 0
        assert [used(session, token), used(session, of_bob)] == [False, True]
        assert used(session, invitation, Purpose.INVITATION)


def test_the_token_is_in_the_fragment_of_the_address() -> None:
    assert address_of("https://app.example/", RESET, "abc") == "https://app.example/links/reset-password#abc"
