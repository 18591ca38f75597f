"""A tenant is made wholly or not at all, and its database is its own."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest
from sqlalchemy import select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from tenantapp import main
from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.errors import DatabaseUnreachable, HistoryError, ProvisioningFailed
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.databases.servers.postgres_databases import PostgresDatabases
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.creating import create as creating
from tenantapp.identity.errors import AlreadyExists, InvalidValue
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import suspend_tenant
from tenantapp.operations import foreground, runner
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import list_operations
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import Access, Person, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import ServerError
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.server_engines import engines_of
from tests.contract.conftest import Fleet

STEPS = ("ensure_template", "copy_template")
POSTGRES_STEPS = ("create_role", "create_database", "open_to_owner", "present")


def tenants(fleet: Fleet) -> list[tuple[Any, ...]]:
    """Slug, state and revision of every tenant."""
    with fleet.user_db.begin(read_only=True) as session:
        rows = session.execute(select(Tenant.slug, Tenant.state, Tenant.revision).order_by(Tenant.slug))
        return [tuple(row) for row in rows]


def after(step: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    """The step, followed by an error."""

    def failing(*args: Any, **options: Any) -> None:
        step(*args, **options)
        raise error

    return failing


def can_connect(url: URL) -> bool:
    """Whether the server lets this role into this database."""
    try:
        psycopg2.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_tenant_is_ready_to_be_used(fleet: Fleet) -> None:
    place = fleet.migrated().create("acme")
    assert tenants(fleet) == [("acme", "active", head_revision(fleet.settings, "tenant"))]
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    access = Access(Person(uuid7(), "ada", "Ada"), place)
    with databases.begin(access) as session:
        assert session.scalars(select(TenantIdentity.tenant_id)).all() == [place.id]
    databases.dispose()


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("step", STEPS)
def test_what_fails_is_undone(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    fleet.initialised().create("globex")
    before = fleet.made(), tenants(fleet)
    databases = type(databases_on(fleet.servers.default))
    with monkeypatch.context() as patch:
        patch.setattr(databases, step, after(getattr(databases, step), error))
        with pytest.raises(type(error)):
            fleet.create("acme")
    assert (fleet.made(), tenants(fleet)) == before
    fleet.create("acme")


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_what_fails_at_the_very_end_is_undone(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = fleet.migrated().made()
    real = runner.finish

    def finish(session: Session, operation: Operation, state: OperationState, *reason: str) -> None:
        real(session, operation, state, *reason)
        if state == OperationState.SUCCEEDED:
            raise error

    monkeypatch.setattr(runner, "finish", finish)
    with pytest.raises(type(error)):
        fleet.create("acme")
    assert (fleet.made(), tenants(fleet)) == (before, [])


def test_an_interrupt_right_after_the_row_was_written(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fleet.migrated().made()

    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(foreground, "run_operation", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fleet.create("acme")
    assert (fleet.made(), tenants(fleet)) == (before, [])


def test_an_undoing_that_fails_hides_nothing_and_is_tried_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fleet.migrated().made()

    def broken(*args: Any) -> None:
        raise OSError("gone")

    databases = type(databases_on(fleet.servers.default))
    with monkeypatch.context() as patch:
        patch.setattr(databases, "copy_template", after(databases.copy_template, RuntimeError("first")))
        patch.setattr(databases, "drop", broken)
        with pytest.raises(RuntimeError, match="first"):
            fleet.create("acme")
    # The row shows where to look for what could not be removed, and keeps the slug.
    assert tenants(fleet) == [("acme", "creating", None)]
    with pytest.raises(AlreadyExists):
        fleet.create("acme")
    fleet.settle()
    assert (fleet.made(), tenants(fleet)) == (before, [])


def test_a_slug_that_cannot_be_had_makes_nothing(fleet: Fleet) -> None:
    fleet.initialised().create("acme")
    before = fleet.made()
    for slug in ("No Slug", "'; DROP TABLE tenants; --", "../acme", "a" * 300, "", "\x00"):
        with pytest.raises(InvalidValue):
            fleet.create(slug)
    with pytest.raises(AlreadyExists):
        fleet.create("acme")
    with pytest.raises(ServerError):
        creating.create_tenant(fleet.services, "globex", server="mars")
    assert fleet.made() == before
    assert [row[0] for row in tenants(fleet)] == ["acme"]
    with fleet.user_db.begin(read_only=True) as session:
        assert len(list_operations(session)) == 1


def test_a_history_without_the_identity_makes_nothing(fleet: Fleet) -> None:
    before = fleet.migrated().made()
    settings = fleet.with_revision("tenant", 'op.drop_table("tenant_identity")')
    with pytest.raises(HistoryError, match="no table tenant_identity"):
        creating.create_tenant(fleet.under(settings), "acme")
    assert (fleet.made(), tenants(fleet)) == (before, [])


def test_dropping_a_database_removes_all_of_it(fleet: Fleet) -> None:
    before = fleet.initialised().made()
    place = fleet.create("acme")
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    with databases.begin(Access(Person(uuid7(), "ada", "Ada"), place)) as session:
        session.scalar(select(TenantIdentity.tenant_id))
    # An open connection, and the files that SQLite keeps beside its own.
    databases_on(fleet.servers.default).drop(place.database)
    assert fleet.made() == before
    databases_on(fleet.servers.default).drop(place.database)
    databases.dispose()


def test_several_are_made_at_once(fleet: Fleet) -> None:
    slugs = [f"tenant-{number}" for number in range(6)]
    fleet.migrated()
    with ThreadPoolExecutor() as threads:
        list(threads.map(fleet.create, slugs))
    assert [row[:2] for row in tenants(fleet)] == [(slug, "active") for slug in slugs]


class TestApplication:
    """The application knows the tenants when it starts."""

    def test_the_tenants_are_known(self, fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
        fleet.initialised()
        for slug in ("acme", "globex"):
            fleet.create(slug)
        with fleet.user_db.begin() as session:
            suspend_tenant(session, "globex", "unpaid")
            session.add(Tenant(slug="lost", name="Lost", server="mars", database="tenant_lost"))
        registry = main({}, **fleet.values).registry
        assert len(registry.tenant_dbs) == 2
        assert registry.tenant_dbs.checkedout() == registry.user_db.checkedout() == 0
        registry.user_db.dispose()
        assert not caplog.records

    def test_without_a_user_database_it_starts_with_one_warning(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            assert len(main({}, **fleet.values).registry.tenant_dbs) == 0
        (record,) = caplog.records
        assert "`tenantapp init`" in record.getMessage()
        assert record.exc_info is None


class TestPostgres:
    """What PostgreSQL itself keeps apart."""

    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize("step", POSTGRES_STEPS)
    def test_a_database_made_in_part_is_undone(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        before = fleet.migrated().made()
        monkeypatch.setattr(postgres, step, after(getattr(postgres, step), KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            fleet.create("acme")
        assert (fleet.made(), tenants(fleet)) == (before, [])

    def test_a_tenants_role_gets_into_its_own_database_only(self, fleet: Fleet) -> None:
        acme, globex = fleet.initialised().create("acme"), fleet.create("globex")
        url = fleet.servers["main"].tenant_url(acme.database)
        assert can_connect(url)
        assert not can_connect(url.set(password="wrong"))
        assert not can_connect(url.set(database=globex.database))
        assert not can_connect(url.set(database=fleet.settings.user_db_url.database))

    def test_the_server_knows_only_a_cheap_verifier(self, fleet: Fleet) -> None:
        place = fleet.initialised().create("acme")
        ((verifier,),) = fleet.ask(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{place.database}'")
        assert verifier.startswith("SCRAM-SHA-256$1:")

    def test_files_are_copied_one_by_one_only_where_the_server_clones_them(self, fleet: Fleet) -> None:
        with maintenance_connection(fleet.servers["main"].url, "it") as connection:
            for method, clause in (("copy", ""), ("clone", " STRATEGY FILE_COPY")):
                connection.exec_driver_sql(f"SET file_copy_method = {method}")
                assert postgres.strategy(connection) == clause
                postgres.create_database(connection, f"made_by_{method}")
                assert postgres.database_exists(connection, f"made_by_{method}")

    def test_the_database_sets_limits(self, fleet: Fleet) -> None:
        place = fleet.initialised().create("acme")
        url = fleet.servers["main"].tenant_url(place.database)
        shown = {name: fleet.ask(f"SHOW {name}", url)[0][0] for name in postgres.DATABASE_SETTINGS}
        assert shown == {
            "statement_timeout": "30s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "1min",
        }
        assert fleet.ask("SHOW server_encoding", url) == [("UTF8",)]

    def test_provisioning_needs_no_superuser(self, fleet: Fleet) -> None:
        assert fleet.admin is not None
        name = f"provisioner_{uuid7().hex}"
        fleet.ask(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'secret'")
        fleet.ask(f"GRANT CONNECT ON DATABASE postgres TO {name}")
        us = make_url(fleet.values["servers.main"]).set(username=name, password="secret")
        url = us.render_as_string(hide_password=False)
        user_db = make_url(fleet.values["user_db.url"]).database
        values = fleet.values | {
            "servers.main": url,
            "user_db.url": us.set(database=user_db).render_as_string(hide_password=False),
        }
        ours = Fleet(values, fleet.admin, fleet.directory).migrated()
        before = ours.made()
        place = ours.create("acme")
        upgrade_tenant_database(ours.services, place)
        assert can_connect(ours.servers["main"].tenant_url(place.database))
        databases, branch = databases_on(ours.servers.default), f"tenant_{uuid7().hex}"
        assert isinstance(databases, PostgresDatabases)
        assert databases.clone(place.database, branch, ours.mark(), 0, lambda: True)
        databases.open_clone(place.database, branch)
        databases.drop(place.database)
        (server,) = ours.servers.values()
        assert can_connect(server.tenant_url(branch))
        assert fleet.ask(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", server.tenant_url(branch)
        ) == [(branch,)]
        databases.drop(branch)
        assert ours.made() == before
        ours.close()

    def test_a_refusal_is_a_sentence(self, fleet: Fleet) -> None:
        fleet.migrated()
        name = f"nobody_{uuid7().hex}"
        fleet.ask(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        fleet.ask(f"GRANT CONNECT ON DATABASE postgres TO {name}")
        us = make_url(fleet.values["servers.main"]).set(username=name, password="secret")
        values = fleet.values | {"servers.main": us.render_as_string(hide_password=False)}
        ours = Fleet(values, fleet.admin, fleet.directory)
        with pytest.raises(ProvisioningFailed, match=r"^Could not .* on server main: permission denied .*\.$"):
            ours.create("acme")
        assert tenants(ours) == []
        ours.close()

    def test_a_server_that_is_down(self, fleet: Fleet) -> None:
        fleet.initialised()
        values = fleet.values | {"servers.main": "postgresql+psycopg2://u@127.0.0.1:1/"}
        ours = Fleet(values, fleet.admin, fleet.directory)
        with pytest.raises(DatabaseUnreachable, match="server main"):
            ours.create("acme")
        assert tenants(ours) == []
        ours.close()


def test_a_place_whose_server_is_gone(fleet: Fleet) -> None:
    with pytest.raises(ServerError, match="mars"):
        upgrade_tenant_database(fleet.services, TenantPlace(uuid7(), "a", "A", "mars", "tenant_a"))
