"""Operations: one at a time on a tenant, and whoever dies of one, another goes on with it."""

import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.exc import IntegrityError

from tenantapp.fleet.creating import warm
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import _due as purge_due
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.metrics.fleet_figures import _backups as read_backups
from tenantapp.operations import leases
from tenantapp.operations.errors import LeaseLost, OperationRefused, TenantBusy
from tenantapp.operations.fleet import Fleet as Services
from tenantapp.operations.foreground import run_now
from tenantapp.operations.kinds import Context, Kind
from tenantapp.operations.leases import MAX_ATTEMPTS, claim_next, hold
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import (
    cancel_operation,
    get_operation,
    list_operations,
    request_operation,
    retry_operation,
    sweep_operations,
)
from tenantapp.operations.runner import USUAL_PACE, Pace, abandon, run_operation
from tenantapp.operations.worker import Worker
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.servers import Servers
from tenantapp.testing.queries import StatementRecorder
from tests.contract import work
from tests.contract.conftest import Fleet
from tests.contract.forks import Hanging
from tests.contract.work import STEPS, Journal

LAPSED = utcnow() - timedelta(hours=1)


@pytest.fixture
def services(fleet: Fleet) -> Services:
    """With two tenants, whose databases do not matter here."""
    fleet.initialised()
    with fleet.user_db.begin() as session:
        session.add_all(Tenant(slug=slug, name=slug, server="main", database=slug) for slug in ("acme", "globex"))
    return fleet.services


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def request(services: Services, kind: Kind, slug: str = "acme") -> UUID:
    """Queue an operation on a tenant."""
    with services.user_db.begin() as session:
        tenant = session.scalars(select(Tenant).where(Tenant.slug == slug)).one()
        return request_operation(session, kind, tenant, {"a": 1}, "local:tests").id


def seen(services: Services, operation_id: UUID) -> Operation:
    """The row as it is now."""
    with services.user_db.begin(read_only=True) as session:
        operation = get_operation(session, operation_id)
        session.expunge(operation)
        return operation


def lapse(services: Services) -> None:
    """Let all leases run out."""
    with services.user_db.begin() as session:
        session.execute(update(Operation).where(Operation.lease_until.is_not(None)).values(lease_until=LAPSED))


def work_off(services: Services, kind: Kind, pace: Pace = USUAL_PACE) -> None:
    """Be a worker until nothing is waiting."""
    Worker(services, {"work": kind}, pace=pace).run(threading.Event(), until_idle=True)


def raising(where: str, error: BaseException) -> Callable[[str, Context], None]:
    """Raise in this step."""

    def during(step: str, context: Context) -> None:
        if step == where:
            raise error

    return during


def did(journal: Journal) -> list[str]:
    """What was done, less the tenant."""
    return [line.removeprefix("acme ") for line in journal.lines()]


def test_the_steps_are_done_in_order(services: Services, journal: Journal) -> None:
    kind = work.kind(journal, undoes=True)
    operation_id = request(services, kind)
    before = seen(services, operation_id)
    assert (before.state, before.slug, before.requested_by, before.arguments) == (
        "queued",
        "acme",
        "local:tests",
        {"a": 1},
    )
    work_off(services, kind)
    after = seen(services, operation_id)
    assert did(journal) == ["prepare", *STEPS, "complete"]
    assert (after.state, after.progress, after.attempts, after.error) == ("succeeded", 1.0, 1, None)
    assert after.result == {"first": 0, "second": 1, "third": 2}
    assert after.lease_owner is after.lease_until is None
    assert after.created_at <= after.started_at <= after.finished_at  # type: ignore[operator]


def test_one_that_fails_is_undone(services: Services, journal: Journal) -> None:
    kind = work.kind(journal, undoes=True, during=raising("second", RuntimeError("broken")))
    operation_id = request(services, kind)
    work_off(services, kind)
    assert did(journal) == ["prepare", "first", "second", "undo second", "undo first", "withdraw"]
    after = seen(services, operation_id)
    assert (after.state, after.error, after.step) == ("failed", "RuntimeError: broken", None)
    with services.user_db.begin() as session:
        retry_operation(session, operation_id, {"work": kind})
    work_off(services, work.kind(journal, undoes=True))
    assert did(journal)[6:] == ["prepare", *STEPS, "complete"]
    assert seen(services, operation_id).state == "succeeded"


