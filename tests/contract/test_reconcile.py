"""What the user database and the servers do not agree on is found, and mended where it is ours to mend."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from tenantapp.databases.servers.base import SCRATCH_PREFIX
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.sqlite_databases import MARK
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Finding, Problem, find
from tenantapp.fleet.removing.deletion import delete_later, purge_deleted, request_purge
from tenantapp.identity.audit import list_entries
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, list_tenants
from tenantapp.operations.leases import claim_next
from tenantapp.operations.models import OperationState
from tenantapp.operations.queue import list_operations
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.servers import SqliteServer
from tests.contract.conftest import Fleet, work
from tests.contract.health import problems, works
from tests.contract.kept import with_store
from tests.contract.templates import MORE, current, pool, template_names, warmed
from tests.installation import SECRET


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """With one tenant with whom all is well."""
    fleet.initialised().create("globex")
    return fleet


def mend_all(fleet: Fleet, **options: Any) -> list[bool]:
    return [mend(fleet.services, KINDS, finding, **options) for finding in find(fleet.services, KINDS)]


def test_all_is_well(fleet: Fleet) -> None:
    warmed(fleet, 1)
    with fleet.user_db.begin() as session:
        request_create(session, fleet.services, "acme", requested_by="local:tests")
        request_create(session, fleet.services, "initech", requested_by="local:tests")
        assert claim_next(session, KINDS) is not None
    assert find(fleet.services, KINDS) == []
    works(fleet, "globex")


def test_a_database_without_a_tenant(fleet: Fleet) -> None:
    before = fleet.made()
    place = fleet.create("acme")
    with fleet.user_db.begin() as session:
        session.execute(delete(Tenant).where(Tenant.slug == "acme"))
    assert problems(fleet) == [(Problem.DATABASE, place.database, True)]
    assert mend_all(fleet) == [True]
    assert fleet.made() == before
    assert problems(fleet) == []
    works(fleet, "globex")


def test_a_database_that_is_not_known_to_be_ours(fleet: Fleet) -> None:
    before = fleet.made()
    name = f"tenant_{uuid7().hex}"
    databases = databases_on(fleet.servers.default)
    if fleet.admin is None:
        server = fleet.servers.default
        assert isinstance(server, SqliteServer)
        (server.directory / MARK).unlink()
    databases.create(name)
    assert problems(fleet) == [(Problem.DATABASE, name, False)]
    assert mend_all(fleet) == [False]
    assert mend_all(fleet, unmarked=True) == [True]
    assert {thing for thing in fleet.made() if name in thing} == set()
    assert fleet.made() == before


def test_another_installation_is_left_alone(fleet: Fleet) -> None:
    """Two user databases, one server."""
    other = Fleet(
        fleet.values | {"user_db.url": f"sqlite+pysqlite:///{fleet.directory}/other.sqlite"},
        fleet.admin,
        fleet.directory,
    ).initialised()
    if fleet.admin is not None:
        other.create("acme")
    assert problems(other) == []
    assert problems(fleet) == []
    other.close()


def test_a_tenant_without_a_database(fleet: Fleet) -> None:
    fleet.create("initech")
    place = fleet.create("acme")
    databases_on(fleet.servers.default).drop(place.database)
    assert problems(fleet) == [(Problem.TENANT, "acme", True)]
    assert mend_all(fleet) == [True]
    with fleet.user_db.begin(read_only=True) as session:
        assert [tenant.slug for tenant in list_tenants(session)] == ["globex", "initech"]
        (entry,) = [entry for entry in list_entries(session, limit=10) if entry.action == "fleet.mend"]
        assert (entry.tenant_id, entry.slug, entry.detail["problem"]) == (place.id, "acme", "tenant without a database")


def test_where_most_tenants_are_missing_none_is_forgotten(fleet: Fleet) -> None:
    """A directory that was not mounted, and in which somebody has made a tenant since."""
    databases_on(fleet.servers.default).drop(fleet.create("acme").database)
    databases_on(fleet.servers.default).drop(fleet.create("initech").database)
    assert problems(fleet) == [(Problem.TENANT, "acme", False), (Problem.TENANT, "initech", False)]
    assert mend_all(fleet) == [False, False]


def test_a_server_that_does_not_answer_hides_no_other(fleet: Fleet) -> None:
    place = fleet.create("acme")
    with fleet.user_db.begin() as session:
        session.delete(get_tenant(session, "acme"))
    fleet.values |= {"servers.down": "postgresql+psycopg2://nobody@127.0.0.1:1/", "tenancy.secret": SECRET}
    fleet.__post_init__()
    found = problems(fleet)
    assert found == [(Problem.SERVER, "down", False), (Problem.DATABASE, place.database, True)]
    assert mend_all(fleet) == [False, True]


def test_a_server_that_holds_nothing_of_ours_costs_no_tenant(fleet: Fleet) -> None:
    """A directory that is not mounted, the URL of another server."""
    if fleet.admin is None:
        server = fleet.servers.default
        assert isinstance(server, SqliteServer)
        server.directory.rename(fleet.directory / "elsewhere")
    else:
        # Other tests may have tenants on the server.
        with fleet.user_db.begin(read_only=True) as session:
            database = get_tenant(session, "globex").database
        databases_on(fleet.servers.default).drop(database)
        databases_on(fleet.servers.default).drop_template(current(fleet))
    assert problems(fleet) == [(Problem.TENANT, "globex", False)]
    assert mend_all(fleet) == [False]


def test_a_tenant_that_nobody_makes(fleet: Fleet) -> None:
    before = fleet.made()
    with fleet.user_db.begin() as session:
        tenant_id = uuid7()
        session.add(Tenant(id=tenant_id, slug="acme", name="A", server="main", database=f"tenant_{tenant_id.hex}"))
    databases_on(fleet.servers.default).create(f"tenant_{tenant_id.hex}")
    assert problems(fleet) == [(Problem.UNFINISHED, "acme", True)]
    assert mend_all(fleet) == [True]
    assert fleet.made() == before


def test_an_operation_that_was_given_up_half_undone(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise OSError("gone")

    before = fleet.made()
    databases = type(databases_on(fleet.servers.default))
    with monkeypatch.context() as patch:
        patch.setattr(databases, "drop", broken)
        patch.setattr(databases, "copy_template", broken)
        with pytest.raises(OSError, match="gone"):
            fleet.create("acme")
        for _ in range(12):
            fleet.settle()
    with fleet.user_db.begin(read_only=True) as session:
        assert list_operations(session, slug="acme")[0].state == "failed"
    assert problems(fleet) == [(Problem.OPERATION, "create acme", True)]
    assert mend_all(fleet) == [True]
    assert (fleet.made(), problems(fleet)) == (before, [])


def test_warm_databases_that_are_gone_and_old_templates(fleet: Fleet) -> None:
    warmed(fleet, 1)
    ((_, database, _),) = pool(fleet)
    databases_on(fleet.servers.default).drop(database)
    assert problems(fleet) == [(Problem.WARM, database, True)]
    assert mend_all(fleet) == [True]
    assert pool(fleet) == []
    settings = fleet.with_revision("tenant", MORE)
    services = type(fleet.services)(fleet.user_db, settings, fleet.servers)
    (old,) = template_names(fleet)
    findings = find(services, KINDS)
    assert findings == [Finding(Problem.TEMPLATE, old, "main")]
    assert mend(services, KINDS, findings[0])
    assert template_names(fleet) == set()


def forgotten(fleet: Fleet, mark: str, *, days: float) -> str:
    """A scratch database that somebody made so long ago, and what a SQLite file may have beside it."""
    moment = utcnow() - timedelta(days=days)
    name = f"{SCRATCH_PREFIX}{int(moment.timestamp() * 1000):012x}{uuid7().hex[12:]}"
    databases_on(fleet.servers.default).create(name, mark)
    return name


def test_forgotten_scratch_databases(fleet: Fleet) -> None:
    mark = fleet.mark()
    before = fleet.made()
    young = forgotten(fleet, mark, days=0.9)
    old = forgotten(fleet, mark, days=1.1)
    assert problems(fleet) == [(Problem.SCRATCH, old, True)]
    assert mend_all(fleet) == [True]
    assert not [thing for thing in fleet.made() if old in thing]
    assert [thing for thing in fleet.made() if young in thing]
    databases_on(fleet.servers.default).drop(young)
    assert fleet.made() == before


def test_scratch_databases_of_others(fleet: Fleet) -> None:
    """On a server that is shared."""
    databases = databases_on(fleet.servers.default)
    if fleet.admin is not None:
        unmarked = forgotten(fleet, "", days=2)
        other = forgotten(fleet, "tenantapp of somebody else", days=2)
        assert problems(fleet) == [(Problem.SCRATCH, unmarked, False)]
        assert mend_all(fleet) == [False]
        assert mend_all(fleet, unmarked=True) == [True]
        databases.drop(other)
    databases.create(f"{SCRATCH_PREFIX}of_my_own")
    assert problems(fleet) == []
    databases.drop(f"{SCRATCH_PREFIX}of_my_own")


def test_what_a_rehearsal_that_was_killed_has_left(fleet: Fleet) -> None:
    """On SQLite it may be a file that was not finished."""
    before = fleet.made()
    old = forgotten(fleet, fleet.mark(), days=2)
    server = fleet.servers.default
    if isinstance(server, SqliteServer):
        server.path(old).rename(server.path(old).with_suffix(".sqlite.0123456789abcdef.new"))
    assert problems(fleet) == [(Problem.SCRATCH, old, True)]
    assert mend_all(fleet) == [True]
    assert fleet.made() == before


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_removal_that_stopped_half_way(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, cancelled: bool) -> None:
    place = fleet.create("acme")
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", timedelta(0))
        request_purge(session, fleet.services, "acme", requested_by="local:tests", copy=False)
    with monkeypatch.context() as patch:
        patch.setattr(type(databases_on(fleet.servers.default)), "drop", _broken)
        work(fleet.services)
        with fleet.user_db.begin() as session:
            (operation,) = [found for found in list_operations(session) if found.kind == "delete"]
            assert (operation.state, operation.step) == ("failed", "database")
            if cancelled:
                operation.state = OperationState.CANCELLED
        assert problems(fleet) == [(Problem.OPERATION, "delete acme", True)]
        assert mend_all(fleet) == [False]
    assert mend_all(fleet) == [True]
    assert problems(fleet) == []
    assert not [thing for thing in fleet.made() if place.database in thing]


def _broken(*arguments: Any) -> None:
    raise OSError("gone")


@pytest.mark.parametrize("step", ["copy", "bundle"])  # as it is called, and as it was
def test_a_removal_that_was_stopped_before_anything_was_removed(fleet: Fleet, step: str) -> None:
    with_store(fleet).create("acme")
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", timedelta(days=7))
        operation = request_purge(session, fleet.services, "acme", requested_by="local:tests")
        operation.state, operation.step = OperationState.CANCELLED, step
    assert problems(fleet) == []
    purge_deleted(fleet.services)
    assert slugs(fleet) == ["acme", "globex"]
    with fleet.user_db.begin() as session:
        get_tenant(session, "acme").purge_after = utcnow() - timedelta(seconds=1)
    purge_deleted(fleet.services)
    work(fleet.services)
    assert slugs(fleet) == ["globex"]


def slugs(fleet: Fleet) -> list[str]:
    with fleet.user_db.begin(read_only=True) as session:
        return [tenant.slug for tenant in list_tenants(session)]
