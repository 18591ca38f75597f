"""Databases that may only be read for a while: standbys, settings, and files without write permission."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp import main
from tenantapp.tenancy.servers import SqliteServer
from tests.installation import Client, Installation
from tests.transactions.applications import access_to, app_with
from tests.transactions.read_only import SIGN_IN, assert_refused, grow_old, status_of_heartbeat
from tests.unprivileged import bound_by_permissions


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
