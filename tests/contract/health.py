"""Whether a fleet is well, and its tenants are served."""

import time
from typing import Any, Final

import pytest
from sqlalchemy import select

from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.reconcile import Finding, find
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import list_tenants, place_of
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import Access, Person, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import TenantDatabaseUnavailable
from tenantapp.tenancy.models import TenantBase, TenantIdentity
from tenantapp.tenancy.server_engines import engines_of
from tests.contract.conftest import Fleet
from tests.contract.kept import Kept
from tests.contract.rows import content, findings, look

MIGRATING: Final = ("it is being migrated",)


def ours(fleet: Fleet) -> list[Finding]:
    """What is to be mended. Other tests may have left something on the server that is not marked as ours."""
    return [finding for finding in find(fleet.services, KINDS) if finding.note is None]


def works(fleet: Fleet, slug: str) -> None:
    """The tenant is served from a database that carries its id, and its own role may change the tables."""
    with fleet.user_db.begin(read_only=True) as session:
        places = {tenant.slug: (place_of(tenant), tenant.state) for tenant in list_tenants(session)}
    place, state = places[slug]
    assert state == "active"
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    with databases.begin(Access(Person(uuid7(), "ada", "Ada"), place)) as session:
        assert session.scalars(select(TenantIdentity.tenant_id)).all() == [place.id]
        session.connection().exec_driver_sql("ALTER TABLE nodes ADD COLUMN more INTEGER")
    databases.dispose()


def problems(fleet: Fleet) -> list[tuple[str, str, bool]]:
    """What is found, and whether it is to be mended."""
    return [(found.problem, found.name, found.note is None) for found in find(fleet.services, KINDS)]


def nothing_is_wrong(fleet: Fleet) -> None:
    assert [found for found in find(fleet.services, KINDS) if found.note is None] == []
    for server in ("server", "other"):
        url = fleet.servers[server].url.set(database="postgres")
        assert fleet.ask("SELECT slot_name FROM pg_replication_slots", url) == []
        assert fleet.ask("SELECT subname FROM pg_subscription", url) == []
    with fleet.user_db.begin(read_only=True) as session:
        for tenant in session.scalars(select(Tenant)):
            assert tenant.state == "active"
            assert tenant.migrating_until is None


def is_served(fleet: Fleet, where: TenantPlace, rows: dict[str, Any]) -> None:
    look(fleet, where)
    assert content(fleet, where) == rows
    deadline = time.monotonic() + 20
    # PostgreSQL may not have noticed yet that a process which held the lock was killed.
    while (found := findings(fleet, where, fleet.settings)) == MIGRATING and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == ()


def nothing_is_left_over(kept: Kept) -> None:
    assert ours(kept.fleet) == []
    assert not [thing for thing in kept.fleet.made() if "new" in thing.rpartition("/")[2]]


def is_closed(fleet: Fleet, place: TenantPlace) -> None:
    """Nobody gets in who comes as the application does."""
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    with (
        pytest.raises(TenantDatabaseUnavailable),
        databases.begin(Access(Person(uuid7(), "ada", "Ada"), place), read_only=True) as session,
    ):
        session.execute(select(TenantBase.metadata.tables["tags"]))
