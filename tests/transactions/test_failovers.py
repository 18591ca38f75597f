"""A primary and its standby: what the standby serves, what waits for it, and what becomes of it after a promotion."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import create_engine, delete, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import NullPool

from tenantapp import main
from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.errors import ProvisioningFailed
from tenantapp.databases.servers.standbys import standbys_of
from tenantapp.fleet.verifying.standby_reports import report_replication
from tenantapp.metrics.fleet_figures import FleetFigures
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Report
from tenantapp.operations.replication import USER_DATABASE, standbys_by_server
from tenantapp.operations.reports import Subject, list_reports
from tenantapp.sql.failures import Cause
from tenantapp.tenancy.errors import TenantOutcomeUnknown, UserOutcomeUnknown
from tenantapp.tenancy.servers import PostgresServer, Servers
from tests.installation import Client, Installation, postgres_installation
from tests.postgres import own_postgres, promote, provisioner, standby_of
from tests.prometheus import Metrics
from tests.slow_databases import Sent, at_last, database_of, impatient, stopped
from tests.transactions.applications import access_to
from tests.transactions.read_only import SIGN_IN, assert_refused, grow_old, status_of_heartbeat

UNKNOWN = (503, "outcome_unknown")
SYNCHRONOUS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
# A domain may warn of something in a trigger that runs when the transaction commits.
WARNING = """
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'mind'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON nodes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.title = 'warned') EXECUTE FUNCTION warn()
"""


class Failover(NamedTuple):
    """Two applications on the same databases: one on the primary, one on its standby."""

    installation: Installation
    primary: Engine
    standby: URL
    bob: Client

    @contextmanager
    def synchronous(self) -> Iterator[None]:
        """Let every commit on the primary wait for the standby."""
        self.set("synchronous_commit", "on")
        try:
            yield
        finally:
            self.set("synchronous_commit", "local")

    @contextmanager
    def frozen_standby(self) -> Iterator[None]:
        """Let every commit on the primary wait for a standby that says nothing."""
        standby = create_engine(self.standby, poolclass=NullPool)
        with standby.connect() as connection:
            receiver = connection.scalar(text("SELECT pid FROM pg_stat_wal_receiver"))
        with stopped(receiver), self.synchronous():
            yield

    def end_wait(self, function: str) -> None:
        """Call this function with the process of the next commit that waits for the standby."""
        with self.primary.connect() as connection:
            at_last(lambda: connection.scalar(text(f"SELECT {function}(pid) FROM ({SYNCHRONOUS}) AS waits")) is True)

    def speak_as_the_environment(self) -> None:
        """Let the server write its messages in the language of its environment, which it does not tell."""
        file = Path(str(self.primary.url.query["host"]), "postgresql.conf")
        file.write_text(file.read_text().replace("\nlc_messages", "\n#lc_messages"))
        self._reload("lc_messages", "")

    def set(self, name: str, value: str) -> None:
        """Change a setting of the primary, for the connections that are made from now on."""
        with self.primary.connect() as connection:
            connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self._reload(name, value)

    def _reload(self, name: str, value: str) -> None:
        with self.primary.connect() as connection:
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            at_last(lambda: connection.scalar(text(f"SHOW {name}")) == value)
        self.installation.close()


@pytest.fixture(scope="module")
def failover() -> Iterator[Failover]:
    # The checkpointer decides whether there are synchronous standbys, some time after a setting was changed. So there
    # always are, and the sessions decide whether they wait.
    synchronous = {"synchronous_standby_names": "*", "synchronous_commit": "local"}
    with own_postgres(**synchronous) as primary, postgres_installation(primary) as installation:
        bob = Client(installation.app).sign_in("bob")
        bob.post("/nodes", {"title": "before"})
        grow_old(installation)
        with standby_of(primary) as standby:
            hosts = [str(url).partition("host=")[2] for url in (primary, standby)]
            settings = {name: value.replace(*hosts) for name, value in installation.settings.items()}
            app = main({}, **settings)
            there = Client(app)
            there.http.cookiejar, there.csrf_token = bob.http.cookiejar, bob.csrf_token
            engine = create_engine(primary, isolation_level="AUTOCOMMIT", poolclass=NullPool)
            yield Failover(installation, engine, standby, there)
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


def fleet_of(installation: Installation) -> Fleet:
    registry = installation.registry
    return Fleet(registry.user_db, registry.app_settings, registry.servers)


def test_workers_report_how_far_a_standby_is_behind(failover: Failover) -> None:
    installation, standby = failover.installation, create_engine(failover.standby, poolclass=NullPool)
    registry = installation.registry

    def reported() -> list[Any]:
        with registry.user_db.begin() as session:
            session.execute(delete(Report))  # it is time to ask again
        report_replication(fleet_of(installation))
        with registry.user_db.begin(read_only=True) as session:
            ((server, standbys),) = standbys_by_server(session).items()
        assert server == "main", "the user database is on the same server"
        return standbys

    at_last(lambda: (reported()[0]["bytes"], reported()[0]["seconds"]) == (0, 0.0))
    (follows,) = reported()
    assert (follows["state"], follows["name"]) == ("streaming", "walreceiver")
    with standby.begin() as connection:
        connection.execute(text("SELECT pg_wal_replay_pause()"))
    Client(installation.app).sign_in("bob").post("/nodes", {"title": "x" * 100}, status=201)
    at_last(lambda: reported()[0]["bytes"] > 100)
    collected = CollectorRegistry()
    collected.register(FleetFigures(registry))
    metrics = Metrics(generate_latest(collected).decode())
    labels = {"server": "main", "standby": "walreceiver"}
    assert metrics.of("tenantapp_replication_lag_bytes", labels) > 100
    assert metrics.of("tenantapp_replication_standbys", {"server": "main"}) == 1
    with standby.begin() as connection:
        connection.execute(text("SELECT pg_wal_replay_resume()"))
    with failover.primary.connect() as connection:
        connection.execute(text("SELECT pg_create_physical_replication_slot('gone', true)"))
        try:
            gone, follows = reported()
            assert (gone["name"], gone["state"], follows["state"]) == ("gone", "disconnected", "streaming")
            assert gone["bytes"] >= 0
            hidden = standbys_of(provisioner(failover.primary.url), "main")
            assert (hidden[-1].name, hidden[-1].state, hidden[-1].bytes) == ("walreceiver", None, None)
        finally:
            connection.execute(text("SELECT pg_drop_replication_slot('gone')"))
            connection.exec_driver_sql("DROP OWNED BY provisioner; DROP ROLE provisioner")


def test_a_server_that_does_not_answer_is_not_asked_again_at_once(failover: Failover) -> None:
    registry = failover.installation.registry
    nowhere = failover.primary.url.set(query={"host": "/nowhere"})
    silent = Servers({"main": PostgresServer("main", nowhere)})
    with registry.user_db.begin() as session:
        session.execute(delete(Report))
    asked = Fleet(registry.user_db, registry.app_settings, silent)
    report_replication(asked)
    with registry.user_db.begin(read_only=True) as session:
        by_name = {each.name: each for each in list_reports(session, Subject.REPLICATION, timedelta(minutes=1))}
        assert by_name["main"].content == {"standbys": None}
        assert [each["state"] for each in standbys_by_server(session)[USER_DATABASE]] == ["streaming"]
    report_replication(asked)
    with registry.user_db.begin(read_only=True) as session:
        again = {each.name: each for each in list_reports(session, Subject.REPLICATION, timedelta(minutes=1))}
    assert again == by_name


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_that_no_standby_has_confirmed_is_no_success(
    failover: Failover, function: str, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL itself calls the cancelled one a success, with a warning. A failover may lose it."""
    bob = Client(failover.installation.app).sign_in("bob")
    with failover.frozen_standby(), caplog.at_level(logging.WARNING):
        sent = Sent(bob.post, "/nodes", {"title": "unconfirmed"})
        failover.end_wait(function)
        assert sent.outcome() == UNKNOWN
    cancelled = "not replicated while it committed (canceling wait for synchronous replication due to user request)"
    expected = cancelled if function == "pg_cancel_backend" else "connection lost while it committed"
    assert expected in caplog.text
    assert failover.installation.checkedout() == 0
    assert bob.post("/nodes", {"title": "before"}).status_int == 201


