"""What a tenant's PostgreSQL role can reach if somebody gets hold of it: its own database, and nothing else."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.hardening import harden_servers, name_open_databases, show_open_databases
from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import maintenance_connection, reading_connection
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.user_database import make_user_database
from tenantapp.databases.servers.hardening import harden, openness
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.removing.deletion import delete_later, request_purge
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import PostgresServer
from tests.contract.conftest import Fleet
from tests.contract.health import ours, works
from tests.postgres import role_on

DENIED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.FeatureNotSupported)
# What a role might try in its own database to get out of it.
ATTEMPTS = (
    "CREATE DATABASE more",
    "CREATE ROLE more",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEDB CREATEROLE",
    "ALTER ROLE CURRENT_USER REPLICATION",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "ALTER ROLE \"{other}\" PASSWORD 'mine'",
    'ALTER ROLE "{other}" NOLOGIN',
    'DROP ROLE "{other}"',
    'SET ROLE "{other}"',
    'SET SESSION AUTHORIZATION "{other}"',
    'SET ROLE "{admin}"',
    'GRANT "{other}" TO CURRENT_USER',
    "GRANT pg_read_all_data TO CURRENT_USER",
    'DROP DATABASE "{other}"',
    'ALTER DATABASE "{other}" CONNECTION LIMIT 0',
    "ALTER DATABASE postgres SET statement_timeout = 1",
    "ALTER SYSTEM SET statement_timeout = 1",
    "SELECT rolpassword FROM pg_authid",
    "SELECT subconninfo FROM pg_subscription",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(lo_create(0), '/tmp/exported')",
    "COPY nodes TO '/tmp/copied'",
    "COPY nodes FROM '/etc/passwd'",
    "COPY nodes TO PROGRAM 'cat'",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE FOREIGN DATA WRAPPER mine",
    "CREATE TABLESPACE mine LOCATION '/tmp'",
    "CREATE SUBSCRIPTION mine CONNECTION 'dbname=postgres' PUBLICATION mine WITH (connect = false)",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION version()",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
    "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_terminate_backend({witness})",
    "LOAD '$libdir/pgoutput'",
    "SET log_statement = 'none'",
    "SET temp_file_limit = -1",
)


@pytest.fixture(params=["postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def acme(fleet: Fleet) -> TenantPlace:
    return fleet.initialised().create("acme")


def server_of(fleet: Fleet) -> PostgresServer:
    server = fleet.servers["main"]
    assert isinstance(server, PostgresServer)
    return server


def url_of(fleet: Fleet, place: TenantPlace, database: str | None = None) -> URL:
    """As the role of a tenant, in its own database or another one."""
    return server_of(fleet).tenant_url(place.database).set(database=database or place.database)


@contextmanager
def connected(url: URL, **options: Any) -> Iterator[Any]:
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(address, **options)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def gets_in(url: URL) -> bool:
    try:
        with connected(url):
            return True
    except psycopg2.OperationalError:
        return False


@pytest.fixture
def opened(fleet: Fleet) -> Iterator[None]:
    """A server as it is installed: everybody may connect to everything, also to a database of somebody else."""
    fleet.ask("GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1 TO PUBLIC")
    fleet.ask("CREATE DATABASE customers")
    yield
    fleet.ask("REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC")


def test_no_attempt_gets_out(fleet: Fleet, acme: TenantPlace) -> None:
    assert fleet.admin is not None
    other = fleet.create("globex").database
    with connected(fleet.admin) as admin, connected(url_of(fleet, acme)) as cursor:
        witness = admin.connection.info.backend_pid
        for attempt in ATTEMPTS:
            with pytest.raises(DENIED):
                cursor.execute(attempt.format(other=other, admin=fleet.admin.username, witness=witness))
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user AND query ~ '^[A-Z]'")
        assert cursor.fetchone() == (0,)
        with pytest.raises(psycopg2.errors.ObjectInUse):
            cursor.execute(f'DROP DATABASE "{acme.database}"')
    assert not gets_in(url_of(fleet, acme).update_query_dict({"replication": "database"}))


def test_hardening_leaves_a_role_its_own_database(
    fleet: Fleet, acme: TenantPlace, opened: None, capsys: pytest.CaptureFixture[str]
) -> None:
    everywhere = ("postgres", "template1", "customers")
    assert all(gets_in(url_of(fleet, acme, database)) for database in everywhere)
    show_open_databases(fleet.services)
    shown = capsys.readouterr().out
    assert "may connect to customers, postgres, template1." in shown
    assert name_open_databases(fleet.services) == []
    assert "may connect to customers, postgres, template1." in capsys.readouterr().err
    # The statements that are shown are those that close it.
    for statement in [line for line in shown.splitlines() if line.startswith("  ")]:
        fleet.ask(statement)
    assert not any(gets_in(url_of(fleet, acme, database)) for database in everywhere)
    fleet.ask("GRANT CONNECT ON DATABASE customers TO PUBLIC")
    harden_servers(fleet.services)
    assert "its own database only" in capsys.readouterr().out
    show_open_databases(fleet.services)
    assert capsys.readouterr().out == ""
    assert not gets_in(url_of(fleet, acme, "customers"))
    works(fleet, "acme")


def test_what_our_role_may_not_close_is_left_and_named(
    fleet: Fleet, acme: TenantPlace, opened: None, postgres_server: URL, capsys: pytest.CaptureFixture[str]
) -> None:
    with role_on(postgres_server, "") as us:
        fleet.change_settings(servers_main=us.set(database="").render_as_string(hide_password=False))
        with pytest.raises(CommandFailed, match="Databases stay open to the roles of tenants on main"):
            harden_servers(fleet.services)
    shown = capsys.readouterr().out
    assert "As a superuser, run:" in shown
    assert f'GRANT CONNECT ON DATABASE "postgres" TO "{us.username}";' in shown
    assert 'REVOKE CONNECT, CREATE, TEMPORARY ON DATABASE "customers" FROM PUBLIC;' in shown
    assert gets_in(url_of(fleet, acme, "postgres"))


def test_a_tenant_chooses_no_functions_for_the_role_of_the_server(fleet: Fleet, acme: TenantPlace) -> None:
    """Its role may put a schema before PostgreSQL's own, for everybody who connects to its database."""
    with connected(url_of(fleet, acme)) as cursor:
        cursor.execute("CREATE SCHEMA mine")
        cursor.execute("CREATE FUNCTION mine.version() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$")
        cursor.execute(f'ALTER DATABASE "{acme.database}" SET search_path = mine, pg_catalog, public')
    url = server_of(fleet).own_url(acme.database)
    assert fleet.ask("SELECT version()", url) == [("mine",)]
    for way in (maintenance_connection, reading_connection, migration_connection):
        with way(url, "it") as connection:
            assert connection.exec_driver_sql("SELECT version()").scalar_one().startswith("PostgreSQL")


