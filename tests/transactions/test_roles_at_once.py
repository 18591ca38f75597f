"""Roles that are added, granted and removed at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tenantapp.identity import grants, members, roles
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.identity.tenants import get_tenant
from tests.installation import Installation

LOOK = 0.3  # seconds in which the second would have come to its end, if it did not wait


def grant(session: Session) -> None:
    grants.add_grant(session, get_tenant(session, "acme").id, "warehouse", login="gina")


def change(session: Session) -> None:
    tenant_id = get_tenant(session, "acme").id
    held = grants.find_grant(session, tenant_id, "author", login="bob")
    members.change_role(session, tenant_id, held.id, "warehouse")


def allow(session: Session) -> None:
    roles.allow(session, "warehouse", "content.read", known={"content.read"})


def remove(session: Session) -> None:
    roles.remove_role(session, "warehouse")


@pytest.fixture
def begin(real_installation: Installation) -> Callable[[], Any]:
    """Begins a transaction in the user database, where there is a role that nobody has."""
    with real_installation.registry.user_db.begin() as session:
        roles.add_role(session, "warehouse", after="author")
    return real_installation.registry.user_db.begin


def second(
    begin: Callable[[], Any], first: Callable[[Session], Any], then: Callable[[Session], Any]
) -> BaseException | None:
    """What becomes of the second transaction, if the first has done its work and is not committed yet."""
    raised: list[BaseException] = []

    def carry_out() -> None:
        try:
            with begin() as session:
                then(session)
        except Exception as error:
            raised.append(error)

    other = threading.Thread(target=carry_out)
    with begin() as session:
        first(session)
        other.start()
        other.join(LOOK)
    other.join()
    return raised[0] if raised else None


@pytest.mark.parametrize("use", [grant, change, allow])
def test_a_role_that_is_being_removed_is_not_there(begin: Callable[[], Any], use: Callable[[Session], None]) -> None:
    error = second(begin, remove, use)
    assert isinstance(error, NotFound), error


def test_a_role_that_is_being_granted_is_not_removed(begin: Callable[[], Any]) -> None:
    assert isinstance(second(begin, grant, remove), InvalidValue)


def test_two_roles_get_two_ranks(begin: Callable[[], Any]) -> None:
    def added(name: str) -> Callable[[Session], Any]:
        return lambda session: roles.add_role(session, name, after="author")

    assert second(begin, added("shelver"), added("packer")) is None
    with begin() as session:
        names = [role.name for role in roles.list_roles(session)]
    assert names == ["reader", "author", "packer", "shelver", "warehouse", "editor", "admin"]
