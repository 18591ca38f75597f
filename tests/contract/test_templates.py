"""Templates are copied and never used; what comes of them is the tenant's own."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.databases.servers import templates
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.creating.create import create_tenant, request_create
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.models import Tenant
from tenantapp.operations.queue import cancel_operation, retry_operation
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.models import TenantIdentity
from tests.contract.conftest import Fleet, work
from tests.contract.health import works
from tests.contract.templates import MORE, current, pool, template_names, warmed


def tables(url: URL) -> set[str]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return set(inspect(connection).get_table_names())


def test_the_template_is_made_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.migrated().create("acme")
    assert template_names(fleet) == {current(fleet)}
    monkeypatch.setattr(templates.Template, "build", None)
    fleet.create("globex")
    works(fleet, "acme")
    works(fleet, "globex")


def test_another_revision_takes_its_place(fleet: Fleet) -> None:
    fleet.migrated().create("acme")
    old = current(fleet)
    settings = fleet.with_revision("tenant", MORE)
    place = create_tenant(fleet.under(settings), "globex")
    new = current(fleet, fleet.under(settings))
    assert old != new
    assert template_names(fleet) == {new}
    assert "more" in tables(fleet.servers["main"].tenant_url(place.database))
    with fleet.user_db.begin(read_only=True) as session:
        assert dict(session.execute(select(Tenant.slug, Tenant.revision)).all())["globex"] == "feedc0de0001"
    # Another text of the same revision does as well.
    (revision,) = (fleet.directory / "history_tenant" / "versions").glob("feedc0de0001*")
    revision.write_text(revision.read_text().replace('"more"', '"others"'))
    place = create_tenant(fleet.under(settings), "initech")
    assert "others" in tables(fleet.servers["main"].tenant_url(place.database))
    # An older version that still runs leaves alone what it does not know.
    newest = template_names(fleet)
    fleet.create("umbrella")
    assert template_names(fleet) == newest | {old}


def test_many_who_need_it_at_once(fleet: Fleet) -> None:
    fleet.migrated()
    slugs = [f"tenant-{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(fleet.create, slugs))
    for slug in slugs:
        works(fleet, slug)
    assert template_names(fleet) == {current(fleet)}


def test_a_template_that_cannot_be_built_leaves_nothing(fleet: Fleet) -> None:
    before = fleet.migrated().everything()
    settings = fleet.with_revision("tenant", f"{MORE}; raise LookupError('half way')")
    with pytest.raises(LookupError):
        create_tenant(fleet.under(settings), "acme")
    left = {thing for thing in fleet.everything() - before if not thing.endswith(".tenantapp")}
    assert left == set()
    with fleet.user_db.begin(read_only=True) as session:
        assert session.scalars(select(Tenant)).all() == []


class TestWarm:
    def test_the_pool_is_kept_filled(self, fleet: Fleet) -> None:
        services = warmed(fleet.migrated(), 2)
        first = pool(fleet)
        assert len(first) == 2
        place = create_tenant(services, "acme")
        assert place.id in {row[0] for row in first}
        works(fleet, "acme")
        assert len(pool(fleet)) == 1
        work(services)
        assert len(pool(fleet)) == 2
        work(fleet.services)
        assert pool(fleet) == []
        assert {thing.rpartition("_")[2].removesuffix(".sqlite") for thing in fleet.made() if "tenant_" in thing} == {
            place.id.hex
        }

    def test_a_tenant_needs_nothing_but_a_row(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        services = warmed(fleet.migrated(), 1)
        with monkeypatch.context() as patch:
            for step in ("ensure_template", "copy_template", "drop"):
                patch.setattr(type(databases_on(fleet.servers.default)), step, None)
            create_tenant(services, "acme", name="Acme Inc.")
        works(fleet, "acme")

    def test_a_creation_that_is_retried_takes_one_and_is_finished(self, fleet: Fleet) -> None:
        """It is not queued as well, where somebody could cancel it and so undo a tenant that is used."""
        with fleet.initialised().user_db.begin() as session:
            operation = request_create(session, fleet.services, "acme", requested_by="local:tests").id
            cancel_operation(session, operation, KINDS)
        warmed(fleet, 1)
        with fleet.user_db.begin() as session:
            assert retry_operation(session, operation, KINDS).state == "succeeded"
        assert pool(fleet) == []
        works(fleet, "acme")

    def test_none_is_given_twice(self, fleet: Fleet) -> None:
        services = warmed(fleet.migrated(), 3)

        def create(number: int) -> Any:
            return create_tenant(services, f"tenant-{number}")

        with ThreadPoolExecutor(6) as threads:
            places = list(threads.map(create, range(6)))
        assert len({place.database for place in places}) == 6
        for place in places:
            works(fleet, place.slug)
        assert pool(fleet) == []

    def test_a_slug_that_is_taken_costs_none(self, fleet: Fleet) -> None:
        services = warmed(fleet.migrated(), 1)
        create_tenant(fleet.services, "acme")
        work(services)
        with pytest.raises(Exception, match="already"):
            create_tenant(services, "acme")
        assert len(pool(fleet)) == 1

    def test_those_of_an_old_revision_are_replaced(self, fleet: Fleet) -> None:
        services = warmed(fleet.migrated(), 1)
        ((old, *_),) = pool(fleet)
        settings = replace(fleet.with_revision("tenant", MORE), fleet_warm_databases=1)
        place = create_tenant(fleet.under(settings), "acme")
        assert place.id != old, "it would be one revision behind"
        work(fleet.under(settings))
        ((new, database, _),) = pool(fleet)
        assert new != old
        assert "more" in tables(fleet.servers["main"].tenant_url(database))
        # The old version, still running, does not throw away what the new one keeps.
        work(services)
        assert new in {row[0] for row in pool(fleet)}


class TestPostgres:
    """Who owns what, and who gets in."""

    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def place(self, fleet: Fleet) -> Any:
        return fleet.migrated().create("acme")

    def test_all_is_the_tenants_own(self, fleet: Fleet, place: Any) -> None:
        assert fleet.admin is not None
        inside = fleet.admin.set(database=place.database)
        owners = """
            SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname = 'public'
        """
        assert fleet.ask(owners, inside) == [(place.database,)]
        settings = fleet.with_revision("tenant", 'op.add_column("nodes", sa.Column("more", sa.Integer))')
        assert upgrade_tenant_database(fleet.under(settings), place) == "feedc0de0001"

    def test_nobody_gets_into_the_template(self, fleet: Fleet, place: Any) -> None:
        assert fleet.admin is not None
        name = current(fleet)
        server = fleet.servers["main"]
        for url in (
            fleet.admin.set(database=name),
            server.tenant_url(name),
            server.tenant_url(name).set(database=place.database),
            server.tenant_url(place.database).set(database=name),
        ):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
        with pytest.raises(DBAPIError):
            fleet.ask(f'CREATE DATABASE stolen TEMPLATE "{name}"', server.tenant_url(place.database))

    def test_roles_bear_the_mark(self, fleet: Fleet, place: Any) -> None:
        with fleet.user_db.begin(read_only=True) as session:
            mark = installation_mark(session)
        found = {found.name: found.mark for found in databases_on(fleet.servers["main"]).found()}
        assert found[place.database] == found[current(fleet)] == mark

    def test_copying_twice_changes_nothing(self, fleet: Fleet, place: Any) -> None:
        url = fleet.servers["main"].tenant_url(place.database)
        fleet.ask("DELETE FROM tenant_identity", url)
        databases = databases_on(fleet.servers["main"])
        for _ in range(2):
            databases.copy_template(current(fleet), place.database, place.id, "tenantapp")
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            assert connection.scalars(select(TenantIdentity.tenant_id)).all() == [place.id]
        assert uuid7() != place.id
