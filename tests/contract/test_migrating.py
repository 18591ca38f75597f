"""Migrating many tenants: one that fails, is locked or down is its own trouble, and nothing is left half done."""

import os
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import psycopg2
import pytest
from sqlalchemy import func, select, text, update

from tenantapp.databases.errors import HistoryError, MigrationFailed, MigrationRefused, PuttingBackFailed
from tenantapp.databases.histories.revisions import TenantHistory, outdated_revisions
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.closing.fence import fence_database, hold_fences
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.fenced_move import FencedMove
from tenantapp.fleet.migrating.kind import request_migration
from tenantapp.fleet.migrating.ledger import claim, finish
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.fleet.migrating.plan import make_plan
from tenantapp.fleet.migrating.run import CLAIMED_AT_ONCE, RECORD_AT_ONCE, MigrationRun, stages_of
from tenantapp.fleet.migrating.run_record import KEPT, MOST_POINTS, RunRecord, Stage
from tenantapp.fleet.migrating.status import fleet_status
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Problem, find
from tenantapp.fleet.removing.deletion import delete_later, undelete
from tenantapp.identity.errors import NotFound, TenantDeleted
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import ACTIVE, Operation, RecordedRun
from tenantapp.operations.worker import Worker
from tenantapp.settings import SettingsError
from tenantapp.sql.times import utcnow
from tests.contract.conftest import Fleet
from tests.contract.migrations_at_work import ADD, FIRST, SECOND, Yard, connect, lines_of

SLOW = "time.sleep(0.3); " + 'op.add_column("nodes", sa.Column("more", sa.Integer))'
LAPSED = utcnow() - timedelta(hours=1)


@pytest.fixture
def yard(fleet: Fleet) -> Yard:
    yard = Yard(fleet, 5)
    yard.add_revision()
    return yard


def states(run: MigrationRun) -> dict[str, int]:
    return dict(Counter(str(result.state) for result in run.results))


def lapse(yard: Yard) -> None:
    """Let all leases and fences run out."""
    with yard.fleet.user_db.begin() as session:
        session.execute(update(Operation).where(Operation.state.in_(ACTIVE)).values(lease_until=LAPSED))
        session.execute(update(Tenant).where(Tenant.migrating_until.is_not(None)).values(migrating_until=LAPSED))
        session.execute(update(RecordedRun).where(RecordedRun.ended_at.is_(None)).values(seen_at=LAPSED))


def test_all_are_migrated_and_written_down(yard: Yard) -> None:
    run = yard.migrate()
    assert states(run) == {"migrated": 5}
    assert sorted(result.order.slug for result in yard.told) == sorted(yard.revisions())
    assert set(yard.revisions().values()) == {FIRST}
    assert all(yard.has_column(number) for number in range(5))
    assert yard.fences() == []
    with yard.fleet.user_db.begin(read_only=True) as session:
        for status in fleet_status(session):
            assert (status.found, status.wanted, status.state) == (yard.head, FIRST, "succeeded")
            assert status.duration is not None
            assert 0 < status.duration < 60
    assert Counter(state for _, state in yard.ledger()) == {"succeeded": 5}
    recorded = yard.recorded()
    assert (recorded.state, recorded.stopped_by, recorded.wanted, recorded.jobs) == ("finished", None, FIRST, 2)
    assert recorded.stages == [{"name": "rest", "tenants": 5, "done": 5, "failed": 0}]
    assert [recorded.points[0][1], recorded.points[-1][1]] == [0, 5]
    assert recorded.ended_at is not None
    assert recorded.started_at < recorded.ended_at == recorded.seen_at
    assert recorded.requested_by.startswith("local:")
    assert recorded.host == socket.gethostname()


def test_what_is_there_already_is_not_connected_to(yard: Yard) -> None:
    with yard.fleet.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "t03").values(revision=FIRST, database="nowhere"))
    assert states(yard.migrate()) == {"migrated": 4, "already there": 1}
    assert states(yard.migrate()) == {"already there": 5}
    assert len(yard.ledger()) == 4