def test_a_tenant_does_not_become_the_role_of_the_server(fleet: Fleet, acme: TenantPlace) -> None:
    """Its role may name itself as that with which every session in its database begins."""
    owner = acme.database
    with connected(url_of(fleet, acme)) as cursor:
        for setting in (f'role = "{owner}"', "client_encoding = LATIN1", "quote_all_identifiers = on"):
            cursor.execute(f'ALTER DATABASE "{owner}" SET {setting}')
    url = server_of(fleet).own_url(owner)
    shown = "SELECT current_user::text, current_setting('client_encoding'), current_setting('quote_all_identifiers')"
    assert fleet.ask(shown, url) == [(owner, "LATIN1", "on")]
    for way in (maintenance_connection, reading_connection, migration_connection):
        with way(url, "it") as connection:
            assert connection.exec_driver_sql(shown).one() == (url.username, "UTF8", "off")


def test_a_database_of_ours_that_was_opened_is_found(fleet: Fleet, acme: TenantPlace) -> None:
    """Its owner can do that."""
    globex = fleet.create("globex")
    with connected(url_of(fleet, acme)) as cursor:
        cursor.execute(f'GRANT CONNECT ON DATABASE "{acme.database}" TO "{globex.database}"')
    assert gets_in(url_of(fleet, globex, acme.database))
    found = openness(server_of(fleet), fleet.mark(), fleet.settings.user_db_url)
    assert found.ours == (acme.database,)
    assert name_open_databases(fleet.services) == [acme.database]
    harden(server_of(fleet), fleet.mark(), fleet.settings.user_db_url)
    assert not gets_in(url_of(fleet, globex, acme.database))


