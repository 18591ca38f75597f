"""Databases that may only be read for a while: standbys, settings, and files without write permission."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp import main
from tenantapp.identity.models import ApiToken, WebSession
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.servers import SqliteServer
from tests.installation import PASSWORD, Client, Installation, postgres_installation
from tests.postgres import own_postgres, promote, standby_of
from tests.transactions.applications import access_to, app_with
from tests.unprivileged import bound_by_permissions

SIGN_IN = {"login": "bob", "password": PASSWORD}


def assert_refused(answer: Any, code: str) -> None:
    assert (answer.status_int, answer.json["code"]) == (503, code), answer.text
    assert "read-only" in answer.json["detail"]
    assert int(answer.headers["Retry-After"]) > 0


def status_of_heartbeat(client: Client) -> int:
    return int(client.http.get("/__heartbeat__", expect_errors=True).status_int)


def grow_old(installation: Installation) -> None:
    """Let every web session and API token be a minute old, so that a request writes when it was last used."""
    with installation.registry.user_db.begin() as session:
        session.query(WebSession).update({"last_seen_at": utcnow() - timedelta(minutes=2)})
        session.query(ApiToken).update({"last_used_at": utcnow() - timedelta(minutes=2)})


@contextmanager
def read_only(installation: Installation, slug: str | None) -> Iterator[None]:
    """A tenant's database, or the user database, may only be read by whoever connects in this block."""
    registry = installation.registry
    if slug is None:
        url = registry.app_settings.user_db_url
    else:
        place = access_to(installation, slug).require_tenant()
        server = registry.servers["main"]
        is_file = isinstance(server, SqliteServer)
        url = (
            URL.create("sqlite", database=str(server.path(place.database)))
            if is_file
            else server.url.set(database=place.database)
        )
    installation.close()
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        path.chmod(0o444)
        with bound_by_permissions():
            yield
        path.chmod(0o644)
        return
    alter(url, f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on')
    yield
    alter(url, f'ALTER DATABASE "{url.database}" RESET default_transaction_read_only')


def alter(url: URL, statement: str) -> None:
    engine = create_engine(url.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def hold_connections(installation: Installation, slug: str) -> None:
    """Let three connections to a tenant's database be idle."""
    engine = installation.registry.tenant_dbs.for_access(access_to(installation, slug)).engine
    held = [engine.connect() for _ in range(3)]
    for connection in held:
        connection.close()


def test_a_tenants_database_that_may_only_be_read(real_installation: Installation) -> None:
    """Its reads are served, and the others are not concerned. When it is over, no connection remembers it."""
    bob, gina = (Client(real_installation.app).sign_in(login) for login in ("bob", "gina"))
    node = bob.post("/nodes", {"title": "before"}).json
    with read_only(real_installation, "acme"):
        for _ in range(2):
            assert bob.get("/nodes").json["items"][0]["title"] == "before"
            assert bob.get(f"/nodes/{node['id']}").status_int == 200
            assert_refused(bob.post("/nodes", {"title": "x"}), "tenant_unavailable")
            assert_refused(bob.patch(f"/nodes/{node['id']}", {"title": "x"}), "tenant_unavailable")
            assert gina.post("/nodes", {"title": "x"}).status_int == 201
            assert status_of_heartbeat(bob) == 200
        hold_connections(real_installation, "acme")
    answers = [bob.post("/nodes", {"title": "after"}) for _ in range(6)]
    # The first one may meet a connection that was made while it could only read; with it the other idle ones go.
    assert [answer.status_int for answer in answers[1:]] == [201] * 5
    assert answers[0].status_int in (201, 503)


def test_a_user_database_that_may_only_be_read(real_installation: Installation) -> None:
    """Who is signed in goes on reading, and writing in tenants; nobody signs in or out."""
    bob = Client(real_installation.app).sign_in("bob")
    token = bob.post("/tokens", {"name": "x", "permissions": ["content.read"]}).json["token"]
    grow_old(real_installation)
    with read_only(real_installation, None):
        assert Client(real_installation.app).with_token(token).get("/nodes").status_int == 200
        for _ in range(3):
            assert bob.get("/nodes").status_int == 200
            assert bob.get("/session").status_int == 200
        assert bob.post("/nodes", {"title": "x"}).status_int == 201
        assert_refused(Client(real_installation.app).post("/session", SIGN_IN), "service_unavailable")
        assert_refused(bob.patch("/session", {"tenant": "acme"}), "service_unavailable")
        assert_refused(bob.delete("/session"), "service_unavailable")
        assert status_of_heartbeat(bob) == 503
        assert bob.http.get("/__lbheartbeat__").status_int == 200
        # What SQLite keeps beside the file is opened anew, for reading alone as well now.
        real_installation.close()
        assert bob.get("/session").status_int == 200
    # Before the heartbeat: the connections that it looks after must not keep the others as they are.
    assert [Client(real_installation.app).post("/session", SIGN_IN).status_int for _ in range(3)][1:] == [201] * 2
    assert [status_of_heartbeat(bob) for _ in range(2)][-1] == 200


def test_an_application_starts_on_a_user_database_that_may_only_be_read(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob")
    with read_only(real_installation, None):
        app = main({}, **real_installation.settings)
        http = Client(app)
        http.http.cookiejar = bob.http.cookiejar
        assert http.get("/nodes").status_int == 200
        for factory in (app.registry.user_db, app.registry.access_reader.database, app.registry.tenant_dbs):
            factory.dispose()


def test_a_view_that_writes_where_it_said_that_it_reads_is_wrong(real_installation: Installation) -> None:
    """Not so the database: 500, and the connection is kept."""

    def tenants(request: Any) -> dict[str, str]:
        request.tenant_session.execute(text("UPDATE nodes SET title = 'never'"))
        return {}

    def users(request: Any) -> dict[str, str]:
        request.user_session.execute(text("UPDATE users SET name = 'never'"))
        return {}

    bob = Client(app_with(real_installation, tenants=tenants, users=users)).sign_in("bob")
    bob.post("/nodes", {"title": "kept"})
    for method, view in [("GET", "tenants"), ("GET", "users"), ("POST", "users")]:
        answer = bob.request(method, f"/x/{view}")
        assert (answer.status_int, answer.json["code"]) == (500, "internal_error")
    assert bob.post("/x/tenants").status_int == 200
    assert bob.get("/session").json["user"]["name"] == "Bob"


class Failover(NamedTuple):
    """Two applications on the same databases: one on the primary, one on its standby."""

    installation: Installation
    standby: URL
    bob: Client


@pytest.fixture(scope="module")
def failover() -> Iterator[Failover]:
    with own_postgres() as primary, postgres_installation(primary) as installation:
        bob = Client(installation.app).sign_in("bob")
        bob.post("/nodes", {"title": "before"})
        grow_old(installation)
        with standby_of(primary) as standby:
            hosts = [str(url).partition("host=")[2] for url in (primary, standby)]
            settings = {name: value.replace(*hosts) for name, value in installation.settings.items()}
            app = main({}, **settings)
            there = Client(app)
            there.http.cookiejar, there.csrf_token = bob.http.cookiejar, bob.csrf_token
            yield Failover(installation, standby, there)
            for factory in (app.registry.user_db, app.registry.access_reader.database, app.registry.tenant_dbs):
                assert factory.checkedout() == 0
                factory.dispose()


def test_a_setting_of_the_database_is_not_gone_over(failover: Failover) -> None:
    """A connection that has read before begins its next transaction as the server wants it."""
    installation = failover.installation
    factory = installation.registry.tenant_dbs.for_access(access_to(installation, "globex"))
    with factory.begin(read_only=True) as session:
        session.execute(text("SELECT 1"))
    with factory.begin() as session:
        session.execute(text("SET default_transaction_read_only = on"))
    with factory.begin() as session:
        assert session.scalar(text("SHOW transaction_read_only")) == "on"
        session.execute(text("SET default_transaction_read_only = off"))


def test_a_standby_serves_reads_and_after_its_promotion_writes_too(failover: Failover) -> None:
    bob = failover.bob
    for _ in range(3):
        assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["before"]
        assert bob.get("/session").json["user"]["login"] == "bob"
        assert_refused(bob.post("/nodes", {"title": "x"}), "tenant_unavailable")
        assert_refused(bob.post("/session", SIGN_IN), "service_unavailable")
        assert status_of_heartbeat(bob) == 503
    promote(failover.standby)
    assert bob.post("/nodes", {"title": "after"}).status_int == 201
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["before", "after"]
    assert status_of_heartbeat(bob) == 200
    assert bob.post("/session", SIGN_IN).status_int == 201
