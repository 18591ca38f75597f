"""The jobs of a tenant over HTTP."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tenantapp.sql.ids import uuid7
from tenantapp.work.models import TenantVisit
from tests.functional.operators import add_operator, code, trail
from tests.installation import Client, Installation
from tests.jobs import Desk


@pytest.fixture
def desk(installation: Installation) -> Desk:
    """Queues jobs of acme, and works on them: one kind fails, the other does nothing."""
    registry = installation.registry
    desk = Desk(replace(registry.fleet, user_db=registry.user_db), registry.tenant_dbs)
    desk.declared.declare("fail", failing, retries=0)
    desk.declared.declare("wait", lambda job: None)
    return desk


def failing(job: Any) -> None:
    raise ValueError("no such shelf")


def admin(installation: Installation, login: str = "ada", tenant: str = "acme") -> Client:
    return Client(installation.app).sign_in(login, tenant)


def test_jobs_are_listed_by_state_and_name_in_pages(installation: Installation, desk: Desk) -> None:
    failed = desk.enqueue("fail", {"shelf": 13})
    waiting = [str(desk.enqueue("wait")) for _ in range(3)]
    desk.work()
    ada = admin(installation)
    (shown,) = ada.get("/tenant/jobs?state=failed").json["items"]
    assert (shown["id"], shown["name"], shown["arguments"]) == (str(failed), "fail", {"shelf": 13})
    assert (shown["error"], shown["attempts"]) == ("ValueError: no such shelf", 1)
    assert ada.get(f"/tenant/jobs/{failed}").json == shown
    first = ada.get("/tenant/jobs?name=wait&limit=2").json
    second = ada.get(f"/tenant/jobs?name=wait&limit=2&cursor={first['next']}").json
    assert [each["id"] for each in first["items"] + second["items"]] == waiting[::-1]
    assert second["next"] is None
    assert ada.get("/tenant/jobs?state=lost").json["code"] == "invalid_query"


def test_a_job_that_came_with_a_copy_is_left_to_operators(installation: Installation, desk: Desk) -> None:
    job = desk.enqueue("wait")
    desk.set(tenant_id=uuid7())
    ada, olga = admin(installation), add_operator(installation)
    assert ada.get(f"/tenant/jobs/{job}").json["state"] == "held"
    assert code(ada.post(f"/tenant/jobs/{job}/retry")) == (409, "job_refused")
    assert ada.post(f"/tenant/jobs/{job}/cancel").json["state"] == "cancelled"
    assert code(ada.post(f"/tenant/jobs/{job}/retry")) == (409, "job_refused")
    desk.work()
    assert desk.jobs("state") == ["cancelled"]
    assert olga.post(f"/fleet/tenants/acme/jobs/{job}/retry").json["state"] == "queued"
    desk.work()
    assert desk.jobs("state") == ["done"]


def test_a_job_is_retried_and_cancelled_and_both_are_recorded(installation: Installation, desk: Desk) -> None:
    job = desk.enqueue("fail")
    desk.work()
    ada = admin(installation)
    retried = ada.post(f"/tenant/jobs/{job}/retry")
    assert (retried.status_int, retried.json["state"], retried.json["failures"]) == (200, "queued", 0)
    assert desk.work() == ["acme"], "the retry has noted a visit"
    cancelled = ada.post(f"/tenant/jobs/{job}/cancel")
    assert (cancelled.status_int, cancelled.json.get("state")) == (200, "cancelled"), cancelled.text
    assert code(ada.post(f"/tenant/jobs/{job}/cancel")) == (409, "job_refused")
    assert code(ada.post(f"/tenant/jobs/{uuid7()}/retry")) == (404, "not_found")
    entries = ada.get("/tenant/audit?limit=3").json["items"]
    told = [(each["action"], each["actor"], each["detail"]) for each in entries if each["action"][:4] == "job."]
    assert told == [(action, "ada", {"job": str(job)}) for action in ("job.cancel", "job.retry")]


def test_a_running_job_shows_its_progress_and_is_told_to_stop(installation: Installation, desk: Desk) -> None:
    job = desk.enqueue("wait")
    desk.set(state="running", owner="a visit")
    with installation.registry.user_db.begin() as session:
        visit = session.get_one(TenantVisit, desk.place.id)
        visit.owner, visit.job_id, visit.progress, visit.progress_text = "a visit", job, 0.5, "half"
    ada = admin(installation)
    shown = ada.get(f"/tenant/jobs/{job}").json
    assert (shown["state"], shown["percent"], shown["progress_text"]) == ("running", 50, "half")
    assert ada.post(f"/tenant/jobs/{job}/cancel").json["state"] == "running"
    assert desk.visit().cancel_id == job
    assert code(ada.post(f"/tenant/jobs/{job}/retry")) == (409, "job_refused")


def test_who_may_not_manage_jobs_sees_nothing_of_them(installation: Installation, desk: Desk) -> None:
    job = desk.enqueue("wait", {"to": "ann@example.com"})
    calls = [("GET", ""), ("GET", f"/{job}"), ("POST", f"/{job}/retry"), ("POST", f"/{job}/cancel")]
    for login in ("ed", "rita"):
        person = admin(installation, login)
        for method, path in calls:
            assert code(person.request(method, f"/tenant/jobs{path}")) == (403, "permission_denied")
    gina = admin(installation, "gina", "globex")
    assert gina.get("/tenant/jobs").json["items"] == []
    for method, path in calls[1:]:
        assert code(gina.request(method, f"/tenant/jobs{path}")) == (404, "not_found")
    assert desk.jobs("state") == ["queued"]


def test_operators_manage_the_jobs_of_a_tenant(installation: Installation, desk: Desk) -> None:
    job = desk.enqueue("wait")
    otto = add_operator(installation)
    assert [each["id"] for each in otto.get("/fleet/tenants/acme/jobs?state=queued").json["items"]] == [str(job)]
    assert otto.get("/fleet/tenants/globex/jobs").json["items"] == []
    path = f"/fleet/tenants/acme/jobs/{job}"
    assert otto.post(f"{path}/cancel").json["state"] == otto.get(path).json["state"] == "cancelled"
    assert otto.post(f"{path}/retry").json["state"] == "queued"
    assert code(otto.post(f"/fleet/tenants/globex/jobs/{job}/retry")) == (404, "not_found")
    assert trail(installation) == [("fleet.cancel_job", "acme"), ("fleet.retry_job", "acme")]
    shown = admin(installation).get("/tenant/audit?action=fleet.retry_job").json["items"]
    assert [(each["actor"], each["detail"]) for each in shown] == [(None, {})]
    assert code(otto.get("/fleet/tenants/nobody/jobs")) == (404, "not_found")
    assert code(otto.get("/tenant/jobs"))[0] in (403, 409)
    assert code(admin(installation).get("/fleet/tenants/acme/jobs")) == (403, "operator_required")


def test_the_jobs_of_a_copy_are_shown_as_held(installation: Installation, desk: Desk) -> None:
    job = desk.enqueue("wait")
    desk.set(tenant_id=UUID(int=1))
    assert admin(installation).get(f"/tenant/jobs/{job}").json["state"] == "held"
