"""The installation whose transactions are rolled back refuses what the real one refuses."""

import pytest
from sqlalchemy import text

from tenantapp.identity.local_access import local_access
from tenantapp.tenancy.errors import TenantDatabaseUnavailable, UserDatabaseUnavailable
from tests.installation import Client, Installation


def test_what_has_only_read_keeps_nobody_from_writing(installation: Installation) -> None:
    bob = Client(installation.app).sign_in("bob")
    for title in ("first", "second"):
        assert bob.post("/nodes", {"title": title}).status_int == 201
        assert bob.get("/nodes").json["items"][-1]["title"] == title
        assert bob.get("/session").status_int == 200


def test_a_get_that_writes_fails_on_the_user_database(installation: Installation) -> None:
    """The connection is not used again afterwards, as the real one is not."""
    with (
        pytest.raises(UserDatabaseUnavailable),
        installation.registry.user_db.begin(read_only=True) as session,
    ):
        session.execute(text("UPDATE users SET name = 'written while reading'"))


def test_a_get_that_writes_fails_on_a_tenants_database(installation: Installation) -> None:
    with installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with (
        pytest.raises(TenantDatabaseUnavailable),
        installation.registry.tenant_dbs.begin(access, read_only=True) as session,
    ):
        session.execute(text("UPDATE nodes SET title = 'written while reading'"))
