"""What views cache: by tenant and epoch, and only what was committed."""

from typing import Any

import pytest
from sqlalchemy import update

from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.models import Tenant
from tests.installation import Client, Installation
from tests.transactions.applications import app_with


def greeting(request: Any) -> Any:
    """Made once for each tenant."""
    return request.tenant_cache.get_or_make("greeting", lambda: f"{request.access.person.login} was first")


def failing(request: Any) -> Any:
    """Caches something, and fails."""
    request.tenant_cache.set("greeting", "of a change that was never made")
    request.response.status_int = 409
    return {}


def changing(request: Any) -> Any:
    request.tenant_cache.set("greeting", "changed")
    return request.tenant_cache.get("greeting")


@pytest.fixture
def app(installation: Installation) -> Any:
    return app_with(installation, greeting=greeting, failing=failing, changing=changing)


def test_a_tenant_has_its_own_values_and_loses_them_with_its_epoch(app: Any, installation: Installation) -> None:
    bob, both = Client(app).sign_in("bob", "acme"), Client(app).sign_in("both", "acme")
    assert bob.get("/x/greeting").json == both.get("/x/greeting").json == "bob was first"
    both.switch("globex")
    assert both.get("/x/greeting").json == "both was first"
    with installation.registry.user_db.begin() as session:  # as a restore does
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(epoch=new_epoch()))
    assert Client(app).sign_in("ada", "acme").get("/x/greeting").json == "ada was first"
    assert bob.get("/x/greeting").json == "ada was first"
    assert both.get("/x/greeting").json == "both was first"


def test_a_change_that_is_undone_caches_nothing(app: Any) -> None:
    bob = Client(app).sign_in("bob", "acme")
    assert bob.post("/x/failing").status_int == 409
    assert bob.get("/x/greeting").json == "bob was first"
    assert bob.post("/x/changing").json == bob.get("/x/greeting").json == "changed"