def test_one_in_many_fails_and_is_mended(fleet: Fleet) -> None:
    """The tenants are more than two processes claim at once, and more than are recorded at once."""
    count = 2 * CLAIMED_AT_ONCE + 2
    assert count > RECORD_AT_ONCE
    yard = Yard(fleet, count)
    yard.add_revision()
    yard.ask(37, "ALTER TABLE nodes ADD COLUMN more TEXT")
    failed = yard.run("--jobs", "2")
    assert failed.returncode == 1
    assert f"{count - 1} migrated, 0 already there, 1 failed, 0 left" in failed.stdout
    assert failed.stderr.startswith("t37: The migration of the database of t37 failed and was rolled back: ")
    assert failed.stderr.endswith(f"tenantapp: 1 of {count} tenants is not at feedc0de0001.\n")
    assert Counter(yard.revisions().values()) == {FIRST: count - 1, yard.head: 1}
    assert yard.fences() == []
    yard.ask(37, "ALTER TABLE nodes DROP COLUMN more")
    mended = yard.run("--retry-failed", "--json")
    assert (mended.returncode, mended.stderr) == (0, "")
    line, summary = lines_of(mended.stdout)
    assert (line["tenant"], line["from"], line["to"], line["state"]) == ("t37", yard.head, FIRST, "migrated")
    assert summary["summary"]["migrated"] == 1
    assert set(yard.revisions().values()) == {FIRST}
    assert all(yard.has_column(number) for number in range(count))


def test_a_database_that_is_not_what_its_revision_makes_is_named(yard: Yard) -> None:
    """Whoever drops an index by hand hears of it with the next migration, which itself goes well."""
    yard.ask(2, "DROP INDEX ix_nodes_owner_id_id")
    found = yard.run("--json", "--only", "t01", "--only", "t02", "--only", "t00", "--except", "t00")
    assert found.returncode == 1
    words = "1 of 2 migrated databases is not what the revision should make, or could not be read"
    assert found.stderr == f"tenantapp: {words}.\n"
    *migrated, drifted, summary = lines_of(found.stdout)
    assert sorted((line["tenant"], line["state"]) for line in migrated) == [("t01", "migrated"), ("t02", "migrated")]
    assert (drifted["tenant"], drifted["state"]) == ("t02", "drifted")
    assert drifted["error"] == "table nodes: index ix_nodes_owner_id_id is missing"
    assert (summary["summary"]["verified"], summary["summary"]["wrong"]) == (1, 1)
    assert yard.revisions()["t02"] == FIRST
    again = yard.run()
    assert again.returncode == 0, "what is there already is not looked at"
    assert "3 migrated, 2 already there" in again.stdout
    assert "Verified: 3 right, 0 not" in again.stdout


