"""A PostgreSQL server that has no connection left."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.sql.budget import BudgetNumbers
from tests.installation import Client, Installation, postgres_installation
from tests.postgres import own_postgres, provisioner

CONNECTIONS = "12"  # of which three are for superusers alone


class Small(NamedTuple):
    """An installation on a server with few connections; ``admin`` is the URL of its superuser."""

    installation: Installation
    admin: URL
    url: URL

    def client(self, login: str) -> Client:
        return Client(self.installation.app).sign_in(login)

    def numbers(self) -> BudgetNumbers:
        numbers: BudgetNumbers = self.installation.registry.tenant_dbs.numbers()["main"]
        return numbers

    def database(self, slug: str) -> str:
        with self.installation.registry.user_db.begin(read_only=True) as session:
            statement = text("SELECT database FROM tenants WHERE slug = :slug")
            return str(session.scalar(statement, {"slug": slug}))

    def alter(self, statement: str) -> None:
        engine = create_engine(self.admin, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Others hold every connection that is left."""
        with ExitStack() as stack:
            refused = 0
            while refused < 3:
                try:
                    connection = psycopg2.connect(
                        host=self.url.query["host"],
                        user=self.url.username,
                        password=self.url.password,
                        dbname="postgres",
                    )
                except psycopg2.OperationalError:
                    refused += 1
                    time.sleep(0.1)  # the server may be about to end one that was closed
                else:
                    stack.callback(connection.close)
            yield
        time.sleep(0.2)


@pytest.fixture(scope="module")
def module_small() -> Iterator[Small]:
    with own_postgres(max_connections=CONNECTIONS) as admin:
        url = provisioner(admin)
        with postgres_installation(url) as installation:
            yield Small(installation, admin, url)


@pytest.fixture
def small(module_small: Small) -> Iterator[Small]:
    """With no connection open, neither before the test nor after it."""
    module_small.installation.close()
    yield module_small
    assert module_small.installation.checkedout() == 0, "a connection leaked"
    module_small.installation.close()
    assert module_small.numbers().open == 0, "a place leaked"


def assert_unavailable(answer: Any, code: str) -> None:
    assert (answer.status_int, answer.content_type) == (503, "application/problem+json"), answer.text
    assert answer.json["code"] == code
    assert int(answer.headers["Retry-After"]) > 0


def test_no_connection_left_for_a_tenant(small: Small) -> None:
    bob = small.client("bob")
    assert bob.get("/session").status_int == 200
    with small.full():
        started = time.monotonic()
        for _ in range(5):
            assert_unavailable(bob.get("/nodes"), "tenant_unavailable")
            assert_unavailable(bob.post("/nodes", {"title": "x"}), "tenant_unavailable")
            assert (small.numbers().open, small.numbers().waiting) == (0, 0)
        assert bob.get("/session").status_int == 200
        assert time.monotonic() - started < 10
    assert bob.post("/nodes", {"title": "x"}).status_int == 201
    assert bob.get("/nodes").status_int == 200


def test_no_connection_left_for_the_user_database(small: Small) -> None:
    bob = small.client("bob")
    small.installation.close()
    with small.full():
        for _ in range(3):
            assert_unavailable(bob.get("/nodes"), "service_unavailable")
            assert_unavailable(bob.post("/nodes", {"title": "x"}), "service_unavailable")
            assert_unavailable(bob.post("/session", {"login": "bob", "password": "x" * 9}), "service_unavailable")
            assert bob.http.get("/__heartbeat__", expect_errors=True).status_int == 503
        assert bob.http.get("/__lbheartbeat__").status_int == 200
    assert bob.get("/nodes").status_int == 200
    assert bob.http.get("/__heartbeat__").status_int == 200


def test_what_is_kept_for_one_tenant_makes_room_for_another(small: Small) -> None:
    bob, gina = small.client("bob"), small.client("gina")
    assert gina.get("/nodes").status_int == 200
    bob.get("/session")
    evicted = small.numbers().evicted
    with small.full():
        for number in range(1, 4):
            assert bob.get("/nodes").status_int == 200
            assert gina.get("/nodes").status_int == 200
            numbers = small.numbers()
            assert (numbers.open, numbers.idle, numbers.evicted - evicted) == (1, 1, 2 * number)


@pytest.mark.parametrize("limited", ["ROLE", "DATABASE"])
def test_a_tenants_own_limit_costs_the_others_nothing(small: Small, limited: str) -> None:
    bob, gina = small.client("bob"), small.client("gina")
    assert gina.get("/nodes").status_int == 200
    evicted, database = small.numbers().evicted, small.database("acme")
    small.alter(f'ALTER {limited} "{database}" CONNECTION LIMIT 0')
    for _ in range(3):
        assert_unavailable(bob.get("/nodes"), "tenant_unavailable")
    assert (small.numbers().open, small.numbers().evicted) == (1, evicted)
    small.alter(f'ALTER {limited} "{database}" CONNECTION LIMIT -1')
    assert bob.get("/nodes").status_int == 200
