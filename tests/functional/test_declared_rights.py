"""A domain declares permissions and roles, and an installation gets each of them once."""

from collections.abc import Callable

import orjson
import pytest
from pyramid.config import Configurator
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.identity import grants, roles
from tenantapp.identity.audit import list_entries
from tenantapp.identity.declared_rights import DeclaredRights, DeclaredRole, apply_declared
from tenantapp.identity.errors import AlreadyExists, InvalidValue, NotFound
from tenantapp.identity.models import Role
from tenantapp.identity.permissions import OF_NO_ROLE
from tenantapp.identity.tenants import get_tenant
from tests.declaring import BAD_ROLE_NAMES, application_of
from tests.installation import Installation
from tests.shop import app_including


def warehouse(config: Configurator) -> None:
    """Permissions and roles of a domain."""
    german = {"de": "Zählen, was in den Regalen ist"}
    config.add_permission("stock.count", "Count what is on the shelves", held_by=["editor"], translations=german)
    config.add_permission("stock.write_off", "Take from the shelves what is broken")
    config.add_role("warehouse", after="author", holds=["content.read", "stock.count"])
    config.add_role("manager", after="warehouse", holds=["content.read", "stock.count", "stock.write_off"])


def declared(includeme: Callable[[Configurator], None] = warehouse) -> DeclaredRights:
    """What a domain declares."""
    rights: DeclaredRights = application_of(includeme).registry.declared_rights
    return rights


def held(session: Session) -> dict[str, set[str]]:
    """The permissions of each role, by the names of the roles, the lowest first."""
    session.expire_all()
    return {role.name: {each.permission for each in role.permissions} for role in roles.list_roles(session)}


def test_what_is_declared_is_added_with_its_rank(installation: Installation) -> None:
    rights = declared()
    with installation.registry.user_db.begin() as session:
        told = apply_declared(session, rights)
        found = held(session)
        entries = {entry.action for entry in list_entries(session)}
    assert list(found) == ["reader", "author", "warehouse", "manager", "editor", "admin"]
    assert found["warehouse"] == {"content.read", "stock.count"}
    assert "stock.count" in found["editor"]
    assert "stock.count" not in found["admin"]
    assert told[0] == "The role warehouse was added."
    assert "The role editor holds stock.count." in told
    assert {"role.add", "role.allow"} <= entries


def test_the_document_has_the_words_of_permissions(installation: Installation) -> None:
    document = app_including(installation, warehouse).registry.openapi
    words = orjson.loads(document.resources)["x-permissions"]
    assert words["stock.count"] == {
        "description": "Count what is on the shelves",
        "translations": {"de": "Zählen, was in den Regalen ist"},
    }
    assert words["stock.write_off"] == {"description": "Take from the shelves what is broken", "translations": {}}


def test_what_an_operator_takes_away_stays_away(installation: Installation) -> None:
    rights = declared()
    with installation.registry.user_db.begin() as session:
        apply_declared(session, rights)
        roles.deny(session, "editor", "stock.count")
        roles.remove_role(session, "manager")
        before = held(session)
        assert apply_declared(session, rights) == []
        assert held(session) == before


def test_what_is_declared_later_is_added_then(installation: Installation) -> None:
    def later(config: Configurator) -> None:
        warehouse(config)
        config.add_permission("stock.order", "Order what is missing", held_by=["warehouse", "manager"])

    with installation.registry.user_db.begin() as session:
        apply_declared(session, declared())
        roles.remove_role(session, "manager")
        assert apply_declared(session, declared(later)) == ["The role warehouse holds stock.order."]


def test_a_role_that_an_operator_has_made_is_taken_as_it_is(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        roles.add_role(session, "warehouse", after="admin")
        apply_declared(session, declared())
        found = held(session)
    assert list(found) == ["reader", "author", "editor", "admin", "warehouse", "manager"]
    assert found["warehouse"] == {"content.read", "stock.count"}


def test_a_role_whose_neighbour_is_gone_ranks_lowest(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        rights = declared()
        rights.roles["warehouse"] = DeclaredRole("warehouse", after="gone")
        apply_declared(session, rights)
        assert list(held(session))[:2] == ["warehouse", "manager"]


def test_there_is_room_for_any_number_of_roles(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        for number in range(12):
            roles.add_role(session, f"level-{number}", after="author")
        roles.add_role(session, "guest")
        names = list(held(session))
        ranks = session.scalars(select(Role.rank)).all()
    levels = [f"level-{number}" for number in reversed(range(12))]
    assert names == ["guest", "reader", "author", *levels, "editor", "admin"]
    assert min(ranks) > 0


def test_a_granted_role_is_not_removed(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        apply_declared(session, declared())
        grants.add_grant(session, get_tenant(session, "acme").id, "manager", login="ada")
        with pytest.raises(InvalidValue, match="Somebody has the role manager"):
            roles.remove_role(session, "manager")
        roles.remove_role(session, "warehouse")
        assert "warehouse" not in held(session)


def test_a_permission_that_nothing_knows_is_refused(installation: Installation) -> None:
    known = declared().known
    with installation.registry.user_db.begin() as session:
        for wrong, right in {"contnet.raed": "content.read", "stock.coutn": "stock.count"}.items():
            with pytest.raises(InvalidValue, match=rf"did you mean {right}"):
                roles.allow(session, "author", wrong, known=known)
        for unlike in ("q.q", "\N{GREEK SMALL LETTER ALPHA}" * 300, "", "content"):
            with pytest.raises(InvalidValue, match="Nothing asks for the permission"):
                roles.allow(session, "author", unlike, known=known)
        for permission in OF_NO_ROLE:
            with pytest.raises(InvalidValue, match="cannot be given to a role"):
                roles.allow(session, "author", permission, known=known | OF_NO_ROLE)
        roles.allow(session, "author", "stock.write_off", known=known)
        for name in BAD_ROLE_NAMES:
            with pytest.raises(InvalidValue, match="A role has a name"):
                roles.add_role(session, name)


def test_a_role_is_added_once_and_next_to_one_that_exists(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        with pytest.raises(NotFound):
            roles.add_role(session, "warehouse", after="athor")
        with pytest.raises(AlreadyExists), session.begin_nested():
            roles.add_role(session, "author", after="reader")
