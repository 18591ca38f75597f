"""PostgreSQL servers that are there and say nothing: stopped processes, and networks that swallow everything."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import NullPool

from tenantapp.fleet.creating.create import create_tenant
from tenantapp.identity import grants
from tenantapp.sql.bulkhead import Bulkhead
from tenantapp.sql.engines import make_engine
from tenantapp.sql.failures import Cause, Failure
from tests.installation import Client, Installation, postgres_installation
from tests.slow_databases import MuteServer, Sent, at_last, backends, database_of, locked, stopped
from tests.transactions.applications import app_with

SLOW, DEADLINE, PROBE = 0.3, 1.0, 0.3  # seconds
SETTINGS = {
    "connections.slow": str(SLOW),
    "connections.deadline": str(DEADLINE),
    "connections.probe": str(PROBE),
}
UNAVAILABLE = (503, "tenant_unavailable")
BUSY = (503, "busy")


@pytest.fixture
def quick(postgres_server: URL) -> Iterator[Installation]:
    """An installation with little patience."""
    with postgres_installation(postgres_server, **SETTINGS) as installation:
        yield installation
        assert installation.checkedout() == 0, "a connection leaked"


class Far:
    """An installation with two tenants more, on a server ``far`` behind a relay."""

    def __init__(self, installation: Installation, relay: MuteServer) -> None:
        self.installation = installation
        self.relay = relay
        self.breaker = installation.registry.tenant_dbs.engines["far"].breaker
        for slug in ("initech", "umbrella"):
            tenant = create_tenant(installation.registry.fleet, slug, server="far")
            with installation.registry.user_db.begin() as session:
                grants.add_grant(session, tenant.id, "author", login="both")
        self.initech, self.umbrella, self.acme = (
            Client(installation.app).sign_in("both", slug) for slug in ("initech", "umbrella", "acme")
        )


@pytest.fixture
def far(postgres_server: URL) -> Iterator[Far]:
    """The server ``far``, which answers until it is told not to."""
    socket = f"{postgres_server.query['host']}/.s.PGSQL.5432"
    with MuteServer(behind=socket) as relay:
        address = postgres_server.set(host="127.0.0.1", port=relay.port, database="", query={"sslmode": "disable"})
        servers = {"servers.far": address.render_as_string(hide_password=False)}
        with postgres_installation(postgres_server, **SETTINGS, **servers) as installation:
            yield Far(installation, relay)
            assert installation.checkedout() == 0, "a connection leaked"


def get(client: Client) -> Any:
    return client.get("/nodes")


def test_a_stopped_backend_costs_one_request_a_moment(quick: Installation) -> None:
    bob, gina = (Client(quick.app).sign_in(login) for login in ("bob", "gina"))
    assert get(bob).status_int == 200
    (backend,) = backends(quick, database_of(quick, "acme"))
    with stopped(backend):
        sent = Sent(get, bob)
        assert get(gina).status_int == 200
        assert sent.outcome() == UNAVAILABLE
        assert sent.seconds < 4
        assert get(bob).status_int == 200, "on another connection"
        assert not quick.registry.tenant_dbs.engines["main"].breaker.is_open


def test_a_stopped_backend_of_the_user_database(quick: Installation) -> None:
    bob = Client(quick.app).sign_in("bob")
    assert bob.get("/session").status_int == 200
    with stopped(*backends(quick, str(quick.registry.app_settings.user_db_url.database))):
        sent = Sent(bob.get, "/session")
        assert sent.outcome() == (503, "service_unavailable")
        assert sent.seconds < 4
        assert bob.get("/session").status_int == 200


def test_what_was_ended_here_ends_on_the_server(quick: Installation) -> None:
    bob = Client(quick.app).sign_in("bob")
    name = database_of(quick, "acme")
    with locked(quick, "acme"):
        assert Sent(get, bob).outcome() == UNAVAILABLE
        # That one holds the lock.
        at_last(lambda: len(backends(quick, name)) == 1)


def test_a_frozen_server_is_left_alone(far: Far) -> None:
    """Two tenants in vain, and everybody is answered at once; one request in a while finds out when it is back."""
    assert [get(client).status_int for client in (far.initech, far.umbrella)] == [200, 200]
    far.relay.mute = True
    first = [Sent(get, client) for client in (far.initech, far.umbrella) for _ in range(2)]
    assert {sent.outcome()[0] for sent in first} == {503}
    # What had a connection that was open has found out that; now they try to connect.
    second = [Sent(get, client) for client in (far.initech, far.umbrella)]
    assert {sent.outcome()[0] for sent in second} == {503}
    assert max(sent.seconds for sent in first + second) < 5
    assert far.breaker.is_open
    tried, started = far.relay.accepted, time.monotonic()
    for _ in range(20):
        answer = get(far.initech)
        assert (answer.status_int, answer.json["code"]) == UNAVAILABLE
        assert int(answer.headers["Retry-After"]) > 0
        assert get(far.acme).status_int == 200
    assert far.relay.accepted - tried <= 1 + (time.monotonic() - started) / PROBE
    far.relay.mute = False
    at_last(lambda: get(far.initech).status_int == 200)
    assert not far.breaker.is_open
    at_last(lambda: get(far.umbrella).status_int == 200)


def test_one_probe_at_a_time(far: Far) -> None:
    far.relay.mute = True
    for client in (far.initech, far.umbrella):
        assert Sent(get, client).outcome() == UNAVAILABLE
    assert far.breaker.is_open
    tried = far.relay.accepted
    at_last(lambda: far.breaker.is_due())
    asked = [Sent(get, far.initech) for _ in range(6)]
    # On a busy machine the probe itself may seem slow to the others.
    assert {sent.outcome() for sent in asked} <= {UNAVAILABLE, BUSY}
    assert far.relay.accepted - tried == 1


def test_the_trouble_of_one_tenant_is_not_the_servers(quick: Installation, postgres_server: URL) -> None:
    """A role that may not connect, a database that nobody may connect to: the server says so, again and again."""
    bob, gina = (Client(quick.app).sign_in(login) for login in ("bob", "gina"))
    name = database_of(quick, "acme")
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for change, back in (
            (f'ALTER ROLE "{name}" CONNECTION LIMIT 0', f'ALTER ROLE "{name}" CONNECTION LIMIT -1'),
            (f'ALTER DATABASE "{name}" RENAME TO "{name}_away"', f'ALTER DATABASE "{name}_away" RENAME TO "{name}"'),
        ):
            quick.close()
            connection.exec_driver_sql(change)
            for _ in range(4):
                assert Sent(get, bob).outcome() == UNAVAILABLE
                assert get(gina).status_int == 200
            connection.exec_driver_sql(back)
            assert get(bob).status_int == 200, "nothing has to be waited for"


def test_a_commit_that_hangs_is_in_doubt(quick: Installation) -> None:
    """Its trigger waits for a lock. COMMIT was sent, so that nobody says it was not done."""

    def view(request: Any) -> dict[str, str]:
        request.tenant_session.execute(text("INSERT INTO tags (id, name) VALUES (gen_random_uuid(), 'doubt')"))
        return {}

    bob = Client(app_with(quick, view=view)).sign_in("bob")
    engine = create_engine(quick.registry.servers["main"].url.set(database=database_of(quick, "acme")))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER hang AFTER INSERT ON tags DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION hang()"
        )
    with engine.connect() as holder:
        holder.exec_driver_sql("SELECT pg_advisory_lock(1)")
        sent = Sent(bob.post, "/x/view")
        assert sent.outcome() == (503, "outcome_unknown")
        assert sent.seconds < 4
    engine.dispose()


@pytest.mark.parametrize("after_tls", [False, True])
def test_a_server_that_is_mute_from_the_beginning(after_tls: bool) -> None:
    """Neither the first word nor the handshake of TLS is waited for longer than the deadline."""
    bulkhead = Bulkhead(threads=4, slow=0.1, deadline=0.3)
    with MuteServer(after_tls=after_tls) as server:
        url = URL.create("postgresql+psycopg2", "who", host="127.0.0.1", port=server.port, database="which")
        mode = {"sslmode": "require" if after_tls else "disable"}
        engine = make_engine(url.set(query=mode), unavailable=_Failed, pool_timeout=1)
        started = time.monotonic()
        with bulkhead.request(), pytest.raises(_Failed) as failed:
            engine.connect()
        assert time.monotonic() - started < 2
        assert failed.value.failure.cause == Cause.SILENT
        budget = engine.pool._budget  # type: ignore[attr-defined]
        assert budget.numbers().open == 1, "somebody is still connecting"
    at_last(lambda: budget.numbers().open == 0)
    assert bulkhead.numbers().overdue == 1


def test_an_attempt_that_is_ended_for_others_sake_says_nothing_of_the_server() -> None:
    """On a machine with much to do, connecting may take longer than a request may be slow."""
    bulkhead = Bulkhead(threads=2, slow=0.1, deadline=20)
    with MuteServer() as server:
        url = URL.create("postgresql+psycopg2", "who", host="127.0.0.1", port=server.port, database="which")
        engine = make_engine(url.set(query={"sslmode": "disable"}), unavailable=_Failed, pool_timeout=1)
        first, second = (Attempt(bulkhead, engine) for _ in range(2))
        at_last(lambda: not (first.is_alive() and second.is_alive()))
        at_last(lambda: bulkhead.numbers().slow == 1)
        assert not engine.pool.health.own.is_open  # type: ignore[attr-defined]
    first.join(20)
    second.join(20)
    assert bulkhead.numbers().ended == 1


class Attempt(threading.Thread):
    """A request that only connects."""

    def __init__(self, bulkhead: Bulkhead, engine: Engine) -> None:
        super().__init__(daemon=True)
        self._bulkhead, self._engine = bulkhead, engine
        self.start()

    def run(self) -> None:
        with self._bulkhead.request(), pytest.raises(_Failed):
            self._engine.connect()


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure
