"""Reads from a streaming standby: nobody reads what is older than their own changes, or notices its troubles."""

import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from tenantapp import main
from tenantapp.cli.checks.examination import Examination
from tenantapp.cli.checks.replicas import replicas
from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.identity import users
from tenantapp.identity.connection_quotas import set_connection_quota
from tenantapp.identity.tenants import renew_epochs
from tenantapp.usage.processes import ProcessReport, list_processes
from tests.installation import Client, Installation, postgres_installation
from tests.postgres import own_postgres, promote, standby_of, start_again, stop_at_once, wait_for
from tests.slow_databases import Sent, at_last, database_of, frozen
from tests.transactions.applications import access_to, extra_views

COOKIE: Final = "tenantapp-position"
LAG: Final = "3"  # seconds
QUICK: Final = {"connections.slow": "0.3", "connections.deadline": "1"}
DIES_AT_COMMIT: Final = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON nodes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.title = 'lost') EXECUTE FUNCTION die()
"""
NOTED: Final = "SELECT timeline_id FROM pg_control_checkpoint()"
TAG: Final = 8  # characters before a position, by which its tenant is found


@dataclass(frozen=True)
class World:
    """An application that reads a standby, another one that does not know of it, and both servers."""

    app: Any
    installation: Installation
    primary: URL
    standby: URL

    def sign_in(self, login: str) -> Client:
        return Client(self.app).sign_in(login, "acme")

    def program(self, client: Client) -> Client:
        """A program that works with a token of this person."""
        made = client.post("/tokens", {"name": "x", "permissions": ["content.read", "content.create"]}, status=201)
        return Client(self.app).with_token(made.json["token"])

    @property
    def counts(self) -> tuple[int, int]:
        """How many requests have read the standby, and how many the primary."""
        replicas = self.app.registry.tenant_dbs.replicas["main"]
        return replicas.by_replicas, replicas.by_server

    def source(self, client: Client, path: str = "/nodes", **headers: str) -> str:
        """Which of the two a read is from. It must succeed."""
        before = self.counts
        client.get(path, status=200, **headers)
        changed = tuple(now - then for now, then in zip(self.counts, before, strict=True))
        return {(1, 0): "standby", (0, 1): "primary", (1, 1): "both"}[changed]

    def caught_up(self, client: Client) -> None:
        """Wait until this client reads the standby."""
        at_last(lambda: self.source(client) == "standby")

    def on_standby(self, statement: str) -> Any:
        """The value of an expression on the standby."""
        return as_superuser(self.standby, statement)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The standby receives the log, and does not replay it."""
        self.on_standby("SELECT pg_wal_replay_pause()")
        at_last(lambda: self.on_standby("SELECT pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield
        finally:
            self.on_standby("SELECT pg_wal_replay_resume()")


def as_superuser(server: URL, statement: str, database: str = "postgres") -> Any:
    """Execute this on a server, and return the value that it gives, if it does."""
    with closing(psycopg2.connect(host=server.query["host"], user=server.username, dbname=database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchone() if cursor.description else None
            return found and found[0]


def cookie_of(client: Client) -> Any:
    """The cookie in which a browser keeps positions."""
    (cookie,) = [cookie for cookie in client.http.cookiejar if cookie.name == COOKIE]
    return cookie


def position_of(client: Client) -> str:
    """What the browser has for acme, without the tag of the tenant."""
    return str(cookie_of(client).value)[TAG:]


def send_back(client: Client, position: str) -> None:
    """Let the browser have this position for acme."""
    cookie = cookie_of(client)
    cookie.value = cookie.value[:TAG] + position


def joined(place: str, signature: str) -> str:
    """The place of one position, with the signature of another one."""
    return urlsafe_b64encode(urlsafe_b64decode(place)[:8] + urlsafe_b64decode(signature)[8:]).decode()


def titles(client: Client) -> list[str]:
    return [node["title"] for node in client.get("/nodes?limit=500", status=200).json["items"]]


def slow_on_standby(request: Any) -> Any:
    """Read for longer than a test may take, if it is from the standby."""
    wait = "SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT count(*) + length(pg_sleep(60)::text) FROM nodes) END"
    return {"found": request.tenant_session.scalar(text(wait))}


def cached(request: Any) -> Any:
    """Keep what was read."""
    read = text("SELECT pg_is_in_recovery()")
    return {"standby": request.tenant_cache.get_or_make("x", lambda: request.tenant_session.scalar(read))}


def kept_late(request: Any) -> Any:
    """Read first, and keep it then."""
    found = request.tenant_session.scalar(text("SELECT pg_is_in_recovery()"))
    request.tenant_cache.set("late", found)
    return {"standby": found, "kept": request.tenant_cache.get("late")}


@contextmanager
def app_on(databases: dict[str, str], standby: str, lag: str = LAG, **settings: str) -> Iterator[Any]:
    """An application on these databases that reads this standby."""
    given = {"servers.main.replicas": standby, "servers.main.replica_lag": lag, "connections.probe": "0.2"}
    with extra_views(slow=slow_on_standby, cached=cached, late=kept_late):
        app = main({}, **(databases | given | settings))
    try:
        yield app
    finally:
        for factory in (app.registry.user_db, app.registry.access_reader.database, app.registry.tenant_dbs):
            assert factory.checkedout() == 0
            factory.dispose()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        own_postgres(max_standby_streaming_delay="0") as primary,
        postgres_installation(primary) as installation,
        standby_of(primary) as standby,
        app_on(installation.settings, str(standby.query["host"])) as app,
    ):
        yield World(app, installation, primary, standby)


@pytest.fixture
def bob(world: World) -> Client:
    """Somebody who reads the standby."""
    bob = world.sign_in("bob")
    assert world.source(bob) == "primary"  # a browser without a position
    world.caught_up(bob)
    return bob


def test_a_process_reports_its_connections_to_a_replica(world: World) -> None:
    world.caught_up(world.sign_in("bob"))
    registry = world.app.registry
    process = ProcessReport(registry)
    process.write_sometimes()
    with registry.user_db.begin() as session:
        (found,) = list_processes(session)
    process.withdraw()
    opened = {each["server"]: each["open"] for each in found["connections"]}
    (replica,) = registry.tenant_dbs.replicas["main"].replicas
    assert set(opened) == {None, "main", f"main {replica.address}"}
    assert min(opened[None], opened[f"main {replica.address}"]) >= 1


def test_a_tenant_with_one_connection_is_told_positions(world: World) -> None:
    """The session that has read has given its connection back by then."""
    ed = world.sign_in("ed")
    with world.installation.registry.user_db.begin() as session:
        set_connection_quota(session, "acme", 1)
    started = monotonic()
    assert world.source(ed, "/x/late") == "primary"
    assert position_of(ed)
    assert monotonic() - started < 2, "connections.timeout"
    world.caught_up(ed)
    with world.installation.registry.user_db.begin() as session:
        set_connection_quota(session, "acme", None)


def test_a_spent_quota_on_one_server_is_none_on_the_other(
    world: World, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not ask the primary reads the standby. Who may not read the standby is not passed on to the primary."""
    databases, access = world.app.registry.tenant_dbs, access_to(world.installation, "acme")
    (replica,) = databases.replicas["main"].replicas
    place = replace(access.require_tenant(), connection_quota=1)
    with world.installation.registry.user_db.begin() as session:
        set_connection_quota(session, "acme", 1)
    for engines in (databases.engines["main"], replica.engines):
        monkeypatch.setattr(engines.budget, "_timeout", 0.1)
    with databases.for_access(replace(access, tenant=place)).engine.connect():
        monkeypatch.setattr(replica, "_due_at", 0.0)
        monkeypatch.setattr(replica, "_probe_pause", 60.0)
        assert world.source(bob) == "standby"
        assert 0 < replica._due_at < monotonic() + replica._ask_every, "another tenant may ask soon"
    with databases.on_replica(place, replica).engine.connect():
        refused = bob.get("/nodes")
        assert (refused.status_int, refused.json["code"]) == (503, "busy")
    assert world.source(bob) == "standby", "it is not avoided either"
    with world.installation.registry.user_db.begin() as session:
        set_connection_quota(session, "acme", None)


def test_nobody_reads_what_is_older_than_their_own_changes(world: World, bob: Client) -> None:
    rita = world.sign_in("rita")
    rita.get("/nodes")
    world.caught_up(rita)
    with world.paused():
        made = bob.post("/nodes", {"title": "mine"}, status=201).json
        assert titles(bob).count("mine") == 1
        assert bob.get(f"/nodes/{made['id']}").json["title"] == "mine"
        # The others read what is a little older, and not mixed.
        assert world.source(rita) == "standby"
        assert "mine" not in titles(rita)
        assert rita.get(f"/nodes/{made['id']}").status_int == 404
    world.caught_up(bob)
    assert "mine" in titles(bob)
    at_last(lambda: "mine" in titles(rita))


def test_a_position_that_cannot_be_believed_leads_to_the_primary(world: World, bob: Client) -> None:
    ed, old = world.sign_in("ed"), position_of(bob)
    ed.get("/nodes")
    with world.paused():
        bob.post("/nodes", {"title": "not older"}, status=201)
        good = position_of(bob)
        assert good != old
        forged = [
            joined(old, good),  # an older place under a newer signature
            joined(good, old),
            position_of(ed),  # of somebody else
            *("", "A" * 32, "unknown", old[:-1], f"{old}="),
        ]
        for position in forged:
            send_back(bob, position)
            assert world.source(bob) == "primary", position
            send_back(bob, position)
            assert "not older" in titles(bob), position
        # What was told before is believed: it is what the client has sent.
        send_back(bob, old)
        assert world.source(bob) == "standby"
        # A new epoch of the content ends all positions.
        with world.installation.registry.user_db.begin() as session:
            renew_epochs(session, ["acme"])
        assert world.source(bob) == "primary"


def test_a_program_takes_part_by_a_header(world: World, bob: Client) -> None:
    program = world.program(bob)
    assert "X-Position" not in program.get("/nodes").headers
    assert "X-Position" not in program.post("/nodes", {"title": "x"}).headers
    assert world.source(program) == "primary"
    first = program.get("/nodes", X_Position="unknown").headers["X-Position"]
    at_last(lambda: world.source(program, X_Position=first) == "standby")
    with world.paused():
        made = program.post("/nodes", {"title": "by a program"}, X_Position=first)
        second = made.headers["X-Position"]
        assert world.source(program, X_Position=second) == "primary"
        assert world.source(program, X_Position=first) == "standby"
        assert world.source(program, X_Position=f"{first}, {second}") == "primary"
        assert world.source(program, X_Position=f"{first}, forged") == "primary"
    at_last(lambda: world.source(program, X_Position=f"{first},{second}") == "standby")


def test_a_page_that_sent_changes_at_once_reads_the_primary_if_it_asks_to(world: World, bob: Client) -> None:
    bob.post("/nodes", {"title": "earlier"}, status=201)
    world.caught_up(bob)
    earlier = position_of(bob)
    with world.paused():
        bob.post("/nodes", {"title": "later"}, status=201)
        send_back(bob, earlier)  # its answer came after that of the later change
        assert world.source(bob) == "standby"
        assert world.source(bob, X_Position="unknown") == "primary"
        assert world.source(bob) == "primary", "the cookie has the position of now"


def test_rights_are_those_of_now(world: World) -> None:
    both = world.sign_in("both")
    both.get("/nodes")
    world.caught_up(both)
    with world.paused(), world.installation.registry.user_db.begin() as session:
        users.set_enabled(session, "both", False)
    assert both.get("/nodes").status_int == 401


def test_a_refused_change_is_followed_by_what_refused_it(world: World, bob: Client) -> None:
    """An entity tag from the standby may be old. Who reads again after a 412 gets a tag that is not."""
    node = bob.post("/nodes", {"title": "first"}, status=201).json
    path = f"/nodes/{node['id']}"
    world.caught_up(bob)
    ada = Client(world.installation.app).sign_in("ada", "acme")
    with world.paused():
        ada.patch(path, {"title": "second"}, status=200)
        old = bob.get(path)
        assert old.json["title"] == "first"
        refused = bob.patch(path, {"title": "third"}, If_Match=old.headers["ETag"])
        assert (refused.status_int, refused.json["code"]) == (412, "version_mismatch")
        new = bob.get(path)
        assert new.json["title"] == "second"
        bob.patch(path, {"title": "third"}, status=200, If_Match=new.headers["ETag"])


def test_changes_are_followed_on_the_primary(world: World, bob: Client) -> None:
    cursor = bob.get("/changes").json["cursor"]
    ada = Client(world.installation.app).sign_in("ada", "acme")
    with world.paused():
        made = ada.post("/nodes", {"title": "told"}, status=201).json
        told = bob.get(f"/changes?since={cursor}").json["items"]
        assert [item["id"] for item in told] == [made["id"]]
        assert bob.get(f"/nodes/{made['id']}").json["title"] == "told"


def test_what_a_standby_has_is_not_kept_for_others(world: World, bob: Client) -> None:
    assert bob.get("/x/cached").json == {"standby": False}
    assert world.source(bob) == "standby"
    assert bob.get("/x/late").json == {"standby": True, "kept": None}


def test_a_read_that_the_standby_cancels_is_done_on_the_primary(
    world: World, bob: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tenantapp.requests")
    before = world.counts
    sent = Sent(bob.get, "/x/slow")
    at_last(lambda: world.on_standby("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1)
    with world.installation.registry.tenant_dbs.begin(access_to(world.installation, "acme")) as session:
        session.execute(text("LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE"))
        session.execute(text("UPDATE nodes SET title = title"))
    assert sent.outcome() == (200, None)
    assert sent.answer.json == {"found": None}
    lines = [line for line in caplog.messages if "/x/slow" in line]
    assert ["503" in line and line.endswith(", tried again") for line in lines] == [True, False]
    assert tuple(now - then for now, then in zip(world.counts, before, strict=True)) == (1, 1)
    world.caught_up(bob)


def test_a_standby_that_holds_the_data_of_somebody_else_is_not_read(world: World, bob: Client) -> None:
    identity = "UPDATE tenant_identity SET tenant_id = %s RETURNING tenant_id"
    url = world.primary.set(database=database_of(world.installation, "acme"))
    connection = psycopg2.connect(host=url.query["host"], user=url.username, dbname=url.database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM tenant_identity")
        (right,) = cursor.fetchone() or ()
        cursor.execute(identity, ["00000000-0000-0000-0000-000000000000"])
        place = access_to(world.installation, "acme").require_tenant()
        replica = world.app.registry.tenant_dbs.replicas["main"].replicas[0]
        wrong = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        (lsn,) = cursor.fetchone() or ()
        at_last(lambda: bool(world.on_standby(wrong.replace("%s", f"'{lsn}'"))))
        with world.paused():
            cursor.execute(identity, [right])
            world.app.registry.tenant_dbs.on_replica(place, replica).dispose()
            assert world.source(bob) in ("both", "primary")
            assert titles(bob)
    connection.close()
    world.caught_up(bob)


def test_doctor_says_how_far_behind_a_standby_is(world: World, tmp_path: Path) -> None:
    address = str(world.standby.query["host"])
    settings = world.installation.settings | {"servers.main.replicas": address}
    lines = [f"{name} = {value.replace('%', '%%')}" for name, value in settings.items()]
    (tmp_path / "tenantapp.ini").write_text("\n".join(["[app:main]", "use = egg:tenantapp", *lines]))
    examination = Examination(CommandsInstallation(tmp_path / "tenantapp.ini"), versions={"main": (18, 0)})
    (finding,) = replicas(examination)
    assert (finding.check, finding.state) == (f"replica {address} of main", "ok")
    assert re.fullmatch(r"a standby, \d+ bytes of the log behind", finding.detail)


def test_a_change_of_unknown_outcome_has_no_position(world: World, bob: Client) -> None:
    with world.installation.registry.tenant_dbs.begin(access_to(world.installation, "acme")) as session:
        session.execute(text(DIES_AT_COMMIT))
    program, browser = world.program(bob), bob
    first = program.get("/nodes", X_Position="unknown").headers["X-Position"]
    lost = program.post("/nodes", {"title": "lost"}, X_Position=first)
    assert (lost.status_int, lost.json["code"], lost.headers["X-Position"]) == (503, "outcome_unknown", "unknown")
    assert browser.post("/nodes", {"title": "lost"}).status_int == 503
    assert COOKIE not in browser.http.cookies
    assert world.source(browser) == "primary"


def test_a_standby_that_lags_is_not_read(world: World) -> None:
    with app_on(world.installation.settings, str(world.standby.query["host"]), "0.5") as app:
        near = World(app, world.installation, world.primary, world.standby)
        bob = near.sign_in("bob")
        near.caught_up(bob)
        with near.paused():
            Client(world.installation.app).sign_in("ada", "acme").post("/nodes", {"title": "late"}, status=201)
            at_last(lambda: near.source(bob) == "primary")
            assert "late" in titles(bob)
        near.caught_up(bob)


def test_a_server_that_does_not_say_where_it_is_is_read_itself(world: World, bob: Client) -> None:
    database = database_of(world.installation, "acme")
    revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
    as_superuser(world.primary, revoke, database)
    assert bob.post("/nodes", {"title": "unsaid"}).status_int == 201
    assert COOKIE not in bob.http.cookies
    for _ in range(2):
        assert world.source(bob) == "primary"
    as_superuser(world.primary, revoke.replace("REVOKE", "GRANT").replace("FROM", "TO"), database)
    world.caught_up(bob)


def test_a_standby_that_goes_and_comes_is_not_noticed(world: World, bob: Client) -> None:
    stop_at_once(world.standby)
    assert [world.source(bob) for _ in range(3)] in (["primary"] * 3, ["both", "primary", "primary"])
    bob.post("/nodes", {"title": "meanwhile"}, status=201)
    assert "meanwhile" in titles(bob)
    start_again(world.standby)
    wait_for(world.standby)
    world.caught_up(bob)
    assert "meanwhile" in titles(bob)


def test_a_standby_that_begins_again_further_back_is_not_read(world: World, bob: Client) -> None:
    """After a crash it serves as soon as its files are consistent, before it has replayed all that it had."""
    bob.post("/nodes", {"title": "replayed once"}, status=201)
    world.caught_up(bob)
    settings = Path(str(world.standby.query["host"]), "postgresql.auto.conf")
    before = settings.read_text()
    stop_at_once(world.standby)
    settings.write_text(f"{before}\nrecovery_min_apply_delay = '1h'\n")
    start_again(world.standby)
    wait_for(world.standby)
    for _ in range(5):
        assert "replayed once" in titles(bob)
    settings.write_text(before)
    world.on_standby("SELECT pg_reload_conf()")
    world.caught_up(bob)


def test_a_standby_that_stands_still_holds_nobody_up(world: World) -> None:
    with app_on(world.installation.settings, str(world.standby.query["host"]), "1", **QUICK) as app:
        still = World(app, world.installation, world.primary, world.standby)
        bob = still.sign_in("bob")
        still.caught_up(bob)
        with frozen(world.standby):
            began = monotonic()
            assert "replayed once" in titles(bob) or titles(bob)
            assert [still.source(bob) for _ in range(3)][-1] == "primary"
            assert monotonic() - began < 6
        still.caught_up(bob)


def test_a_replica_that_is_none_is_told_and_not_read(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with app_on(world.installation.settings, str(world.primary.query["host"])) as app, caplog.at_level(logging.WARNING):
        bob = World(app, world.installation, world.primary, world.standby).sign_in("bob")
        for _ in range(3):
            bob.get("/nodes", status=200)
        assert app.registry.tenant_dbs.replicas["main"].by_replicas == 0
    assert caplog.text.count("is not read, because it is no standby") == 1


def test_another_standby_is_read_and_after_a_failover_no_position_from_before(world: World) -> None:
    """The standby of a standby follows it when it is promoted."""
    with standby_of(world.primary) as heir, standby_of(world.primary) as follower:
        hosts = [str(url.query["host"]) for url in (world.primary, heir, follower)]
        with app_on(world.installation.settings, " ".join(hosts[1:]), **QUICK) as app:
            two = World(app, world.installation, world.primary, heir)
            bob = two.sign_in("bob")
            two.caught_up(bob)
            read = (
                app.registry.tenant_dbs.replicas["main"]
                .order_of(access_to(world.installation, "acme").require_tenant().id)[0]
                .address
            )
            with frozen(heir if read == hosts[1] else follower):
                at_last(lambda: [two.source(bob) for _ in range(2)] == ["standby"] * 2)
            old = position_of(bob)
        follow = f"ALTER SYSTEM SET primary_conninfo = 'host={heir.query['host']} user={heir.username}'"
        as_superuser(follower, follow)
        as_superuser(follower, "SELECT pg_reload_conf()")
        promote(heir)
        places = [str(url).partition("host=")[2] for url in (world.primary, heir)]
        settings = {name: value.replace(*places) for name, value in world.installation.settings.items()}
        with app_on(settings, hosts[2]) as app:
            there = World(app, world.installation, heir, follower)
            page = Client(app)
            page.http.cookiejar, page.csrf_token = bob.http.cookiejar, bob.csrf_token
            page.post("/nodes", {"title": "on the new one"}, status=201)
            assert position_of(page) != old
            send_back(page, old)
            assert there.source(page) == "primary"
            assert "on the new one" in titles(page)
            as_superuser(world.primary, "SELECT pg_switch_wal()")  # the old log has all places of the new one
            # Without these it would take minutes until the standby has noted its timeline.
            as_superuser(heir, "CHECKPOINT")
            at_last(lambda: as_superuser(follower, "CHECKPOINT") or as_superuser(follower, NOTED) == 2)
            there.caught_up(page)
            send_back(page, old)
            assert there.source(page) == "primary"
        with app_on(settings, str(world.standby.query["host"])) as app:
            left = Client(app).sign_in("bob", "acme")
            left.post("/nodes", {"title": "not on the old one"}, status=201)
            assert "not on the old one" in titles(left)
            assert app.registry.tenant_dbs.replicas["main"].by_replicas == 0
