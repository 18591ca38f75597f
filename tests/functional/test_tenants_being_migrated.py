"""A tenant whose database is being migrated, or has yet to be, is not served; the others are."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tenantapp import main
from tenantapp.databases.histories.histories import head_revision
from tenantapp.fleet.closing.fence import lower_fence, raise_fence
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant
from tenantapp.sql.times import utcnow
from tests.installation import PASSWORD, Client, Installation


def change(installation: Installation, **values: Any) -> None:
    with installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(**values))


def assert_migrating(answer: Any) -> None:
    assert (answer.status_int, answer.json["code"]) == (503, "tenant_migrating"), answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert "items" not in answer.json


@pytest.fixture
def fenced(real_installation: Installation) -> Callable[[bool], None]:
    """Puts the fence of acme up or down."""

    def fence(up: bool) -> None:
        with real_installation.registry.user_db.begin() as session:
            acme = get_tenant(session, "acme").id
            if not up:
                lower_fence(session.connection(), acme)
                return
            found = raise_fence(session.connection(), acme)
            assert found is not None
            assert found.place.slug == "acme"

    return fence


def test_only_that_tenant_is_kept_waiting(real_installation: Installation, fenced: Callable[[bool], None]) -> None:
    bob, both = (Client(real_installation.app).sign_in(login) for login in ("bob", "gina"))
    assert bob.get("/nodes").status_int == 200
    fenced(True)
    for _ in range(2):
        assert_migrating(bob.get("/nodes"))
        assert_migrating(bob.post("/nodes", {"title": "x"}))
        assert both.get("/nodes").status_int == 200
    assert bob.get("/session").status_int == 200
    fenced(False)
    assert bob.get("/nodes").status_int == 200


def test_it_can_be_chosen_and_is_there_afterwards(
    real_installation: Installation, fenced: Callable[[bool], None]
) -> None:
    """The session says which tenant it is in, and each call of the tenant's why it has to wait."""
    fenced(True)
    both = Client(real_installation.app)
    signed_in = both.post("/session", {"login": "both", "password": PASSWORD, "tenant": "acme"})
    both.csrf_token = signed_in.json["csrf_token"]
    for session in (signed_in, both.get("/session")):
        assert session.json["tenant"] == {"slug": "acme", "name": "Acme"}
        assert (session.json["roles"], "content.create" in session.json["permissions"]) == (["author"], True)
    assert_migrating(both.get("/nodes"))
    assert both.switch("globex").status_int == 200
    assert both.get("/nodes").status_int == 200
    switched = both.switch("acme")
    assert (switched.status_int, switched.json["tenant"]) == (200, {"slug": "acme", "name": "Acme"})
    assert_migrating(both.get("/nodes"))
    fenced(False)
    assert both.get("/nodes").status_int == 200
    assert both.get("/session").json["tenant"]["slug"] == "acme"


def test_the_fence_of_one_that_was_killed_falls_by_itself(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    change(installation, migrating_until=utcnow() + timedelta(seconds=20))
    assert_migrating(client.get("/nodes"))
    change(installation, migrating_until=utcnow() - timedelta(seconds=1))
    assert client.get("/nodes").status_int == 200


def test_a_suspended_tenant_stays_so(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    change(installation, migrating_until=utcnow() + timedelta(seconds=20), state="suspended")
    assert client.get("/nodes").json["code"] == "tenant_suspended"
    assert client.get("/session").json["tenant"] is None
    assert client.switch("acme").json["code"] == "tenant_forbidden"


def test_revisions_that_are_too_old_are_not_served(make_installation: Any) -> None:
    with make_installation() as installation:
        head = head_revision(installation.registry.app_settings, "tenant")
        newer = Installation.__new__(Installation)
        newer.settings = installation.settings | {"migrations.oldest": head}
        newer.app = main({}, **newer.settings)
        newer.registry = newer.app.registry
        old, new = Client(installation.app).sign_in("ada"), Client(newer.app).sign_in("ada")
        change(installation, revision=None)
        assert old.get("/nodes").status_int == 200, "the version before serves it"
        assert_migrating(new.get("/nodes"))
        change(installation, revision=head)
        assert new.get("/nodes").status_int == 200
        change(installation, revision="cafe00000000")
        assert new.get("/nodes").status_int == 200, "one that is newer than we know may be served"
        newer.close()


def test_a_setting_that_names_no_revision(real_installation: Installation) -> None:
    with pytest.raises(
        SystemExit, match=r"tenantapp: setting migrations\.oldest: The tenant history has no revision x"
    ):
        main({}, **real_installation.settings | {"migrations.oldest": "x"})
