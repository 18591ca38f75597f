"""Requests and scripts queue jobs in their own transaction."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url, select

from tenantapp.api.json import Body
from tenantapp.api.views import add_api_view
from tenantapp.mail.messages import JOB
from tenantapp.resources.errors import NotFound
from tenantapp.tenancy.models import TenantJob
from tenantapp.tenancy.request import TenantRequest
from tenantapp.tenancy.user_database import user_database
from tenantapp.work.inline import run_due_jobs
from tenantapp.work.models import TenantVisit
from tenantapp.work.running import Job
from tests.installation import Client, Installation, StatementRecorder
from tests.shop import access_of, app_including

COUNTED: list[Any] = []


class Shelf(Body):
    number: int


def count(job: Job) -> None:
    COUNTED.append((job.tenant.slug, job.arguments["shelf"]))


def queue(request: TenantRequest) -> None:
    """Queue a job."""
    number = request.checked_body.number
    with request.tenant_session.begin_nested():
        request.enqueue("count", {"shelf": number})
    if number == 13:
        raise NotFound("shelf")


def queue_wrongly(request: TenantRequest) -> None:
    """Queue a job where nothing of the tenant may be written."""
    request.enqueue("count", {"shelf": 1})


def write(request: TenantRequest) -> None:
    """Send mail."""
    number = request.checked_body.number
    request.send_mail("ann@example.com", "Hello\n!" if number == 7 else "Hello", "Hello")
    if number == 13:
        raise NotFound("shelf")


def stock(config: Any) -> None:
    config.add_job("count", count)
    for name in ("shelves", "floors", "letters"):
        config.add_route(name, f"/api/v1/{name}")
    add_api_view(
        config, queue, "shelves", "POST", permission="content.create", body=Shelf, answer=None, problems=("not_found",)
    )
    add_api_view(
        *(config, write, "letters", "POST"),
        permission="content.create",
        body=Shelf,
        answer=None,
        problems=("not_found", "mail_not_configured"),
    )
    add_api_view(config, queue_wrongly, "floors", "POST", permission="content.create", writes="user", answer=None)


@pytest.fixture(scope="module")
def stock_apps() -> dict[int, Any]:
    """The applications with these views: one for each installation."""
    return {}


@pytest.fixture
def stocked(installation: Installation, stock_apps: dict[int, Any]) -> Iterator[Installation]:
    if id(installation) not in stock_apps:
        stock_apps[id(installation)] = app_including(installation, stock)
    app = stock_apps[id(installation)]
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(installation.registry, name))
    COUNTED.clear()
    app.registry.mail_transport = installation.mails
    installation.mails.clear()
    original, installation.app = installation.app, app
    yield installation
    installation.app = original


@pytest.fixture
def bob(stocked: Installation) -> Client:
    return Client(stocked.app).sign_in("bob", "acme")


def waiting(installation: Installation) -> list[UUID]:
    with installation.registry.tenant_dbs.begin(access_of(installation), read_only=True) as session:
        return list(session.scalars(select(TenantJob.id)))


def visits(installation: Installation) -> int:
    with installation.registry.user_db.begin(read_only=True) as session:
        return len(session.scalars(select(TenantVisit.tenant_id)).all())


def test_a_request_leaves_its_job_if_it_is_committed(stocked: Installation, bob: Client) -> None:
    assert bob.post("/shelves", {"number": 7}).status_int == 204
    assert (len(waiting(stocked)), visits(stocked), COUNTED) == (1, 1, [])
    assert run_due_jobs(stocked.app.registry) == ["acme"]
    assert COUNTED == [("acme", 7)]
    assert run_due_jobs(stocked.app.registry) == []


def test_a_request_that_is_rolled_back_leaves_none(stocked: Installation, bob: Client) -> None:
    assert bob.post("/shelves", {"number": 13}).status_int == 404
    assert (waiting(stocked), visits(stocked)) == ([], 0)


def test_a_batch_leaves_the_jobs_of_all_its_parts_or_none(stocked: Installation, bob: Client) -> None:
    for numbers, left in (((1, 13), 0), ((1, 2), 2)):
        parts = [{"method": "POST", "path": "/shelves", "body": {"number": number}} for number in numbers]
        assert (bob.post("/batch", {"requests": parts}).status_int == 200) == bool(left)
        assert len(waiting(stocked)) == left
    run_due_jobs(stocked.app.registry)
    assert COUNTED == [("acme", 1), ("acme", 2)]


def test_a_job_costs_a_request_one_statement_and_two_for_the_note(stocked: Installation, bob: Client) -> None:
    databases: list[Any] = [stocked.registry.user_db, stocked.registry.tenant_dbs.for_access(access_of(stocked))]
    factories: Any = [SimpleNamespace(engine=database.connection) for database in databases]
    counted = []
    for _ in range(2):
        with StatementRecorder(*factories) as statements:
            bob.post("/shelves", {"number": 1})
        counted.append([each for each in statements.statements if "tenant_jobs" in each or "tenant_visits" in each])
    first, second = counted
    assert len(first) == 3  # the job, whether a visit is noted, the note
    assert len(second) == 2, "the visit is noted already"


def test_a_request_sends_mail_if_it_is_committed(
    stocked: Installation, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = bob.post("/letters", {"number": 7})
    assert (refused.status_int, refused.json["code"]) == (422, "invalid")
    assert bob.post("/letters", {"number": 13}).status_int == 404
    assert bob.post("/letters", {"number": 1}).status_int == 204
    assert len(stocked.mails) == 0
    run_due_jobs(stocked.app.registry)
    assert [mail["To"] for mail in stocked.mails] == ["ann@example.com"]
    monkeypatch.delitem(stocked.app.registry.jobs._jobs, JOB)
    refused = bob.post("/letters", {"number": 1})
    assert (refused.status_int, refused.json["code"]) == (409, "mail_not_configured")


def test_a_request_that_does_not_write_to_the_tenant_cannot_queue(
    bob: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert bob.post("/floors").status_int == 500
    assert "the job count cannot be queued: this request does not write to the tenant's database" in caplog.text


def test_a_script_queues_in_its_own_transaction(stocked: Installation) -> None:
    registry, access = stocked.app.registry, access_of(stocked, login="bob")
    with registry.tenant_dbs.begin(access) as session:
        registry.enqueue(session, access, "count", {"shelf": 3})
    with registry.tenant_dbs.for_access(access).get_session() as session:
        registry.enqueue(session, access, "count", {"shelf": 4})
        session.rollback()
    run_due_jobs(registry)
    assert COUNTED == [("acme", 3)]


def test_a_job_is_done_later_if_its_visit_could_not_be_noted(stocked: Installation, bob: Client) -> None:
    stocked.app.registry.user_db = user_database(make_url("sqlite+pysqlite:////nowhere/user.sqlite"))
    assert bob.post("/shelves", {"number": 7}).status_int == 204
    assert len(waiting(stocked)) == 1