def test_verifying_can_be_left_out(yard: Yard) -> None:
    yard.ask(2, "DROP INDEX ix_nodes_owner_id_id")
    done = yard.run("--no-verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Verified" not in done.stdout


@pytest.mark.parametrize("whom", ["all", "the parent"])
def test_killed_in_the_middle_and_started_again(fleet: Fleet, whom: str) -> None:
    yard = Yard(fleet, 8)
    yard.add_revision(SLOW, imports="import time")
    process = yard.start("--jobs", "2")
    deadline = time.monotonic() + 60
    while Counter(yard.revisions().values())[FIRST] < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    if whom == "all":
        process.kill_group()
    else:
        process.kill()
        process.end()  # those that are orphaned finish the tenant they have
    done = Counter(yard.revisions().values())[FIRST]
    assert 2 <= done < 8
    assert (yard.recorded().state, yard.recorded().ended_at) == ("running", None)
    for number, place in enumerate(yard.places):
        assert yard.has_column(number) or yard.revisions()[place.slug] == yard.head
    lapse(yard)
    died = yard.recorded()
    assert (died.state, died.stopped_by, died.ended_at) == ("died", None, died.seen_at)
    again = yard.run("--jobs", "2")
    assert (again.returncode, again.stderr) == (0, "")
    assert (yard.recorded().state, sum(stage["tenants"] for stage in yard.recorded().stages)) == ("finished", 8 - done)
    assert f"{8 - done} migrated, {done} already there" in again.stdout
    assert set(yard.revisions().values()) == {FIRST}
    assert all(yard.has_column(number) for number in range(8))
    assert yard.fences() == []
    assert {state for _, state in yard.ledger()} == {"succeeded"}


def test_interrupted_it_finishes_what_is_under_way(fleet: Fleet) -> None:
    yard = Yard(fleet, 16)
    yard.add_revision(SLOW, imports="import time")
    process = yard.start("--jobs", "1", "--json")
    deadline = time.monotonic() + 60
    while Counter(yard.revisions().values())[FIRST] < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    before = Counter(yard.revisions().values())[FIRST]
    os.killpg(process.pid, signal.SIGINT)
    ended = process.end()
    assert (ended.returncode, ended.stderr.strip()) == (130, "tenantapp: Interrupted.")
    done = Counter(yard.revisions().values())[FIRST]
    assert before <= done <= before + 2, "and not those that were handed out in advance"
    *lines, summary = lines_of(ended.stdout)
    assert Counter(line["state"] for line in lines) == {"migrated": done, "left": 16 - done}
    assert (summary["summary"]["migrated"], summary["summary"]["left"]) == (done, 16 - done)
    assert yard.fences() == []
    assert Counter(state for _, state in yard.ledger()) == {"succeeded": done}
    recorded = yard.recorded()
    assert (recorded.state, recorded.stopped_by) == ("stopped", "interrupt")
    assert recorded.stages == [{"name": "rest", "tenants": 16, "done": done, "failed": 0}]
    assert yard.run().returncode == 0, "at once: nothing is claimed any more"


def test_a_process_that_is_killed_takes_nobody_along(fleet: Fleet) -> None:
    yard = Yard(fleet, 12)
    found = 'op.get_bind().execute(sa.text("SELECT count(*) FROM tags")).scalar()'
    kill = f"time.sleep(0.1); {found} and os.kill(os.getpid(), 9)"
    yard.add_revision(f"{kill}; {ADD}", imports="import os, time")
    yard.ask(1, f"INSERT INTO tags (id, name) VALUES ('{yard.places[0].id.hex}', 'a')")
    run = yard.migrate(jobs=2)
    assert [(result.order.slug, result.error) for result in run.failed] == [
        ("t01", "The process that migrated it ended unexpectedly.")
    ]
    assert states(run) == {"migrated": 11, "failed": 1}
    assert yard.fences() == []
    assert not yard.has_column(1)


def test_a_worker_goes_on_with_what_was_left(yard: Yard) -> None:
    with yard.fleet.user_db.begin() as session:
        plan = make_plan(session, TenantHistory(yard.settings))
        assert len(claim(session, "somebody", plan.orders, "local:tests").orders) == 5
    lapse(yard)
    Worker(yard.services, KINDS).run(threading.Event(), until_idle=True)
    assert set(yard.revisions().values()) == {FIRST}
    assert Counter(state for _, state in yard.ledger()) == {"succeeded": 5}
    assert yard.fences() == []


def test_two_operators_at_once(fleet: Fleet) -> None:
    yard = Yard(fleet, 10)
    yard.add_revision('op.add_column("nodes", sa.Column("more", sa.Integer)); time.sleep(0.05)', imports="import time")
    both = [yard.start("--jobs", "2", "--json") for _ in range(2)]
    ended = [process.end() for process in both]
    assert [each.returncode for each in ended] == [0, 0], ended
    lines = [line for each in ended for line in lines_of(each.stdout)[:-1]]
    migrated = [line["tenant"] for line in lines if line["state"] == "migrated"]
    assert sorted(migrated) == [place.slug for place in yard.places]
    assert all(yard.has_column(number) for number in range(10))


def test_a_lock_is_waited_for_without_anybody_waiting(yard: Yard) -> None:
    """Neither the other tenants nor the readers of this one. The lock is held until all the others are migrated."""
    yard.settings = replace(yard.settings, migrations_lock_attempts=1000)
    fleet, url = yard.fleet, yard.url(2)
    told: list[str] = []
    holding, release = threading.Event(), threading.Event()
    waits: list[float] = []

    def hold() -> None:
        # A long query, or on SQLite a long write: there, readers hold up nobody.

        with connect(url) as connection:
            begin = "BEGIN IMMEDIATE" if fleet.admin is None else "SELECT count(*) FROM nodes"
            connection.exec_driver_sql(begin)
            holding.set()
            release.wait(60)
            connection.rollback()

    def read() -> None:
        while len(told) < 5:
            before = time.monotonic()
            yard.ask(2, "SELECT count(*) FROM nodes")
            waits.append(time.monotonic() - before)
            time.sleep(0.02)

    threads = [threading.Thread(target=hold), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    assert holding.wait(30)
    history = TenantHistory(yard.settings)
    with fleet.user_db.begin() as session:
        plan = make_plan(session, history)

    def tell(result: MigrationResult) -> None:
        told.append(result.order.slug)
        if len(told) == 4:
            seen = len(waits)
            while len(waits) < seen + 5:
                time.sleep(0.02)
            release.set()

    run = MigrationRun(yard.services, history, plan, tell, jobs=1)
    run.carry_out()
    for thread in threads:
        thread.join()
    assert states(run) == {"migrated": 5}
    assert told[-1] == "t02"
    # A reader may come to stand behind a try, which takes three tenths of a second, and never behind the whole wait.
    assert max(waits) < 2.5
    assert yard.has_column(2)


def test_a_lock_that_is_never_let_go(yard: Yard) -> None:
    yard.settings = replace(yard.settings, migrations_lock_attempts=2)

    with connect(yard.url(2)) as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if yard.fleet.admin is None else "SELECT count(*) FROM nodes")
        run = yard.migrate()
    assert [(result.order.slug, result.error) for result in run.failed] == [
        ("t02", "Nothing was changed in the database of t02, for somebody else is using it; try again later.")
    ]
    assert states(run) == {"migrated": 4, "failed": 1}
    assert yard.fences() == []


def test_a_database_that_is_down(yard: Yard) -> None:
    databases_on(yard.fleet.servers["main"]).drop(yard.places[1].database)
    run = yard.migrate()
    assert states(run) == {"migrated": 4, "failed": 1}
    [failed] = run.failed
    assert failed.order.slug == "t01"
    assert "Could not connect to the database of t01" in str(failed.error)
    assert yard.fences() == []


def test_the_canaries_go_first(yard: Yard) -> None:
    yard.ask(0, "ALTER TABLE nodes ADD COLUMN more TEXT")
    run = yard.migrate(jobs=2, waves=[2])
    assert states(run) == {"failed": 1, "migrated": 1}
    recorded = yard.recorded()
    assert (recorded.state, recorded.stopped_by) == ("stopped", "failed_stage")
    assert recorded.stages == [
        {"name": "wave 1", "tenants": 2, "done": 1, "failed": 1},
        {"name": "rest", "tenants": 3, "done": 0, "failed": 0},
    ]
    assert [order.slug for order in run.left] == ["t02", "t03", "t04"]
    assert sorted(yard.ledger()) == [("t00", "failed"), ("t01", "succeeded")]
    yard.ask(0, "ALTER TABLE nodes DROP COLUMN more")
    assert states(yard.migrate(jobs=2, waves=[2])) == {"already there": 1, "migrated": 4}


def test_waves_follow_one_another_as_long_as_nothing_fails(yard: Yard) -> None:
    yard.ask(2, "ALTER TABLE nodes ADD COLUMN more TEXT")
    failed = yard.run("--waves", "1,2", "--jobs", "1", "--json")
    assert failed.returncode == 1
    assert [line["tenant"] for line in lines_of(failed.stdout)[:-1] if line["state"] != "left"] == ["t00", "t01", "t02"]
    assert [(stage["name"], stage["done"], stage["failed"]) for stage in yard.recorded().stages] == [
        ("wave 1", 1, 0),
        ("wave 2", 1, 1),
        ("rest", 0, 0),
    ]
    refused = yard.run("--waves", "1,x")
    assert (refused.returncode, "separated by commas" in refused.stderr) == (2, True)
    assert yard.run("--waves", "1", "--canary", "1").returncode == 2


def test_waves_that_are_more_than_the_tenants_leave_none_out() -> None:
    def sizes(tenants: int, *waves: int) -> list[int]:
        return [stage.tenants for stage in stages_of(tenants, waves)]

    assert [sizes(5), sizes(5, 0), sizes(5, 5), sizes(5, 9)] == [[5]] * 4
    assert [sizes(5, 1, 9), sizes(5, 1, 4, 7), sizes(10, 1, 4)] == [[1, 4], [1, 4], [1, 4, 5]]


def test_a_run_that_cannot_be_recorded_goes_on(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    with yard.fleet.user_db.begin() as session:
        session.execute(text("ALTER TABLE migration_runs RENAME TO elsewhere"))
    assert states(yard.migrate()) == {"migrated": 5}
    assert caplog.text.count("could not be recorded") == 1


def test_a_few_runs_are_kept_and_their_points_stay_few(yard: Yard) -> None:
    for number in range(KEPT + 3):
        stage = Stage("rest", 1000)
        record = RunRecord(yard.fleet.user_db, FIRST, "local:x", f"host:{number}", 1)
        record.begin([stage])
    for done in range(1, 3 * MOST_POINTS):
        stage.done = done
        record.note()
    record.end()
    points = yard.recorded().points
    assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
    assert (points[0][1], points[-1][1]) == (0, done)
    with yard.fleet.user_db.begin(read_only=True) as session:
        assert session.scalar(select(func.count()).select_from(RecordedRun)) == KEPT


def test_a_number_of_failures_ends_it(yard: Yard) -> None:
    for number in (0, 1, 2):
        yard.ask(number, "ALTER TABLE nodes ADD COLUMN more TEXT")
    run = yard.migrate(jobs=1, stop_after=2)
    assert states(run) == {"failed": 2}
    assert [order.slug for order in run.left] == ["t02", "t03", "t04"]
    assert [slug for slug, _ in yard.ledger()] == ["t00", "t01"]
    assert (yard.recorded().state, yard.recorded().stopped_by) == ("stopped", "failures")
    assert yard.fences() == []


def test_a_bug_in_a_migration_concerns_nobody_else(yard: Yard) -> None:
    yard.add_revision(
        'if op.get_bind().execute(sa.text("SELECT count(*) FROM tags")).scalar(): raise LookupError("tags")',
        revision=SECOND,
        before=FIRST,
    )
    yard.ask(3, f"INSERT INTO tags (id, name) VALUES ('{yard.places[0].id.hex}', 'a')")
    run = yard.migrate()
    assert [(result.order.slug, result.error) for result in run.failed] == [("t03", "LookupError: tags")]
    assert yard.revisions()["t03"] == yard.head
    assert not yard.has_column(3), "one transaction"


def test_one_tenant_is_moved_down(yard: Yard) -> None:
    yard.migrate()
    with pytest.raises(MigrationRefused, match="one tenant"):
        yard.migrate(yard.head, down=True)
    assert states(yard.migrate(yard.head, slugs=["t01"])) == {"failed": 1}, "not by mistake"
    assert states(yard.migrate(yard.head, slugs=["t01"], down=True)) == {"migrated": 1}
    assert yard.revisions() == {place.slug: FIRST for place in yard.places} | {"t01": yard.head}
    assert not yard.has_column(1)
    assert states(yard.migrate()) == {"migrated": 1, "already there": 4}


def test_what_cannot_be_asked_for(yard: Yard) -> None:
    with pytest.raises(NotFound, match="t99"):
        yard.migrate(slugs=["t01", "t99"])
    with yard.fleet.user_db.begin() as session:
        delete_later(session, "t04", timedelta(days=1))
    with pytest.raises(TenantDeleted, match="t04"):
        yard.migrate(slugs=["t01", "t04"])
    with yard.fleet.user_db.begin() as session:
        undelete(session, "t04", KINDS)
    for revision in ("nonsense", "base"):
        with pytest.raises(HistoryError, match=revision):
            yard.migrate(revision)
    with yard.fleet.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "t01").values(revision="cafe00000000"))
    assert [str(result.error) for result in yard.migrate().failed] == [
        "It is at the revision cafe00000000, which this version does not know."
    ]
    assert len(yard.ledger()) == 4
    assert "t01" not in dict(yard.ledger())


def test_another_operation_keeps_a_tenant(yard: Yard) -> None:
    yard.settings = replace(yard.settings, migrations_wait=0.5)
    with yard.fleet.user_db.begin() as session:
        row = {"lease_owner": "x", "lease_until": utcnow() + timedelta(hours=1), "requested_by": "local:tests"}
        session.add(Operation(kind="backup", tenant_id=yard.places[2].id, slug="t02", state="running", **row))
    run = yard.migrate()
    assert states(run) == {"migrated": 4, "failed": 1}
    assert [str(result.error) for result in run.failed] == ["Another operation, backup, is at work on the tenant."]


class TestSnapshots:
    """A copy is put back when a migration fails, also one that was half done."""

    HALF = (
        "with op.get_context().autocommit_block():\n"
        "        op.execute('CREATE TABLE half (id INTEGER)')\n"
        "    op.execute('nonsense')"
    )

    def tables(self, yard: Yard, number: int) -> set[str]:
        named = "sqlite_master" if yard.fleet.admin is None else "pg_class"
        column = "name" if yard.fleet.admin is None else "relname"
        return {row[0] for row in yard.ask(number, f"SELECT {column} FROM {named} WHERE {column} = 'half'")}

    def test_it_is_put_back(self, yard: Yard) -> None:
        yard.add_revision(self.HALF, revision=SECOND, before=FIRST)
        made = yard.fleet.made()
        run = yard.migrate(snapshot=True, slugs=["t01", "t02"])
        assert states(run) == {"failed": 2}
        for number in (1, 2):
            assert not yard.has_column(number)
            assert self.tables(yard, number) == set()
        assert yard.fences() == []
        assert yard.fleet.made() == made, "no copy is left"

    def test_without_a_copy_half_of_it_stays(self, yard: Yard) -> None:
        """What the copy is good for."""
        yard.add_revision(self.HALF, revision=SECOND, before=FIRST)
        yard.migrate(slugs=["t01"])
        assert self.tables(yard, 1) == {"half"}

    def test_it_is_removed_after_a_success(self, yard: Yard) -> None:
        made = yard.fleet.made()
        assert states(yard.migrate(snapshot=True)) == {"migrated": 5}
        assert yard.fleet.made() == made

    def test_whoever_is_connected_is_no_hindrance(self, yard: Yard) -> None:
        if yard.fleet.admin is None:
            return
        url = yard.url(1).set(drivername="postgresql").render_as_string(hide_password=False)
        with closing(psycopg2.connect(url)):
            assert states(yard.migrate(snapshot=True, slugs=["t01"])) == {"migrated": 1}

    def test_it_is_kept_where_people_may_have_written_meanwhile(self, yard: Yard) -> None:
        yard.add_revision(self.HALF, revision=SECOND, before=FIRST)
        place, history = yard.places[1], TenantHistory(yard.settings)
        order = MigrationOrder(place.id, "t01", yard.head, SECOND, snapshot=True)
        migrator = Migrator(yard.services, history)
        with pytest.raises(PuttingBackFailed, match="served, or taken over, meanwhile"):
            migrator.migrate(order, place, yard.head, lambda: False, [].append)
        assert self.tables(yard, 1) == {"half"}
        copy = snapshot_of(yard.fleet.servers["main"], place.database, "the database of t01")
        assert copy.exists()
        migrator.forget_copy(place)
        assert not copy.exists()

    def test_one_that_could_not_be_put_back_is_kept(self, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next run puts it back, and nothing removes it before a migration has succeeded."""
        fleet = yard.fleet
        yard.add_revision(self.HALF, revision=SECOND, before=FIRST)
        place = yard.places[0]
        snapshot = snapshot_of(fleet.servers["main"], place.database, "t00")
        settings = replace(yard.settings, connections_timeout=0.1)
        user_db = fence_database(settings)
        migrator = Migrator(fleet.under(settings), TenantHistory(settings))
        worker = FencedMove(user_db, migrator, lambda order: True)

        def full(self: Any) -> None:
            raise PuttingBackFailed("t00", "the disk is full")

        order = self.claimed(yard)
        with monkeypatch.context() as patch:
            patch.setattr(type(snapshot), "put_back", full)
            with pytest.raises(PuttingBackFailed):
                worker.migrate(order)
        with fleet.user_db.begin() as session:
            finish(session, "tests", [MigrationResult(order, MigrationState.FAILED, "the disk is full")])
        assert snapshot.exists()
        assert self.tables(yard, 0) == {"half"}
        with fleet.user_db.begin() as session:
            session.execute(update(Tenant).values(migrating_until=utcnow() - timedelta(hours=1)))
        (finding,) = find(fleet.services, KINDS)
        assert (finding.problem, finding.note is None) == (Problem.COPY, False)
        assert not mend(fleet.services, KINDS, finding)
        with fleet.user_db.begin() as session:
            session.execute(update(Tenant).values(migrating_until=utcnow() + timedelta(minutes=10)))
        with pytest.raises(MigrationFailed):
            worker.migrate(self.claimed(yard))
        user_db.dispose()
        assert self.tables(yard, 0) == set()

    def claimed(self, yard: Yard) -> MigrationOrder:
        """What a run with copies that is only about one tenant begins with."""
        with yard.fleet.user_db.begin() as session:
            plan = make_plan(session, TenantHistory(yard.settings), snapshot=True, slugs=["t00"])
            (order,) = claim(session, "tests", plan.orders, "local:tests").orders
        return order

    def test_a_worker_that_is_ended_puts_it_back(self, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
        fleet, stop = yard.fleet, Event()
        yard.add_revision(self.HALF, revision=SECOND, before=FIRST)
        services = fleet.under(replace(yard.settings, connections_timeout=0.1))
        with fleet.user_db.begin() as session:
            operation = request_migration(session, services, "t01", to=SECOND, requested_by="local:tests")
            operation.arguments = {**operation.arguments, "snapshot": True}
        move = Migrator._move

        def ended_meanwhile(self: Any, *arguments: Any) -> Any:
            try:
                return move(self, *arguments)
            finally:
                stop.set()

        monkeypatch.setattr(Migrator, "_move", ended_meanwhile)
        Worker(services, KINDS).run(stop, until_idle=True)
        assert self.tables(yard, 1) == set()
        assert not yard.fences()

    @pytest.mark.parametrize("fence", ["up", "fallen", "down"])
    def test_one_that_was_left_is_used_only_while_nobody_was_served(self, yard: Yard, fence: str) -> None:
        """Killed in the middle: the copy is older than what people have written since they were served again."""
        place = yard.places[1]
        with yard.fleet.user_db.begin() as session:
            plan = make_plan(session, TenantHistory(yard.settings), snapshot=True, slugs=["t01"])
            claim(session, "somebody", plan.orders, "local:tests")
        snapshot = snapshot_of(yard.fleet.servers["main"], place.database, "the database of t01")
        snapshot.take()
        yard.ask(1, "CREATE TABLE half (id INTEGER)")
        lapse(yard)
        until = {"up": utcnow() + timedelta(minutes=5), "fallen": utcnow() - timedelta(hours=20), "down": None}[fence]
        with yard.fleet.user_db.begin() as session:
            fence_of_it = {"migrating_until": until, "migrating_copied": until is not None}
            session.execute(update(Tenant).where(Tenant.slug == "t01").values(**fence_of_it))
            # As for every tenant that has an order, also one that is not begun.
            hold_fences(session.connection(), [place.id], snapshot=True)
        assert states(yard.migrate()) == {"migrated": 5}
        assert self.tables(yard, 1) == (set() if fence == "up" else {"half"})
        assert yard.has_column(1)
        assert not snapshot.exists()
        assert yard.fences() == []


def test_the_tables_say_what_the_operation_was(yard: Yard) -> None:
    yard.migrate(slugs=["t01"])
    with yard.fleet.user_db.begin(read_only=True) as session:
        [operation] = session.scalars(select(Operation).where(Operation.kind == "migrate"))
        assert operation.arguments == {"from": yard.head, "to": FIRST, "down": False, "snapshot": False}
        assert (operation.progress, operation.lease_owner, operation.lease_until) == (1.0, None, None)


def test_the_command_for_people_and_for_programs(yard: Yard) -> None:
    would = yard.run("--dry-run")
    assert would.returncode == 0
    assert would.stdout.count("would be migrated") == 5
    assert "5 to be migrated, 0 already there, 0 cannot be." in would.stdout
    assert set(yard.revisions().values()) == {yard.head}
    [*_, line, _] = lines_of(yard.run("--dry-run", "--rehearse", "1", "--json").stdout)
    assert line["rehearsal"]["state"] == "passed"
    assert set(yard.revisions().values()) == {yard.head}
    done = yard.run("--json", "--only", "t01", "--only", "t02", "--snapshot", "--canary", "1")
    assert done.returncode == 0, done.stderr
    assert {line.get("tenant") for line in lines_of(done.stdout)} == {"t01", "t02", None}
    status = yard.run("--status")
    assert "Rehearsal on t0" not in status.stdout  # of an earlier run
    assert status.stdout.splitlines()[0].split() == ["revision", "tenants", "newest"]
    assert "t04" in status.stdout
    assert "t01" not in status.stdout
    [found] = lines_of(yard.run("--status", "--json").stdout)
    assert [(row["revision"], row["tenants"]) for row in found["revisions"]] == [(yard.head, 3), (FIRST, 2)]
    down = yard.run("--to", yard.head, "--only", "t01", "--downgrade")
    assert down.returncode == 0, down.stderr
    assert yard.revisions()["t01"] == yard.head
    wrong = yard.run("--to", "nonsense")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("tenantapp: The tenant history has no revision nonsense")


def test_which_revisions_are_outdated(yard: Yard) -> None:
    yard.add_revision("pass", revision=SECOND, before=FIRST)
    assert outdated_revisions(yard.settings) == frozenset()
    before = outdated_revisions(replace(yard.settings, migrations_oldest=yard.head))
    assert {None, "8b2e64d1c05f"} <= before
    assert before.isdisjoint({yard.head, FIRST, SECOND})
    assert outdated_revisions(replace(yard.settings, migrations_oldest="head")) == {*before, yard.head, FIRST}
    with pytest.raises(SettingsError, match="has no revision nonsense"):
        outdated_revisions(replace(yard.settings, migrations_oldest="nonsense"))