def test_a_kept_answer_is_repeated_only_when_the_standby_has_it(failover: Failover) -> None:
    bob = Client(failover.installation.app).sign_in("bob")
    with failover.frozen_standby():
        for _ in range(2):
            sent = Sent(partial(bob.post, "/nodes", {"title": "with a key"}, Idempotency_Key="k"))
            failover.end_wait("pg_cancel_backend")
            assert sent.outcome() == UNKNOWN
    with failover.synchronous():
        again = bob.post("/nodes", {"title": "with a key"}, Idempotency_Key="k")
    assert (again.status_int, again.headers["Idempotency-Replayed"]) == (201, "true")


def test_our_deadline_does_not_cancel_a_commit(failover: Failover, caplog: pytest.LogCaptureFixture) -> None:
    """It shuts the socket, so nobody takes the change for replicated."""
    settings = {"connections.slow": "0.3", "connections.deadline": "0.5"}
    app = main({}, **(failover.installation.settings | settings))
    bob = Client(app)
    bob.http.cookiejar, bob.csrf_token = failover.bob.http.cookiejar, failover.bob.csrf_token
    with failover.frozen_standby(), caplog.at_level(logging.WARNING):
        assert Sent(bob.post, "/nodes", {"title": "unconfirmed"}).outcome() == UNKNOWN
    assert "no answer while it committed" in caplog.text
    for factory in (app.registry.user_db, app.registry.access_reader.database, app.registry.tenant_dbs):
        assert factory.checkedout() == 0
        factory.dispose()


