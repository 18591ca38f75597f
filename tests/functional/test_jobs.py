"""Jobs of a tenant: queued with what a request does, run by a worker, retried, kept apart in copies."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.errors import TenantMigrating
from tenantapp.tenancy.models import JobState, TenantJob
from tenantapp.work.administration import describe_job
from tenantapp.work.claims import pause_after
from tenantapp.work.errors import JobRefused, UnknownJob
from tenantapp.work.models import TenantVisit
from tenantapp.work.queue import cancel_job, list_jobs, release_jobs, retry_job
from tenantapp.work.running import Job
from tenantapp.work.visits import add_missing_visits, claim_visits, is_visit_due, note_visit
from tenantapp.workspace.models import Tag
from tests.installation import Installation
from tests.jobs import Desk


@pytest.fixture
def desk(installation: Installation) -> Desk:
    registry = installation.registry
    return Desk(Fleet(registry.user_db, registry.app_settings, registry.servers), registry.tenant_dbs)


def add_tag(job: Job) -> None:
    job.session.add(Tag(name=job.arguments["tag"]))


def tags(desk: Desk) -> list[str]:
    with desk.databases.begin(desk.access, read_only=True) as session:
        return list(session.scalars(select(Tag.name).order_by(Tag.name)))


def test_a_job_gets_its_arguments_its_tenant_and_a_session(desk: Desk) -> None:
    met: list[Any] = []

    def meet(job: Job) -> None:
        met.append((job.arguments, job.tenant.slug, job.tenant.name, job.attempt, job.access.may("content.read")))
        add_tag(job)

    desk.declared.declare("meet", meet)
    desk.enqueue("meet", {"tag": "red"})
    assert desk.work() == ["acme"]
    assert met == [({"tag": "red"}, "acme", "Acme", 1, True)]
    assert tags(desk) == ["red"]
    assert desk.jobs("state", "attempts", "owner") == [("done", 1, None)]


@pytest.mark.parametrize("planted", ["[1]", "null", "none at all", "[" * 100_000])
def test_arguments_that_others_have_written_fail_that_job_alone(desk: Desk, planted: str) -> None:
    """Neither what is before it nor what is after it is held up, or done twice; and the jobs can be listed."""
    ran: list[Any] = []
    desk.declared.declare("note", lambda job: ran.append(job.arguments))
    for number in (1, 2, 3):
        desk.enqueue("note", {"number": number})
    with desk.databases.begin(desk.access) as session:
        second = session.scalars(select(TenantJob).order_by(TenantJob.due_at, TenantJob.id)).all()[1]
        second.arguments = planted
    desk.work()
    assert ran == [{"number": 1}, {"number": 3}]
    assert desk.jobs("state") == ["done", "failed", "done"]
    with desk.databases.begin(desk.access, read_only=True) as session:
        shown = [describe_job(job, desk.place) for job in list_jobs(session)]
    assert {job["error"] for job in shown} == {None, "The arguments of the job are not a JSON object."}


def test_jobs_run_in_their_order_and_a_job_may_queue_another(desk: Desk) -> None:
    ran: list[Any] = []

    def first(job: Job) -> None:
        ran.append(job.arguments)
        if job.arguments == {"number": 1}:
            job.enqueue("other")

    desk.declared.declare("first", first)
    desk.declared.declare("other", lambda job: ran.append(job.name))
    desk.enqueue("first", {"number": 1})
    desk.enqueue("first", {"number": 2})
    desk.enqueue("first", {"number": 3}, after=timedelta(hours=1))
    desk.work()
    assert ran == [{"number": 1}, {"number": 2}, "other"]
    assert desk.visit().due_at > utcnow() + timedelta(minutes=59), "nothing is to be done until then"
    desk.make_due()
    desk.work()
    assert ran[-1] == {"number": 3}


def test_a_job_that_fails_leaves_nothing_and_is_tried_again(desk: Desk) -> None:
    def fail_at_first(job: Job) -> None:
        add_tag(job)
        if job.attempt == 1:
            job.session.flush()
            raise RuntimeError("no luck")

    desk.declared.declare("fail", fail_at_first)
    desk.enqueue("fail", {"tag": "red"})
    desk.work()
    assert tags(desk) == []
    ((state, error, due_at),) = desk.jobs("state", "error", "due_at")
    assert (state, error) == ("queued", "RuntimeError: no luck")
    assert utcnow() + timedelta(seconds=5) < due_at == desk.visit().due_at < utcnow() + timedelta(seconds=13)
    assert desk.work() == []
    desk.make_due()
    desk.work()
    assert tags(desk) == ["red"]
    assert desk.jobs("state", "attempts", "failures", "error") == [("done", 2, 1, None)]


def test_a_job_fails_for_good_after_its_retries_and_can_be_retried(desk: Desk) -> None:
    works: list[str] = []

    def fail(job: Job) -> None:
        if not works:
            raise SystemExit(3)

    desk.declared.declare("fail", fail, retries=1)
    job_id = desk.enqueue("fail")
    desk.work()
    desk.make_due()
    desk.work()
    assert desk.jobs("state", "failures", "error") == [("failed", 1, "SystemExit(3)")]
    works.append("now")
    with desk.databases.begin(desk.access) as session:
        retry_job(session, desk.place, job_id)
    desk.make_due()
    desk.work()
    assert desk.jobs("state") == ["done"]


def test_pauses_grow_up_to_an_hour() -> None:
    pauses = [pause_after(failures).total_seconds() for failures in (1, 2, 3, 20)]
    assert all(most <= pause <= 1.25 * most for pause, most in zip(pauses, (10, 30, 90, 3600), strict=True))


def test_a_job_of_an_unknown_name_is_refused_when_queued_and_waits_when_it_is_there(desk: Desk) -> None:
    with pytest.raises(UnknownJob, match=r"there is no job called recount"):
        desk.enqueue("recount")
    desk.declared.declare("recount", add_tag)
    desk.enqueue("recount", {"tag": "red"})
    other = Desk(desk.fleet, desk.databases)  # a worker of an earlier version
    assert other.work() == ["acme"]
    assert other.jobs("state") == ["queued"]


@pytest.mark.parametrize("arguments", [{"id": uuid7()}, {"sum": float("nan")}])
def test_arguments_are_json(desk: Desk, arguments: dict[str, Any]) -> None:
    desk.declared.declare("recount", add_tag)
    with pytest.raises((TypeError, ValueError)):
        desk.enqueue("recount", arguments)
    assert desk.jobs("id") == []


def test_a_job_that_is_too_slow_is_told_so(desk: Desk) -> None:
    def dawdle(job: Job) -> None:
        while True:
            job.progress(0.5, "still at it")

    desk.declared.declare("dawdle", dawdle, retries=0, timeout=0.01)
    desk.enqueue("dawdle")
    desk.work()
    assert desk.jobs("state", "error") == [("failed", "The job took longer than 0.01 seconds.")]


def test_a_running_job_is_cancelled_at_its_next_check(desk: Desk) -> None:
    def wait(job: Job) -> None:
        add_tag(job)
        job.session.flush()
        running.cancel_id = job.id
        job.check()

    desk.declared.declare("wait", wait)
    desk.enqueue("wait", {"tag": "red"})
    (running,) = desk.begin()
    running.run()
    assert (desk.jobs("state"), tags(desk)) == (["cancelled"], [])


def test_a_worker_that_is_stopped_gives_the_job_back(desk: Desk) -> None:
    def stop(job: Job) -> None:
        running.stopping = True
        job.check()

    desk.declared.declare("stop", stop)
    desk.enqueue("stop")
    (running,) = desk.begin()
    assert running.run() <= utcnow(), "the next worker comes at once"
    assert desk.jobs("state", "attempts", "owner") == [("queued", 0, None)]


def test_a_worker_that_was_overtaken_leaves_nothing(desk: Desk) -> None:
    """It stalled in the middle of the job, until its lease ran out and another worker had done the job."""

    def stall(job: Job) -> None:
        add_tag(job)
        if job.attempt == 1:
            job.session.flush()
            job.session.connection().execute(update(TenantJob).values(owner="another worker"))

    desk.declared.declare("stall", stall)
    desk.enqueue("stall", {"tag": "red"})
    desk.work()
    assert tags(desk) == []


def test_a_job_whose_worker_died_is_repeated_and_given_up_after_five_deaths(desk: Desk) -> None:
    desk.declared.declare("add", add_tag)
    job_id = desk.enqueue("add", {"tag": "red"})
    desk.set(state=JobState.RUNNING, owner="a dead worker", attempts=4)
    desk.work()
    assert desk.jobs("state", "attempts") == [("done", 5)]
    desk.set(state=JobState.RUNNING, owner="a dead worker", attempts=5)
    desk.make_due()
    desk.work()
    ((state, error),) = desk.jobs("state", "error")
    assert (state, error.partition(".")[0]) == ("failed", "Given up: 5 attempts did not come to an end")
    assert tags(desk) == ["red"]
    with desk.databases.begin(desk.access) as session:
        assert retry_job(session, desk.place, job_id).attempts == 0


def test_old_jobs_are_removed_and_failed_ones_stay(desk: Desk) -> None:
    desk.declared.declare("add", add_tag)
    long_ago = utcnow() - timedelta(days=8)
    for state in JobState:
        desk.enqueue("add", {"tag": state})
    with desk.databases.begin(desk.access) as session:
        for job in session.scalars(select(TenantJob)):
            job.state = json.loads(job.arguments)["tag"]
            job.due_at = job.finished_at = long_ago
            job.owner = "a dead worker"
    desk.work()
    assert sorted(tags(desk)) == ["queued", "running"]
    assert sorted(desk.jobs("state")) == ["done", "done", "failed", "held"]


def test_periodic_jobs_run_in_each_tenant_at_a_moment_of_its_own(desk: Desk) -> None:
    globex = Desk(desk.fleet, desk.databases, "globex")
    globex.declared = desk.declared
    ran: list[str] = []
    desk.declared.declare("nightly", lambda job: ran.append(job.tenant.slug), every="1d")
    assert add_missing_visits(desk.fleet.user_db, timedelta(hours=1)) == 2
    assert sorted(desk.work()) == ["acme", "globex"]
    (mine,), (theirs,) = desk.jobs("due_at"), globex.jobs("due_at")
    assert mine != theirs
    assert all(utcnow() < due_at <= utcnow() + timedelta(days=1) for due_at in (mine, theirs))
    desk.make_due()
    desk.work()
    assert ran == ["acme"]
    assert desk.jobs("state", "due_at", "attempts") == [("queued", mine + timedelta(days=mine < utcnow()), 0)]
    assert desk.jobs("finished_at") != [None]


def test_a_periodic_job_that_fails_is_due_again_and_keeps_its_error(desk: Desk) -> None:
    def fail(job: Job) -> None:
        raise LookupError("nothing there")

    desk.declared.declare("nightly", fail, retries=0, cron="0 3 * * *")
    add_missing_visits(desk.fleet.user_db, timedelta(hours=1))
    desk.work()
    desk.make_due()
    desk.work()
    assert desk.jobs("state", "error", "schedule") == [("queued", "LookupError: nothing there", "cron 0 3 * * *")]
    other = Desk(desk.fleet, desk.databases)
    other.declared.declare("nightly", add_tag, every="2w")
    with desk.fleet.user_db.begin() as session:
        note_visit(session, desk.place.id, utcnow())
    other.work()
    assert desk.jobs("schedule") == ["every 2w"], "the schedule of the declaration holds"


def test_tenants_that_are_not_served_are_visited_when_they_are_again(desk: Desk) -> None:
    desk.declared.declare("add", add_tag)
    desk.enqueue("add", {"tag": "red"})
    served: dict[str, Any] = {"state": "active", "migrating_until": None}
    for refused in ({"state": "suspended"}, {"migrating_until": utcnow() + timedelta(minutes=1)}):
        with desk.fleet.user_db.begin() as session:
            session.execute(update(Tenant).values(refused))
        assert not is_visit_due(desk.fleet.user_db, frozenset())
        assert desk.work() == []
        with desk.fleet.user_db.begin() as session:
            session.execute(update(Tenant).values(served))
            revision = session.scalars(select(Tenant.revision)).first()
            assert claim_visits(session, 1, frozenset({revision, None})) == []
    assert desk.work() == ["acme"]


def test_a_tenant_whose_database_cannot_be_used_is_visited_later(desk: Desk) -> None:
    desk.declared.declare("add", add_tag)
    desk.enqueue("add", {"tag": "red"})
    with desk.fleet.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(server="gone"))
    assert desk.work() == ["acme"]
    assert utcnow() + timedelta(seconds=50) < desk.visit().due_at < utcnow() + timedelta(seconds=61)


def test_a_database_that_has_no_table_of_jobs_yet_is_visited_later(desk: Desk) -> None:
    desk.declared.declare("add", add_tag)
    with desk.databases.begin(desk.access) as session:
        session.connection().exec_driver_sql("DROP TABLE tenant_jobs")
    with pytest.raises(TenantMigrating):
        desk.enqueue("add", {"tag": "red"})
    add_missing_visits(desk.fleet.user_db, timedelta(hours=1))
    assert sorted(desk.work()) == ["acme", "globex"]
    assert utcnow() + timedelta(minutes=50) < desk.visit().due_at
    with desk.databases.begin(desk.access, read_only=True) as session:
        assert list(list_jobs(session)) == []


PLACES = [
    ("a migration", {"epoch": "another"}, False),
    ("a move", {"database": "another"}, False),
    ("a restore in place", {"database": "another", "epoch": "another"}, True),
    ("a clone", {"tenant_id": uuid7()}, True),
]


@pytest.mark.parametrize(("what", "stamp", "held"), PLACES, ids=[what for what, *_ in PLACES])
def test_jobs_that_came_with_a_copy_are_held_until_they_are_released(
    desk: Desk, what: str, stamp: dict[str, Any], held: bool
) -> None:
    desk.declared.declare("add", add_tag)
    desk.declared.declare("nightly", lambda job: None, every="1d")
    desk.enqueue("add", {"tag": "red"})
    desk.work()
    desk.enqueue("add", {"tag": "blue"})
    desk.set(**stamp)
    with desk.fleet.user_db.begin() as session:
        session.execute(update(TenantVisit).values(seen="something else"))
    desk.work()
    assert tags(desk) == (["red"] if held else ["blue", "red"])
    states = dict(desk.jobs("name", "state"))
    assert states["add"] == ("held" if held else "done")
    assert (states["nightly"] == "held") == (what == "a clone"), "a restore does not end what is done each day"
    desk.enqueue("add", {"tag": "green"})
    desk.work()
    assert "green" in tags(desk), "what is queued in the copy itself is not held"
    with desk.databases.begin(desk.access) as session:
        assert len(release_jobs(session, desk.place)) == held + (what == "a clone")
    desk.make_due()
    desk.work()
    assert tags(desk) == ["blue", "green", "red"]


def test_jobs_are_cancelled_and_released_only_where_that_makes_sense(desk: Desk) -> None:
    desk.declared.declare("add", add_tag)
    job_id = desk.enqueue("add", {"tag": "red"})
    with desk.databases.begin(desk.access) as session:
        with pytest.raises(JobRefused, match=r"The job is queued; only a held job can be released\."):
            release_jobs(session, desk.place, job_id)
        assert cancel_job(session, job_id).state == "cancelled"
        with pytest.raises(JobRefused, match=r"The job is cancelled\."):
            cancel_job(session, job_id)
        with pytest.raises(NotFound):
            retry_job(session, desk.place, uuid7())
        with pytest.raises(NotFound):
            cancel_job(session, uuid7())
    desk.work()
    assert tags(desk) == []