def test_a_new_database_is_closed_from_the_first_moment_on(
    fleet: Fleet, acme: TenantPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New tenants, copies, scratch databases and the user database."""
    seen = []

    def spied(real: Any, connection: Any, database: str, **options: Any) -> None:
        real(connection, database, **options)
        seen.append(database)
        assert not gets_in(url_of(fleet, acme, database))

    for step in ("create_database", "open_to_owner"):
        monkeypatch.setattr(postgres, step, partial(spied, getattr(postgres, step)))
    server = server_of(fleet)
    databases_on(server).create("tenant_one", "mark")
    fleet.create("globex")
    with scratch_database(fleet.services, "tenant", server=server), scratch_database(fleet.services, "user"):
        pass
    snapshot = snapshot_of(server, acme.database, "acme")
    snapshot.take()
    for copy in (f"snapshot_{acme.database}", seen[-1]):
        assert not gets_in(url_of(fleet, acme, copy))
    snapshot.put_back()
    works(fleet, "acme")
    url = fleet.settings.user_db_url
    make_user_database(replace(fleet.settings, user_db_url=url.set(database=f"{url.database}_more")))
    assert len(set(seen)) == 5


def test_a_user_database_that_was_made_and_not_opened_is_opened(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "open_to_owner", _killed)
        with pytest.raises(KeyboardInterrupt):
            make_user_database(fleet.settings)
    assert not gets_in(fleet.settings.user_db_url)
    make_user_database(fleet.settings)
    assert gets_in(fleet.settings.user_db_url)


def _killed(*arguments: Any) -> None:
    raise KeyboardInterrupt


def purge(fleet: Fleet, slug: str) -> None:
    """Remove a tenant for good."""

    def request(session: Session, operation_id: UUID | None) -> Operation:
        given = {"requested_by": "local:tests", "copy": False, "operation_id": operation_id}
        return request_purge(session, fleet.services, slug, **given)

    with fleet.user_db.begin() as session:
        delete_later(session, slug, timedelta(0))
    run_now(fleet.services, KINDS, request)


def test_what_a_role_has_left_elsewhere_keeps_no_deletion_from_its_end(
    fleet: Fleet, acme: TenantPlace, opened: None
) -> None:
    before, globex = fleet.made(), fleet.create("globex")
    with connected(url_of(fleet, globex, "postgres")) as cursor, connected(url_of(fleet, globex, "customers")) as held:
        cursor.execute("SELECT lo_create(0)")
        cursor.execute("CREATE TEMPORARY TABLE held AS SELECT 1")
        held.execute("SELECT lo_create(0)")
        purge(fleet, "globex")
    assert fleet.made() == before
    assert fleet.ask("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


def test_a_role_that_was_granted_something_by_another_tenant_is_removed(fleet: Fleet, acme: TenantPlace) -> None:
    """And what it has made there, but nothing of the other's."""
    before, globex = fleet.made(), fleet.create("globex")
    with connected(url_of(fleet, acme)) as cursor:
        cursor.execute(f'GRANT CONNECT ON DATABASE "{acme.database}" TO "{globex.database}"')
        cursor.execute(f'GRANT CREATE ON SCHEMA public TO "{globex.database}"')
        cursor.execute(f'GRANT SELECT ON nodes TO "{globex.database}"')
        cursor.execute(f'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "{globex.database}"')
    with connected(url_of(fleet, globex, acme.database)) as cursor:
        cursor.execute("CREATE TABLE planted (id int)")
    purge(fleet, "globex")
    assert fleet.made() == before
    assert fleet.ask("SELECT to_regclass('planted') IS NULL", server_of(fleet).own_url(acme.database)) == [(True,)]
    works(fleet, "acme")


def test_a_removal_that_is_interrupted_is_resumed(
    fleet: Fleet, acme: TenantPlace, opened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(url_of(fleet, acme, "postgres")) as cursor:
        cursor.execute("SELECT lo_create(0)")
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "drop_owned", _killed)
        with pytest.raises(KeyboardInterrupt):
            purge(fleet, "acme")
    assert not gets_in(url_of(fleet, acme, "postgres"))
    fleet.lapse()
    assert all(mend(fleet.services, KINDS, finding) for finding in ours(fleet))
    assert not [name for name in fleet.made() if acme.database in name]  # others may be on the server
    assert ours(fleet) == []


def test_a_role_has_no_more_connections_than_it_may(fleet: Fleet) -> None:
    """It bounds a database whose owner may lift every other bound."""
    acme = fleet.initialised().create("acme")
    fleet.change_settings(tenancy_connection_limit="2")
    globex = fleet.create("globex")
    with connected(url_of(fleet, globex)) as cursor, connected(url_of(fleet, globex)):
        cursor.execute(f'ALTER DATABASE "{globex.database}" CONNECTION LIMIT -1')
        assert not gets_in(url_of(fleet, globex))
    found = openness(server_of(fleet), fleet.mark(), fleet.settings.user_db_url)
    assert found.other_limits == (acme.database,)
    assert harden(server_of(fleet), fleet.mark(), fleet.settings.user_db_url).other_limits == ()
    with connected(url_of(fleet, acme)), connected(url_of(fleet, acme)):
        assert not gets_in(url_of(fleet, acme))