def test_a_commit_of_a_script_does_not_wait_for_the_standby_for_ever(failover: Failover) -> None:
    """The server answers, so only time can end it."""
    access = access_to(failover.installation, "acme")
    changing = failover.installation.registry.tenant_dbs.begin(access)
    with (
        impatient(commit=0.5),
        failover.frozen_standby(),
        pytest.raises(TenantOutcomeUnknown) as raised,
        changing as session,
    ):
        session.execute(text("UPDATE nodes SET title = title"))
    assert raised.value.failure.cause == Cause.SILENT
    assert "no answer while it committed" in raised.value.for_log()


def test_whatever_commits_is_told(failover: Failover) -> None:
    """A script, a statement that is a transaction of its own, and the maintenance of databases."""
    registry = failover.installation.registry
    access, name = access_to(failover.installation, "acme"), database_of(failover.installation, "acme")

    def script() -> None:
        with registry.tenant_dbs.begin(access) as session:
            session.execute(text("UPDATE nodes SET title = title"))

    def alone() -> None:
        with registry.access_reader.database.engine.connect() as connection:
            connection.execute(text("UPDATE users SET name = name"))

    def maintenance() -> None:
        with maintenance_connection(failover.primary.url.set(database=name), "acme") as connection:
            connection.exec_driver_sql("CREATE TABLE public.unconfirmed (x int)")

    for work, expected in [
        (script, TenantOutcomeUnknown),
        (alone, UserOutcomeUnknown),
        (maintenance, ProvisioningFailed),
    ]:
        with failover.frozen_standby():
            raised: list[BaseException] = []
            thread = Thread(target=_catch, args=(work, raised))
            thread.start()
            failover.end_wait("pg_cancel_backend")
            thread.join()
        assert [type(error) for error in raised] == [expected], raised
        assert getattr(raised[0], "failure", None) is None or raised[0].failure.cause == Cause.NOT_REPLICATED


def _catch(work: Any, raised: list[BaseException]) -> None:
    try:
        work()
    except Exception as error:
        raised.append(error)


def test_a_warning_of_the_domain_is_not_mistaken(failover: Failover) -> None:
    """Only where the words of PostgreSQL cannot be known, it makes the outcome of a synchronous commit unknown."""
    installation = failover.installation
    with installation.registry.tenant_dbs.begin(access_to(installation, "acme")) as session:
        session.execute(text(WARNING))
    bob = Client(installation.app).sign_in("bob")
    with failover.synchronous():
        assert bob.post("/nodes", {"title": "warned"}).status_int == 201
    failover.speak_as_the_environment()
    with failover.synchronous():
        answer = bob.post("/nodes", {"title": "warned"})
    assert (answer.status_int, answer.json["code"]) == UNKNOWN
    failover.set("synchronous_standby_names", "")
    assert bob.post("/nodes", {"title": "warned"}).status_int == 201
    failover.set("synchronous_standby_names", "*")


def test_a_standby_serves_reads_and_after_its_promotion_writes_too(failover: Failover) -> None:
    bob = failover.bob
    for _ in range(3):
        assert bob.get("/nodes").json["items"][0]["title"] == "before"
        assert bob.get("/session").json["user"]["login"] == "bob"
        assert_refused(bob.post("/nodes", {"title": "x"}), "tenant_unavailable")
        assert_refused(bob.post("/session", SIGN_IN), "service_unavailable")
        assert status_of_heartbeat(bob) == 503
    promote(failover.standby)
    assert bob.post("/nodes", {"title": "after"}).status_int == 201
    assert bob.get("/nodes").json["items"][-1]["title"] == "after"
    assert status_of_heartbeat(bob) == 200
    assert bob.post("/session", SIGN_IN).status_int == 201