def test_one_that_cannot_be_undone_goes_on_from_its_step(services: Services, journal: Journal) -> None:
    kind = work.kind(journal, undoes=False, during=raising("second", RuntimeError("broken")))
    operation_id = request(services, kind)
    work_off(services, kind)
    after = seen(services, operation_id)
    assert (after.state, after.step) == ("failed", "second")
    with services.user_db.begin() as session:
        retry_operation(session, operation_id, {"work": kind})
    work_off(services, work.kind(journal, undoes=False))
    assert did(journal) == ["prepare", "first", "second", "second", "third", "complete"]
    assert seen(services, operation_id).result == {"first": 0, "second": 1, "third": 2}


def test_a_kind_undoes_and_keeps_only_if_it_says_so() -> None:
    kind = Kind("work", ())
    assert not kind.undoes
    assert not kind.keeps


@pytest.mark.parametrize("expected", [True, False])
def test_only_a_bug_is_logged_with_its_traceback(
    services: Services, journal: Journal, caplog: pytest.LogCaptureFixture, expected: bool
) -> None:
    """Of any other failure the recorded sentence says everything."""
    error = OperationRefused("it is Sunday") if expected else RuntimeError("broken")
    kind = work.kind(journal, undoes=False, during=raising("second", error))
    operation_id = request(services, kind)
    work_off(services, kind)
    logged = [record for record in caplog.records if record.exc_info and str(operation_id) in record.getMessage()]
    assert len(logged) == (0 if expected else 1)
    assert seen(services, operation_id).state == "failed"


def test_an_undoing_that_fails_is_tried_again(services: Services, journal: Journal) -> None:
    broken = work.kind(
        journal,
        undoes=True,
        during=raising("second", RuntimeError("broken")),
        undoing=raising("first", OSError("gone")),
    )
    operation_id = request(services, broken)
    work_off(services, broken)
    after = seen(services, operation_id)
    assert (after.state, after.step) == ("undoing", "first")
    assert after.error == "RuntimeError: broken. It could not be undone yet: OSError: gone"
    lapse(services)
    work_off(services, work.kind(journal, undoes=True))
    assert did(journal)[3:] == ["undo second", "undo first", "undo first", "withdraw"]
    assert seen(services, operation_id).state == "failed"


def test_one_operation_at_a_time_on_a_tenant(services: Services, journal: Journal) -> None:
    kind = work.kind(journal, undoes=True)
    for slug in ("acme", "acme", "globex"):
        request(services, kind, slug)
    claimed = []
    for _ in range(3):
        with services.user_db.begin() as session:
            claimed.append(claim_next(session, {"work": kind}))
    assert [claim is not None for claim in claimed] == [True, True, False]
    with services.user_db.begin() as session:
        waiting = session.scalars(select(Operation).where(Operation.state == "queued")).one()
    with pytest.raises(TenantBusy), services.user_db.begin() as session:
        leases.take(session, session.merge(waiting), "me", {"work": kind})
    with pytest.raises(IntegrityError), services.user_db.begin() as session:
        session.execute(update(Operation).values(state="running"))


def test_many_workers_share_the_work(services: Services, journal: Journal) -> None:
    inside: dict[str, int] = {"acme": 0, "globex": 0}
    most: list[int] = []

    def during(step: str, context: Context) -> None:
        slug = str(context.slug)
        inside[slug] += 1
        most.append(inside[slug])
        time.sleep(0.01)
        inside[slug] -= 1

    kind = work.kind(journal, undoes=True, during=during)
    ids = [request(services, kind, slug) for slug in ("acme", "globex") for _ in range(5)]

    def until_all_done(_: int) -> None:
        worker = Worker(services, {"work": kind})
        while any(seen(services, found).state in ("queued", "running") for found in ids):
            worker.work(threading.Event())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(until_all_done, range(4)))
    assert set(most) == {1}
    assert {seen(services, found).state for found in ids} == {"succeeded"}
    assert len([line for line in journal.lines() if line.endswith("second")]) == 10


