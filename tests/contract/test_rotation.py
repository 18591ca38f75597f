"""``tenancy.secret`` is replaced while tenants are served, by a process that knows both secrets."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg2
import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import URL

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import maintenance_connection, reading_connection
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.models import WarmDatabase
from tenantapp.fleet.backups.postgres_dumps import environment_of
from tenantapp.fleet.removing.deletion import delete_later
from tenantapp.fleet.rotating.results import Rotated
from tenantapp.fleet.rotating.role_passwords import WHAT
from tenantapp.fleet.rotating.rotation import rotate
from tenantapp.identity.audit import list_entries
from tenantapp.sql.ids import uuid7
from tenantapp.sql.role_passwords import RolePassword
from tenantapp.tenancy.access import Access, Person, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.server_engines import engines_of
from tenantapp.tenancy.servers import PostgresServer
from tests.contract.conftest import Fleet
from tests.contract.health import works
from tests.contract.kept import WEEK
from tests.installation import SECRET

ROLES: Final = 200
NEW: Final = "another secret, which is just as long as the one before it was"


@pytest.fixture(params=["postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def nothing() -> None:
    """What is told of the progress."""


def server_of(fleet: Fleet) -> PostgresServer:
    server = fleet.servers["main"]
    assert isinstance(server, PostgresServer)
    return server


def rotated(changed: int) -> list[Rotated]:
    return [Rotated(WHAT, "server main", changed)]


def gets_in(url: URL) -> bool:
    try:
        psycopg2.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)).close()
    except psycopg2.OperationalError:
        return False
    return True


def with_both(fleet: Fleet) -> None:
    fleet.change_settings(tenancy_secret=NEW, tenancy_former_secret=SECRET)


def with_one(fleet: Fleet) -> None:
    del fleet.values["tenancy.former_secret"]
    fleet.change_settings()


@contextmanager
def served(fleet: Fleet, place: TenantPlace) -> Iterator[list[float]]:
    """Requests of a tenant, one after the other, each on a new connection; yields how long each has taken."""
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    access, took, end = Access(Person(uuid7(), "ada", "Ada"), place), list[float](), threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        while not end.is_set():
            began = time.monotonic()
            try:
                with databases.begin(access, read_only=True) as session:
                    session.scalar(select(TenantIdentity.tenant_id))
            except BaseException as error:
                failed.append(error)
                return
            databases.dispose()
            took.append(time.monotonic() - began)
            end.wait(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        end.set()
        thread.join()
        databases.dispose()
    assert failed == []
    assert took


@contextmanager
def many_roles(fleet: Fleet) -> Iterator[list[str]]:
    """As many roles as a fleet of tenants has, without their databases."""
    names, server = [f"tenant_{number:032x}" for number in range(ROLES)], server_of(fleet)
    with maintenance_connection(server.url, "it") as connection:
        verifiers = [postgres.verifier(connection, name, server.tenant_password(name)) for name in names]
        made = [f"CREATE ROLE {name} LOGIN PASSWORD '{it}'" for name, it in zip(names, verifiers, strict=True)]
        mark = fleet.mark()
        marked = [f"COMMENT ON ROLE {name} IS '{mark}'" for name in names]
        connection.exec_driver_sql("; ".join(made + marked))
    yield names
    fleet.ask(
        "; ".join([f"DROP OWNED BY {name}" for name in (names[0], names[-1])] + [f"DROP ROLE {', '.join(names)}"])
    )


def test_two_hundred_roles_get_their_passwords_while_people_are_served(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fleet.initialised().create("acme")
    real, seen = postgres.set_password, list[str]()

    def stopping(connection: Any, role: str, password: str) -> None:
        if len(seen) == ROLES // 2:
            raise KeyboardInterrupt
        seen.append(role)
        real(connection, role, password)

    with many_roles(fleet) as roles:
        with_both(fleet)
        ends = [server_of(fleet).tenant_url(name).set(database=place.database) for name in (roles[0], roles[-1])]
        fleet.ask(f'GRANT CONNECT ON DATABASE "{place.database}" TO {roles[0]}, {roles[-1]}')
        with served(fleet, place) as took:
            with monkeypatch.context() as patch:
                patch.setattr(postgres, "set_password", stopping)
                with pytest.raises(KeyboardInterrupt):
                    rotate(fleet.services, nothing)
            # One half has the new password, and the other half has the former.
            assert [gets_in(url) for url in ends] == [True, False]
            assert rotate(fleet.services, nothing) == rotated(ROLES + 1)
            assert [gets_in(url) for url in ends] == [True, True]
    assert took
    with_one(fleet)
    works(fleet, "acme")
    with fleet.user_db.begin(read_only=True) as session:
        (entry,) = list_entries(session, action="fleet.rotate_secret", limit=2)
        assert entry.detail == {"changed": ROLES + 1, "failed": []}


def test_every_way_to_connect_accepts_both(fleet: Fleet) -> None:
    """Requests, migrations, and what reads. The password that was accepted is remembered."""
    place = fleet.initialised().create("acme")
    with_both(fleet)
    url = server_of(fleet).tenant_url(place.database)
    assert isinstance(url.password, RolePassword)
    assert not gets_in(url)
    works(fleet, "acme")
    with reading_connection(url, "it") as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar() == place.database
    with migration_connection(url, "it") as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar() == place.database
    assert gets_in(url.set(password=environment_of(url)["PGPASSWORD"]))
    rotate(fleet.services, nothing)
    with reading_connection(url, "it") as connection:
        connection.exec_driver_sql("SELECT 1")
    assert environment_of(url)["PGPASSWORD"] == url.password
    assert gets_in(url)


def test_what_has_no_tenant_is_not_forgotten(fleet: Fleet) -> None:
    """A warm database, a deleted tenant that can come back, and a role without our mark. Not a template's role."""
    deleted = fleet.initialised().create("acme").database
    others = [f"tenant_{name}" for name in ("warm", "unmarked", "foreign")]
    with maintenance_connection(server_of(fleet).url, "it") as connection:
        for name, mark in zip(others, (fleet.mark(), "", "tenantapp somebody else"), strict=True):
            postgres.create_role(connection, name, server_of(fleet).tenant_password(name), comment=mark)
    with fleet.user_db.begin() as session:
        given = {"server": "main", "template": "t", "revision": "r"}
        session.execute(insert(WarmDatabase).values(tenant_id=uuid7(), database="tenant_unmarked", **given))
        delete_later(session, "acme", WEEK)
    verifiers = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ '^(tenant|template)_'"
    before = dict(fleet.ask(verifiers))
    with_both(fleet)
    assert rotate(fleet.services, nothing) == rotated(3)
    changed = {name for name, verifier in fleet.ask(verifiers) if verifier != before[name]}
    assert changed == {deleted, "tenant_warm", "tenant_unmarked"}
    # A role that has changed its own password gets it back.
    fleet.ask("ALTER ROLE tenant_warm PASSWORD 'mine'")
    assert rotate(fleet.services, nothing) == rotated(3)
    assert "mine" not in dict(fleet.ask(verifiers))["tenant_warm"]


def test_a_server_that_does_not_answer_keeps_no_other_from_its_turn(fleet: Fleet) -> None:
    fleet.initialised().create("acme")
    fleet.change_settings(servers_away="postgresql+psycopg2://u@127.0.0.1:1/")
    away, main = sorted(rotate(fleet.services, nothing), key=lambda result: result.where)
    assert [main] == rotated(1)
    assert away.changed == 0
    assert "Could not connect to server away" in str(away.error)


class TestPassword:
    """How often the server is asked."""

    def test_it_is_asked_twice_only_when_the_password_has_changed(self) -> None:
        password, accepted, asked = RolePassword("new", "old"), "old", list[str]()

        def attempt(given: str) -> str:
            asked.append(given)
            if given != accepted:
                raise psycopg2.OperationalError("FATAL:  password authentication failed")
            return "connection"

        for _ in range(3):
            assert password.connect(attempt) == "connection"
        accepted = "new"
        for _ in range(3):
            password.connect(attempt)
        assert asked == ["new", "old", "old", "old", "old", "new", "new", "new"]
        assert password == "new"

    def test_a_server_that_does_not_answer_or_is_full_is_asked_once(self) -> None:
        for message in ("connection refused", "FATAL:  sorry, too many clients already"):
            asked: list[str] = []

            def attempt(given: str, asked: list[str] = asked, message: str = message) -> None:
                asked.append(given)
                raise psycopg2.OperationalError(message)

            with pytest.raises(psycopg2.OperationalError):
                RolePassword("new", "old").connect(attempt)
            assert asked == ["new"]
