"""The application with a real PgBouncer, pooling by transaction, between it and PostgreSQL."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.databases.histories.upgrading import upgrade_tenant_database, upgrade_user_database
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.identity import grants
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import opened_fleet
from tenantapp.sql.failures import Cause
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.errors import TenantDatabaseUnavailable, WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.workspace.models import Node
from tests.installation import Client, Installation, postgres_installation
from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.postgres import own_postgres, provisioner

BUDGET = 4
MANY = 10  # tenants besides the two


class Behind(NamedTuple):
    """An installation behind a PgBouncer; ``admin`` is the URL of the server's superuser."""

    installation: Installation
    pgbouncer: PgBouncer
    admin: URL

    def client(self, login: str, tenant: str | None = None) -> Client:
        return Client(self.installation.app).sign_in(login, tenant)

    def access(self, slug: str) -> Access:
        with self.installation.registry.user_db.begin(read_only=True) as session:
            return local_access(session, slug)

    def database(self, slug: str) -> str:
        return self.access(slug).require_tenant().database

    def ask(self, statement: str) -> list[Any]:
        """Rows of a statement, as the superuser and not through PgBouncer."""
        engine = create_engine(self.admin, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return list(result) if result.returns_rows else []

    def connect(self, slug: str) -> Any:
        """A further client of PgBouncer's, as this tenant."""
        url = self.installation.registry.servers["main"].traffic_url(self.database(slug))
        return psycopg2.connect(
            host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
        )

    def logged(self) -> str:
        """What the server has logged so far: every statement."""
        return (Path(self.ask("SHOW data_directory")[0][0]) / "log").read_text()

    @contextmanager
    def restarted(self, **settings: str) -> Iterator[None]:
        """With PgBouncer configured otherwise."""
        self.pgbouncer.stop()
        self.pgbouncer.start(**ONE_CONNECTION, **settings)
        yield
        self.pgbouncer.stop()
        self.pgbouncer.start(**ONE_CONNECTION)


# Of the statements that the application sends. SHOW: SQLAlchemy, when it sets a dialect up, and these tests.
KINDS = {"BEGIN", "COMMIT", "ROLLBACK", "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "SHOW"}
# One connection to each database: whatever a client leaves on it, the next one meets.
ONE_CONNECTION = {"default_pool_size": "1"}


@pytest.fixture(scope="module")
def module_behind() -> Iterator[Behind]:
    with own_postgres(log_statement="all") as admin, running_pgbouncer(admin, **ONE_CONNECTION) as pgbouncer:
        url = provisioner(admin)
        pgbouncer.refresh_users()
        through = {"pgbouncer.main": pgbouncer.url, "user_db.pgbouncer": pgbouncer.url}
        with postgres_installation(url, **through, **{"connections.budget": str(BUDGET)}) as installation:
            behind = Behind(installation, pgbouncer, admin)
            pgbouncer.refresh_users()
            yield behind
            assert installation.checkedout() == 0, "a connection leaked"


@pytest.fixture
def behind(module_behind: Behind) -> Iterator[Behind]:
    """The installation, without nodes, and with nothing left in use by the test."""
    for slug in ("acme", "globex"):
        with module_behind.installation.registry.tenant_dbs.begin(module_behind.access(slug)) as session:
            for node in session.scalars(select(Node)):
                session.delete(node)
    yield module_behind
    numbers = module_behind.installation.registry.tenant_dbs.numbers()["main"]
    assert (numbers.open, numbers.idle, numbers.waiting) == (0, 0, 0)


def converse(behind: Behind) -> None:
    """Sign in, list, make, change, switch, sign out."""
    client = behind.client("both", "acme")
    assert client.get("/nodes").json["items"] == []
    made = client.post("/nodes", {"title": "Anvils", "tags": ["heavy"]})
    node = made.json
    changed = client.patch(f"/nodes/{node['id']}", {"status": "published"}, If_Match=made.headers["ETag"])
    assert (changed.status_int, changed.json["version"]) == (200, 2)
    assert client.get(f"/nodes/{node['id']}").json["status"] == "published"
    assert [each["title"] for each in client.get("/nodes").json["items"]] == ["Anvils"]
    assert client.switch("globex").status_int == 200
    assert client.get(f"/nodes/{node['id']}").status_int == 404
    assert client.delete("/session").status_int == 204
    assert client.get("/session").status_int == 401


def test_a_whole_conversation(behind: Behind) -> None:
    converse(behind)
    used = {(row["database"], row["user"]) for row in behind.pgbouncer.show("POOLS")}
    databases = [behind.database("acme"), behind.database("globex")]
    assert {(name, name) for name in databases} <= used
    assert (behind.installation.registry.app_settings.user_db_url.database, "provisioner") in used


def test_nothing_is_sent_that_belongs_to_a_session(behind: Behind) -> None:
    """Asked of the server, which has logged every statement that came through."""
    before = len(behind.logged())
    converse(behind)
    behind.installation.app.registry.access_reader.check_writing()
    with behind.installation.app.registry.user_db.begin(read_only=True) as session:
        session.execute(text("SELECT 1"))
    found = re.findall(r"LOG:  (?:statement|execute [^:]*): *(\w+)(?: (READ ONLY))?", behind.logged()[before:])
    statements = {(first.upper(), rest) for first, rest in found}
    assert len(found) > 20
    assert {first for first, _ in statements} == KINDS
    assert ("BEGIN", "READ ONLY") in statements
    assert ("BEGIN", "") in statements


def test_nothing_leaks_to_the_next_client(behind: Behind) -> None:
    reader, writer = behind.client("rita"), behind.client("bob")
    settings = (
        "pg_backend_pid()",
        "current_setting('default_transaction_read_only')",
        "current_setting('statement_timeout')",
    )

    def look() -> Any:
        with closing(behind.connect("acme")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(f"SELECT {', '.join(settings)}, (SELECT count(*) FROM pg_prepared_statements)")
            return cursor.fetchone()

    before = look()
    for number in range(5):
        assert reader.get("/nodes?status=draft").status_int == 200
        assert writer.post("/nodes", {"title": f"number {number}"}).status_int == 201
    assert look() == before, "the one connection to the server, and as it was"
    assert before[1:] == ("off", "30s", 0)
    assert len(reader.get("/nodes").json["items"]) == 5


def test_two_tenants_with_more_clients_than_connections(behind: Behind) -> None:
    """Prepared reads and transactions, from twelve threads, over one connection to each database."""
    bob, gina = behind.client("bob"), behind.client("gina")
    bob.post("/nodes", {"title": "of acme"})
    gina.post("/nodes", {"title": "of globex"})

    # One after the other: not everybody may hash at once.
    clients = [(login, behind.client(login)) for login in ["bob", "gina"] * 6]

    def read(who: tuple[str, Client]) -> set[str]:
        (login, client), found = who, set()
        for number in range(12):
            answer = client.get("/nodes" if number % 2 else "/nodes?status=draft")
            assert answer.status_int == 200, answer.text
            found |= {f"{login} {node['title']}" for node in answer.json["items"]}
        return found

    with ThreadPoolExecutor(12) as executor:
        found = set().union(*executor.map(read, clients))
    assert found == {"bob of acme", "gina of globex"}
    for slug in ("acme", "globex"):
        of_it = [row for row in behind.pgbouncer.show("SERVERS") if row["database"] == behind.database(slug)]
        assert len(of_it) == 1


def test_a_connection_proves_whose_data_it_leads_to(behind: Behind) -> None:
    """The row in the user database points to the wrong place."""
    bob = behind.client("bob")
    acme, globex = behind.database("acme"), behind.database("globex")
    user_db, tenant_dbs = behind.installation.registry.user_db, behind.installation.registry.tenant_dbs
    place = text("UPDATE tenants SET database = :name WHERE slug = :slug")
    with user_db.begin() as session:
        session.execute(place, {"name": "x", "slug": "globex"})
        session.execute(place, {"name": globex, "slug": "acme"})
    try:
        assert (bob.get("/nodes").status_int, bob.get("/nodes").json["code"]) == (503, "tenant_unavailable")
        with tenant_dbs.for_access(behind.access("acme")).get_session() as session, pytest.raises(WrongTenantDatabase):
            session.execute(select(1))
    finally:
        with user_db.begin() as session:
            session.execute(place, {"name": acme, "slug": "acme"})
            session.execute(place, {"name": globex, "slug": "globex"})
    assert bob.get("/nodes").status_int == 200


def test_the_budget_bounds_the_clients(behind: Behind) -> None:
    """Twelve tenants, sixteen threads: never more than four clients on tenants' databases."""
    installation = behind.installation
    many = [f"many-{number}" for number in range(MANY)]
    for slug in many:
        installation.create_tenant(slug)
    behind.pgbouncer.refresh_users()
    accesses = [behind.access(slug) for slug in ("acme", "globex", *many)] * 6
    tenant_dbs = installation.registry.tenant_dbs
    most: list[int] = []
    clients: list[int] = []
    served = threading.Event()

    def serve(access: Access) -> tuple[Any, Any]:
        with tenant_dbs.begin(access, read_only=True) as session:
            found = session.scalar(select(TenantIdentity.tenant_id))
            most.append(tenant_dbs.numbers()["main"].open)
            time.sleep(0.01)
            return access.require_tenant().id, found

    def watch() -> None:
        while not served.is_set():
            clients.append(sum(row["database"].startswith("tenant_") for row in behind.pgbouncer.show("CLIENTS")))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(16) as executor:
            answers = list(executor.map(serve, accesses))
    finally:
        served.set()
        watching.join()
    assert all(asked == found for asked, found in answers)
    assert max(most) == BUDGET
    # PgBouncer may count one that has closed and that it has not looked at yet.
    assert 0 < max(clients) <= BUDGET + 2
    assert tenant_dbs.numbers()["main"].waited > 0


def unused_database(behind: Behind, slug: str) -> str:
    """The name of this tenant's database, once nobody is connected to it: only then can it be copied."""
    database = behind.database(slug)
    behind.ask(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")
    return database


def assert_unavailable(answer: Any, *codes: str) -> None:
    assert answer.status_int == 503, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] in codes
    assert int(answer.headers["Retry-After"]) > 0


def test_pgbouncer_goes_away_and_comes_back(behind: Behind) -> None:
    bob = behind.client("bob")
    assert bob.get("/nodes").status_int == 200
    behind.pgbouncer.stop()
    for _ in range(3):
        assert_unavailable(bob.get("/nodes"), "service_unavailable")
        assert_unavailable(bob.post("/nodes", {"title": "x"}), "service_unavailable")
        assert bob.http.get("/__heartbeat__", expect_errors=True).status_int == 503
    assert behind.installation.checkedout() == 0
    behind.pgbouncer.start(**ONE_CONNECTION)
    assert bob.post("/nodes", {"title": "x"}).status_int == 201
    assert len(bob.get("/nodes").json["items"]) == 1


def test_it_goes_away_in_the_middle(behind: Behind) -> None:
    tenant_dbs, access = behind.installation.registry.tenant_dbs, behind.access("acme")
    with tenant_dbs.for_access(access).get_session() as session:
        assert session.scalar(select(func.count()).select_from(Node)) == 0
        behind.pgbouncer.stop()
        with pytest.raises(TenantDatabaseUnavailable):
            session.scalar(select(func.count()).select_from(Node))
    behind.pgbouncer.start(**ONE_CONNECTION)
    assert behind.client("bob").get("/nodes").status_int == 200


def test_the_server_behind_it_ends_a_connection(behind: Behind) -> None:
    """An idle one is nothing to anybody; in a transaction PgBouncer says so, in its own words and with its own code."""
    bob, registry, access = behind.client("bob"), behind.installation.registry, behind.access("acme")
    assert bob.get("/nodes").status_int == 200
    unused_database(behind, "acme")
    assert bob.get("/nodes").status_int == 200
    for ends in (lambda session: session.execute(select(Node)), lambda session: session.commit()):
        with registry.tenant_dbs.for_access(access).get_session() as session:
            session.execute(select(Node))
            unused_database(behind, "acme")
            with pytest.raises(TenantDatabaseUnavailable) as raised:
                ends(session)
        assert raised.value.failure.cause == Cause.LOST
    assert bob.post("/nodes", {"title": "x"}).status_int == 201


def test_a_database_that_may_only_be_read_behind_it(behind: Behind) -> None:
    bob, database = behind.client("bob"), unused_database(behind, "acme")
    behind.ask(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    try:
        for _ in range(2):
            assert bob.get("/nodes").status_int == 200
            assert_unavailable(bob.post("/nodes", {"title": "x"}), "tenant_unavailable")
    finally:
        behind.ask(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
    # The connections that keep the setting are PgBouncer's own.
    behind.pgbouncer.tell("RECONNECT")
    assert bob.post("/nodes", {"title": "x"}).status_int == 201


def test_no_more_clients_allowed(behind: Behind) -> None:
    bob = behind.client("bob")
    with behind.restarted(max_client_conn="2"):
        held = [behind.connect("acme") for _ in range(2)]
        for _ in range(3):
            assert_unavailable(bob.get("/nodes"), "service_unavailable")
        assert "no more connections allowed" in behind.pgbouncer.log
        held.pop().close()
        assert bob.get("/session").status_int == 200
        # One place is left, which the access takes and gives back before the tenant's connection is made.
        assert bob.get("/nodes").status_int == 200
        held.pop().close()


def test_waiting_for_a_connection_of_its_in_vain(behind: Behind) -> None:
    """The one connection to acme's database is taken: 503 for acme, and globex does not notice."""
    bob, gina = behind.client("bob"), behind.client("gina")
    tenant_dbs, access = behind.installation.registry.tenant_dbs, behind.access("acme")
    with behind.restarted(query_wait_timeout="1"):
        session = tenant_dbs.for_access(access).get_session()
        session.connection()  # made and proven; its transaction begins with the first statement
        with closing(behind.connect("acme")) as other, other.cursor() as cursor:
            cursor.execute("SELECT 1")
            started = time.monotonic()
            assert_unavailable(bob.get("/nodes"), "tenant_unavailable")
            assert_unavailable(bob.post("/nodes", {"title": "x"}), "tenant_unavailable")
            with pytest.raises(TenantDatabaseUnavailable):
                session.scalar(select(func.count()).select_from(Node))
            session.close()
            assert time.monotonic() - started < 15
            assert gina.get("/nodes").status_int == 200
        assert "query_wait_timeout" in behind.pgbouncer.log
        assert bob.get("/nodes").status_int == 200


def test_the_server_behind_it_has_no_connection_left(behind: Behind) -> None:
    bob, database = behind.client("bob"), behind.database("acme")
    behind.ask(f'ALTER ROLE "{database}" CONNECTION LIMIT 0')
    behind.ask(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")
    try:
        for _ in range(3):
            assert_unavailable(bob.get("/nodes"), "tenant_unavailable")
    finally:
        behind.ask(f'ALTER ROLE "{database}" CONNECTION LIMIT -1')
    assert until_well(bob).status_int == 200


def until_well(client: Client) -> Any:
    """The answer, after the pause that PgBouncer makes when it could not log in."""
    deadline = time.monotonic() + 10
    while (answer := client.get("/nodes")).status_int == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def test_a_tenant_comes_and_goes_while_connections_to_it_are_idle(behind: Behind) -> None:
    installation = behind.installation
    place = installation.create_tenant("hooli")
    with installation.registry.user_db.begin() as session:
        grants.add_grant(session, place.id, "author", login="nobody")
    person = behind.client("nobody", "hooli")
    behind.pgbouncer.refresh_users()
    assert person.post("/nodes", {"title": "x"}).status_int == 201
    idle = [row for row in behind.pgbouncer.show("SERVERS") if row["database"] == place.database]
    assert [row["state"] for row in idle] == ["idle"]
    databases_on(installation.registry.servers["main"]).drop(place.database)
    assert behind.ask(f"SELECT 1 FROM pg_database WHERE datname = '{place.database}'") == []
    assert_unavailable(person.get("/nodes"), "tenant_unavailable")
    assert behind.client("bob").get("/nodes").status_int == 200
    with installation.registry.user_db.begin() as session:
        session.delete(session.get_one(Tenant, place.id))


def test_migrations_go_to_the_server_itself(behind: Behind) -> None:
    """They hold a lock that belongs to a session."""
    registry = behind.installation.registry
    place = behind.access("acme").require_tenant()
    behind.pgbouncer.stop()
    try:
        assert upgrade_user_database(registry.app_settings)
        with opened_fleet(registry.app_settings) as fleet:
            assert upgrade_tenant_database(fleet, place)
    finally:
        behind.pgbouncer.start(**ONE_CONNECTION)