@pytest.mark.parametrize("checks", [False, True])
def test_who_was_paused_beyond_the_lease_records_nothing(services: Services, journal: Journal, checks: bool) -> None:
    """The one who slept comes back in the middle of a step, when another has finished it all."""
    resumed = work.kind(journal, undoes=True)

    def overtaken(step: str, context: Context) -> None:
        if step == "second":
            lapse(services)
            work_off(services, resumed)
            if checks:
                context.check()

    operation_id = request(services, resumed)
    with services.user_db.begin() as session:
        claim = claim_next(session, {"work": resumed})
    assert claim is not None
    with pytest.raises(LeaseLost):
        run_operation(services, {"work": work.kind(journal, undoes=True, during=overtaken)}, claim)
    after = seen(services, operation_id)
    assert (after.state, after.attempts) == ("succeeded", 2)
    with pytest.raises(LeaseLost), services.user_db.begin() as session:
        hold(session, claim)
    abandon(services, {"work": resumed}, claim)
    assert seen(services, operation_id).state == "succeeded"
    assert did(journal) == ["prepare", "first", "second", "second", "third", "complete"]


def test_a_failure_after_the_lease_was_lost_undoes_nothing(services: Services, journal: Journal) -> None:
    resumed = work.kind(journal, undoes=True)

    def overtaken(step: str, context: Context) -> None:
        lapse(services)
        work_off(services, resumed)
        raise RuntimeError("there already")

    operation_id = request(services, resumed)
    with services.user_db.begin() as session:
        claim = claim_next(session, {"work": resumed})
    assert claim is not None
    with pytest.raises(LeaseLost):
        run_operation(services, {"work": work.kind(journal, undoes=True, during=overtaken)}, claim)
    assert seen(services, operation_id).state == "succeeded"
    assert not [line for line in did(journal) if line.startswith("undo")]


def test_a_long_step_keeps_its_lease(services: Services, journal: Journal) -> None:
    renewed = []

    def during(step: str, context: Context) -> None:
        lapse(services)
        deadline = time.monotonic() + 20
        while seen(services, context.operation_id).lease_until <= utcnow():  # type: ignore[operator]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        renewed.append(step)

    kind = work.kind(journal, undoes=True, during=during)
    request(services, kind)
    work_off(services, kind, pace=Pace(renew_every=0.05))
    assert renewed == list(STEPS)


def test_progress(services: Services, journal: Journal) -> None:
    shown = []

    def during(step: str, context: Context) -> None:
        context.progress(0.5, f"half of {step}")
        row = seen(services, context.operation_id)
        shown.append((row.step, row.progress_text, round(row.progress, 3)))

    kind = work.kind(journal, undoes=True, during=during)
    request(services, kind)
    work_off(services, kind, pace=Pace(report_every=0.0))
    assert shown == [
        ("first", "half of first", 0.167),
        ("second", "half of second", 0.5),
        ("third", "half of third", 0.833),
    ]


