"""Workers of jobs, each with threads and connections of its own: killed, two at once, with a slow tenant."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from tenantapp.fleet.copying.requests import request_clone
from tenantapp.identity.models import Tenant
from tenantapp.operations.queue import local_requester
from tenantapp.sql.times import utcnow
from tenantapp.work.models import TenantVisit
from tenantapp.work.running import Job
from tenantapp.work.worker import JobWorker, worker_databases
from tenantapp.workspace.models import Tag
from tests.contract.conftest import Fleet, work
from tests.contract.forks import Hanging
from tests.contract.hanging_job import declared
from tests.jobs import Desk
from tests.shop import access_of


@pytest.fixture
def desk(fleet: Fleet) -> Iterator[Desk]:
    """The tenants acme and globex, and a desk for the first one's jobs."""
    fleet.initialised()
    for slug in ("acme", "globex"):
        fleet.create(slug)
    with worker_databases(fleet.services) as databases:
        desk = Desk(fleet.services, databases)
        desk.declared = declared()
        yield desk


def of_globex(desk: Desk) -> Desk:
    other = Desk(desk.fleet, desk.databases, "globex")
    other.declared = desk.declared
    return other


def tags(desk: Desk) -> list[str]:
    with desk.databases.begin(desk.access, read_only=True) as session:
        return list(session.scalars(select(Tag.name).order_by(Tag.name)))


def wait_until(condition: Callable[[], bool]) -> None:
    """Fails after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def at_work(desk: Desk, **pace: float) -> Iterator[None]:
    """A worker in a thread of its own."""
    stop = Event()
    thread = Thread(target=JobWorker(desk.fleet, desk.databases, desk.declared, **pace).run, args=(stop,))  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_job_of_a_killed_worker_is_repeated_and_done_once(desk: Desk, fleet: Fleet) -> None:
    desk.enqueue("add", {"tag": "blue"})
    desk.enqueue("hang", {"tag": "red"})
    Hanging("tests.contract.hanging_job", json.dumps(fleet.values)).kill()
    assert desk.jobs("name", "state", "attempts") == [("add", "done", 1), ("hang", "running", 1)]
    desk.work_off()
    assert desk.jobs("state") == ["done", "running"], "the lease of the killed worker is not over"
    desk.let_lease_run_out()
    desk.work_off()
    assert desk.jobs("state", "attempts", "failures") == [("done", 1, 0), ("done", 2, 0)]
    assert tags(desk) == ["blue", "red"]


def test_no_job_is_done_twice_by_workers_at_once(desk: Desk) -> None:
    ran: list[Any] = []
    for number in range(20):
        for one in (desk, of_globex(desk)):
            one.enqueue("add", {"tag": f"{number:02}"})
    desk.declared.declare("ran", lambda job: ran.append(job.arguments))
    workers = [Thread(target=desk.work_off) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    desk.work_off()
    # A tag that is added twice would be refused, and its job tried again.
    for one in (desk, of_globex(desk)):
        assert one.jobs("state", "attempts", "failures") == [("done", 1, 0)] * 20
        assert tags(one) == [f"{number:02}" for number in range(20)]


def test_a_slow_tenant_keeps_no_other_waiting(desk: Desk) -> None:
    begun, may_end, other_done = Event(), Event(), Event()

    def wait(job: Job) -> None:
        begun.set()
        assert may_end.wait(60)

    desk.declared.declare("wait", wait)
    desk.declared.declare("tell", lambda job: other_done.set())
    desk.enqueue("wait")
    with at_work(desk):
        assert begun.wait(60)
        of_globex(desk).enqueue("tell")
        assert other_done.wait(60)
        assert desk.jobs("state") == ["running"]
        may_end.set()


def test_a_job_that_does_not_end_loses_its_place_and_leaves_nothing(desk: Desk) -> None:
    may_end = Event()

    def hang_at_first(job: Job) -> None:
        if job.attempt == 1:
            assert may_end.wait(60)
        job.session.add(Tag(name=f"{job.attempt}"))

    desk.declared.declare("hangs", hang_at_first, timeout=0.5)  # the second attempt is quicker, also on a busy machine
    desk.enqueue("hangs")
    JobWorker(desk.fleet, desk.databases, desk.declared, patience=0).run(Event(), until_idle=True)
    assert desk.jobs("state") == ["running"]
    desk.let_lease_run_out()
    desk.work_off()
    may_end.set()
    for thread in threading.enumerate():
        if thread.name == "jobs of acme":
            thread.join()
    assert (desk.jobs("state", "attempts"), tags(desk)) == ([("done", 2)], ["2"])


def test_a_clone_holds_the_jobs_of_its_original(desk: Desk, fleet: Fleet) -> None:
    desk.enqueue("add", {"tag": "red"})
    with fleet.user_db.begin() as session:
        request_clone(session, fleet.services, "acme", "copy", requested_by=local_requester())
    work(fleet.services)
    copy = Desk(desk.fleet, desk.databases, "copy")
    copy.declared = desk.declared
    copy.enqueue("add", {"tag": "green"})
    desk.work_off()
    assert (tags(desk), tags(copy)) == (["red"], ["green"])
    assert copy.jobs("state") == ["held", "done"]


def test_a_job_that_nobody_noted_is_found_when_all_tenants_are_visited(desk: Desk, fleet: Fleet) -> None:
    desk.enqueue("add", {"tag": "red"})
    with fleet.user_db.begin() as session:
        session.execute(delete(TenantVisit))
    desk.work_off()
    assert tags(desk) == ["red"]


def test_progress_is_shown_and_a_running_job_is_cancelled(desk: Desk, fleet: Fleet) -> None:
    running = Event()

    def go_on(job: Job) -> None:
        while True:
            job.progress(0.5, "half")
            running.set()

    desk.declared.declare("go", go_on)
    job_id = desk.enqueue("go")
    with at_work(desk, renew_every=0.01):
        assert running.wait(60)
        wait_until(lambda: desk.visit().progress_text == "half")
        assert (desk.visit().job_id, desk.visit().progress) == (job_id, 0.5)
        with fleet.user_db.begin() as session:
            session.execute(update(TenantVisit).values(cancel_id=job_id))
        wait_until(lambda: desk.jobs("state") == ["cancelled"])


def test_a_running_job_stops_when_its_tenant_is_not_served(desk: Desk, fleet: Fleet) -> None:
    running = Event()

    def go_on(job: Job) -> None:
        while job.attempt == 1:
            running.set()
            job.check()

    desk.declared.declare("go", go_on)
    desk.enqueue("go")
    with at_work(desk, renew_every=0.01):
        assert running.wait(60)
        with fleet.user_db.begin() as session:
            session.execute(update(Tenant).values(migrating_until=utcnow() + timedelta(hours=1)))
        wait_until(lambda: desk.jobs("state", "attempts") == [("queued", 0)])
    assert desk.work() == []


def test_a_serving_process_that_hosts_a_worker_does_jobs(make_installation: Any) -> None:
    done = Event()
    with make_installation(**{"fleet.worker": "1"}) as installation:
        registry = installation.registry
        registry.jobs.declare("tell", lambda job: done.set())
        access = access_of(installation)
        with registry.tenant_dbs.begin(access) as session:
            registry.enqueue(session, access, "tell")
        registry.worker_host.start()
        try:
            assert done.wait(60)
            # Others work beside it: they wait for servers elsewhere, or must not wait for operations.
            assert {"audit trail", "domains"} <= {thread.name for thread in threading.enumerate()}
        finally:
            registry.worker_host.stop()
        assert installation.checkedout() == 0