def test_a_chore_that_fails_ends_no_worker(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    """The thread of a serving process is not begun again."""
    stop, done = threading.Event(), list[Services]()

    def fail(fleet: Services) -> None:
        raise RuntimeError("chores fail")

    def finish(fleet: Services) -> None:
        done.append(fleet)
        stop.set()

    Worker(services, {}, (fail, finish)).run(stop)
    assert done == [services]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["chores fail"]


class TestCancel:
    def test_before_it_began(self, services: Services, journal: Journal) -> None:
        kind = work.kind(journal, undoes=True)
        operation_id = request(services, kind)
        with services.user_db.begin() as session:
            cancel_operation(session, operation_id, {"work": kind})
        work_off(services, kind)
        assert did(journal) == ["prepare", "withdraw"]
        assert seen(services, operation_id).state == "cancelled"
        with pytest.raises(OperationRefused), services.user_db.begin() as session:
            cancel_operation(session, operation_id, {"work": kind})

    @pytest.mark.parametrize("undoes", [True, False])
    def test_while_it_is_at_work(self, services: Services, journal: Journal, undoes: bool) -> None:
        def during(step: str, context: Context) -> None:
            if step == "second":
                with services.user_db.begin() as session:
                    cancel_operation(session, context.operation_id, {"work": kind})

        kind = work.kind(journal, undoes=undoes, during=during)
        operation_id = request(services, kind)
        work_off(services, kind)
        undone = ["undo second", "undo first", "withdraw"] if undoes else []
        # The step that was under way is done, the next one is not begun.
        assert [line for line in did(journal) if line != "undo third"] == ["prepare", "first", "second", *undone]
        assert seen(services, operation_id).state == "cancelled"

    def test_what_is_not_there(self, services: Services) -> None:
        for service in (cancel_operation, retry_operation):
            with pytest.raises(NotFound), services.user_db.begin() as session:
                service(session, uuid7(), {})

    def test_a_kind_of_another_version(self, services: Services, journal: Journal) -> None:
        kind = work.kind(journal, undoes=True)
        operation_id = request(services, kind)
        with (
            pytest.raises(OperationRefused, match="operations of the kind work"),
            services.user_db.begin() as session,
        ):
            cancel_operation(session, operation_id, {})
        Worker(services, {}).run(threading.Event(), until_idle=True)
        assert seen(services, operation_id).state == "queued"


class TestForeground:
    def run(self, services: Services, kind: Kind) -> UUID:
        def ask(session: Any, operation_id: UUID) -> Operation:
            tenant = session.scalars(select(Tenant).where(Tenant.slug == "acme")).one()
            return request_operation(session, kind, tenant, {}, "local:tests", operation_id=operation_id)

        return run_now(services, {"work": kind}, ask)

    def test_the_row_is_the_same(self, services: Services, journal: Journal) -> None:
        assert seen(services, self.run(services, work.kind(journal, undoes=True))).state == "succeeded"

    @pytest.mark.parametrize("undoes", [True, False])
    def test_an_interrupt(self, services: Services, journal: Journal, undoes: bool) -> None:
        kind = work.kind(journal, undoes=undoes, during=raising("second", KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            self.run(services, kind)
        undone = ["undo second", "undo first", "withdraw"] if undoes else []
        assert did(journal) == ["prepare", "first", "second", *undone]
        with services.user_db.begin(read_only=True) as session:
            (operation,) = list_operations(session)
            assert operation.state == "cancelled"

    def test_what_fails_is_raised(self, services: Services, journal: Journal) -> None:
        with pytest.raises(LookupError):
            self.run(services, work.kind(journal, undoes=True, during=raising("third", LookupError())))

    def test_a_tenant_that_is_worked_on(self, services: Services, journal: Journal) -> None:
        kind = work.kind(journal, undoes=True)
        request(services, kind)
        with services.user_db.begin() as session:
            claim_next(session, {"work": kind})
        with pytest.raises(TenantBusy):
            self.run(services, kind)
        with services.user_db.begin(read_only=True) as session:
            assert len(list_operations(session)) == 1


class TestKilled:
    """Real processes, ended with SIGKILL in the middle of a step."""

    def kill_in(self, fleet: Fleet, journal: Journal, undoes: bool, step: str, *more: str) -> None:
        how = ("undoes" if undoes else "stays", step, *more)
        Hanging("tests.contract.work", json.dumps(fleet.values), str(journal.path), *how).kill()

    @pytest.mark.parametrize("step", STEPS)
    def test_another_goes_on(self, fleet: Fleet, services: Services, journal: Journal, step: str) -> None:
        kind = work.kind(journal, undoes=False)
        operation_id = request(services, kind)
        self.kill_in(fleet, journal, False, step)
        work_off(services, kind)
        assert seen(services, operation_id).state == "running", "the lease still holds"
        lapse(services)
        work_off(services, kind)
        twice = [name for name in STEPS for _ in range(2 if name == step else 1)]
        assert did(journal) == ["prepare", *twice, "complete"]
        after = seen(services, operation_id)
        assert (after.state, after.attempts) == ("succeeded", 2)
        assert after.result == {"first": 0, "second": 1, "third": 2}

    def test_another_goes_on_undoing(self, fleet: Fleet, services: Services, journal: Journal) -> None:
        kind = work.kind(journal, undoes=True)
        operation_id = request(services, kind)
        self.kill_in(fleet, journal, True, "undo-second", "fail")
        lapse(services)
        work_off(services, kind)
        assert did(journal)[4:] == ["undo third", "undo second", "undo second", "undo first", "withdraw"]
        assert (seen(services, operation_id).state, seen(services, operation_id).error) == (
            "failed",
            "RuntimeError: broken",
        )


@pytest.mark.parametrize("undoes", [True, False])
def test_one_that_workers_die_of_is_given_up(services: Services, journal: Journal, undoes: bool) -> None:
    kind = work.kind(journal, undoes=undoes)
    operation_id = request(services, kind)
    for _ in range(MAX_ATTEMPTS):
        lapse(services)
        with services.user_db.begin() as session:
            assert claim_next(session, {"work": kind}) is not None
    lapse(services)
    work_off(services, kind)
    after = seen(services, operation_id)
    assert (after.state, after.error) == ("failed", f"Given up after {MAX_ATTEMPTS} attempts.")
    assert did(journal) == ["prepare", *(["undo first", "withdraw"] if undoes else [])]


def test_operations_outlive_the_tenant_and_are_swept(services: Services, journal: Journal) -> None:
    kind = work.kind(journal, undoes=True)
    operation_id = request(services, kind)
    work_off(services, kind)
    waiting = request(services, kind, "globex")
    with services.user_db.begin() as session:
        session.delete(session.scalars(select(Tenant).where(Tenant.slug == "acme")).one())
    after = seen(services, operation_id)
    assert (after.tenant_id, after.slug) == (None, "acme")
    for age, deleted in ((timedelta(days=1), 0), (timedelta(0), 1)):
        with services.user_db.begin() as session:
            assert sweep_operations(session, age, {"work": kind}) == deleted
    assert seen(services, waiting).state == "queued"


def test_finished_operations_are_not_read_for_what_workers_look_for(services: Services) -> None:
    """There are millions, and workers look every few seconds."""
    with services.user_db.begin() as session:
        tenant = session.scalars(select(Tenant.id)).first()
        finished = {"kind": "backup", "tenant_id": tenant, "slug": "acme", "state": "succeeded", "requested_by": "x"}
        others = [tenant, *[None] * 299]  # most tenants are gone
        session.execute(insert(Operation), [finished | {"tenant_id": each} for each in others * 10])
        session.execute(insert(Operation), [finished | {"kind": "hook", "state": "queued"} for _ in range(300)])
    with services.user_db.begin() as session:
        connection = session.connection()
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.exec_driver_sql("ANALYZE operations")
        asked: list[Any] = []
        note: Any = lambda _, __, statement, values, *___: asked.append((statement, values))  # noqa: E731
        event.listen(connection, "before_cursor_execute", note)
        assert leases.is_work_waiting(session, KINDS)
        session.scalars(purge_due(session)).all()
        list_operations(session, kind="rehearse")
        read_backups(session)
        event.remove(connection, "before_cursor_execute", note)
        explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
        plans = [
            "\n".join(row[-1] for row in connection.exec_driver_sql(f"{explain} {statement}", values).all())
            for statement, values in asked
            if "operations" in statement
        ]
        session.rollback()
    assert len(plans) == 4
    for plan in plans:
        assert not re.search(r"Seq Scan on operations|SCAN operations|pk_operations", plan), plan
    if postgresql:
        assert "ix_operations_unfinished" in plans[0]
    assert "ix_operations_kind_id" in plans[2]
    assert "ix_operations_tenant_id_kind_id" in plans[3]


def test_the_number_of_servers_does_not_matter_for_warm_databases(services: Services) -> None:
    names = [f"server{number}" for number in range(20)]
    settings = replace(services.settings, fleet_warm_databases=1)
    recorder = StatementRecorder(services.user_db)
    numbers = []
    for some in (names[:1], names):
        many = replace(services, settings=settings, servers=Servers(dict.fromkeys(some, services.servers["main"])))
        before = len(recorder)
        with services.user_db.begin(read_only=True) as session, recorder:
            missing, _ = warm._plan(session, many)
        assert dict(missing) == dict.fromkeys(some, 1)
        numbers.append(len(recorder) - before)
    assert numbers[0] == numbers[1]
