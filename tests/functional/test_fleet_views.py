"""The fleet over HTTP: for operators alone; and for a tenant's administrators what concerns their own tenant."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from tenantapp.console.query_views import PageLimits
from tenantapp.databases.connections.held_locks import HeldLock
from tenantapp.fleet.bundles.exporting import check_bundle
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.rehearsals import Choice, Rehearsal, RehearsalState
from tenantapp.fleet.migrating.run_record import RunRecord, Stage, StoppedBy
from tenantapp.identity.audit import list_entries
from tenantapp.identity.models import Tenant, User
from tenantapp.identity.tenants import get_tenant, suspend_tenant
from tenantapp.operations.errors import FleetError
from tenantapp.operations.models import Operation
from tenantapp.operations.worker import Worker
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.errors import ServerError
from tests.functional.operators import add_operator, code, trail
from tests.installation import Client, Installation
from tests.ports import free_port
from tests.postgres import postgres_bin

ABSENT = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def otto(installation: Installation) -> Client:
    return add_operator(installation)


class TestOperators:
    def test_need_no_role_and_get_none(self, otto: Client) -> None:
        session = otto.get("/session").json
        assert (session["operator"], session["tenant"], session["permissions"]) == (True, None, [])
        assert otto.get("/fleet/tenants").status_int == 200
        assert otto.switch("acme").json["code"] == "tenant_forbidden"
        for path in ("/nodes", "/members", f"/tenant/operations/{ABSENT}", f"/tenant/exports/{ABSENT}"):
            assert code(otto.get(path)) == (409, "tenant_required")

    def test_are_no_longer_from_the_next_request_on(self, otto: Client, installation: Installation) -> None:
        with installation.registry.user_db.begin() as session:
            session.execute(update(User).where(User.login == "otto").values(operator=False))
        assert code(otto.get("/fleet/tenants")) == (403, "operator_required")

    def test_a_permission_of_a_role_makes_none(
        self, installation: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        with installation.registry.user_db.begin() as session:
            session.execute(text("INSERT INTO role_permissions (role, permission) VALUES ('admin', 'fleet.operate')"))
        ada = Client(installation.app).sign_in("ada")
        assert "fleet.operate" in ada.get("/session").json["permissions"]
        with caplog.at_level(logging.WARNING):
            answer = ada.post("/fleet/tenants", {"slug": "initech"})
        assert code(answer) == (403, "operator_required")
        assert f"Request {answer.json['request_id']}: ada" in caplog.text
        assert trail(installation, "ada") == []

    def test_changes_need_the_csrf_token(self, otto: Client, installation: Installation) -> None:
        otto.csrf_token = ""
        for method, path, body in (
            ("POST", "/fleet/tenants", {"slug": "initech"}),
            ("PATCH", "/fleet/tenants/acme", {"name": "x"}),
            ("DELETE", "/fleet/tenants/acme", None),
            ("POST", "/fleet/query", {"statement": "SELECT 1 AS one"}),
        ):
            assert code(otto.request(method, path, body)) == (403, "csrf_failed")
        assert trail(installation) == []


class TestTenants:
    def test_list(self, otto: Client) -> None:
        page = otto.get("/fleet/tenants?limit=1").json
        assert [item["slug"] for item in page["items"]] == ["acme"]
        assert set(page["items"][0]) == {
            "id", "slug", "name", "state", "state_reason", "server", "database", "revision", "created_at",
            "purge_after", "expires_at", "has_administrator", "last_used_hour",
            "storage_quota", "storage_used", "storage_full", "connection_quota",
        }  # fmt: skip
        rest = otto.get(f"/fleet/tenants?limit=1&cursor={page['next']}").json
        assert ([item["slug"] for item in rest["items"]], rest["next"]) == (["globex"], None)
        otto.patch("/fleet/tenants/globex", {"suspended": True, "reason": "unpaid"})
        for query, slugs in (("state=active", ["acme"]), ("state=suspended&server=main", ["globex"]), ("server=x", [])):
            assert [item["slug"] for item in otto.get(f"/fleet/tenants?{query}").json["items"]] == slugs
        assert code(otto.get("/fleet/tenants?state=closed")) == (400, "invalid_query")

    def test_list_by_words_and_by_revision(self, otto: Client) -> None:
        otto.patch("/fleet/tenants/globex", {"name": "Globex 100%_sure"})
        revision = otto.get("/fleet/tenants/acme").json["revision"]
        for query, slugs in (
            ("q=ACM", ["acme"]),
            ("q=glo+SURE", ["globex"]),
            ("q=glo+acme", []),
            ("q=%25_", ["globex"]),
            ("q=_", ["globex"]),
            ("q=+", ["acme", "globex"]),
            (f"revision={revision}&q=e", ["acme", "globex"]),
            ("revision=nowhere", []),
        ):
            assert [item["slug"] for item in otto.get(f"/fleet/tenants?{query}").json["items"]] == slugs, query
        assert code(otto.get(f"/fleet/tenants?q={'a' * 201}")) == (400, "invalid_query")

    def test_one(self, otto: Client) -> None:
        assert otto.get("/fleet/tenants/acme").json["name"] == "Acme"
        for slug in ("nowhere", "UPPER", "a%00b", "a'b", "acme%0A"):
            assert code(otto.get(f"/fleet/tenants/{slug}")) == (404, "not_found")
        assert code(otto.delete("/fleet/tenants/acme%0A")) == (404, "not_found")
        assert otto.get("/fleet/tenants/acme").json["state"] == "active"

    def test_create(self, otto: Client, installation: Installation) -> None:
        answer = otto.post("/fleet/tenants", {"slug": "initech", "name": "Initech Inc."})
        assert (answer.status_int, answer.json["state"], answer.json["kind"]) == (202, "queued", "create")
        assert answer.json["requested_by"] == "otto"
        assert answer.location.endswith(f"/api/v1/fleet/operations/{answer.json['id']}")
        assert otto.get(f"/fleet/operations/{answer.json['id']}").json == answer.json
        tenant = otto.get("/fleet/tenants/initech").json
        assert (tenant["name"], tenant["state"], tenant["server"]) == ("Initech Inc.", "creating", "main")
        assert code(otto.patch("/fleet/tenants/initech", {"suspended": False})) == (409, "tenant_unfinished")
        assert code(otto.delete("/fleet/tenants/initech")) == (409, "tenant_unfinished")
        assert code(otto.post("/fleet/tenants/initech/migrate", {})) == (409, "tenant_unfinished")
        assert trail(installation) == [("create.request", "initech")]

    @pytest.mark.parametrize(
        ("body", "status", "pointer"),
        [
            ({"slug": "acme"}, 409, None),
            ({"slug": "A"}, 422, "/slug"),
            ({"slug": "x", "name": " "}, 422, "/name"),
            ({"slug": "x", "server": "mars"}, 422, "/server"),
            ({"slug": "x", "administrator": "mars"}, 422, "/administrator"),
            ({"slug": "x", "more": 1}, 422, "/more"),
            ({}, 422, "/slug"),
        ],
    )
    def test_create_badly(
        self, otto: Client, installation: Installation, body: Any, status: int, pointer: str | None
    ) -> None:
        answer = otto.post("/fleet/tenants", body)
        assert answer.status_int == status
        assert [error["pointer"] for error in answer.json["errors"]] == ([pointer] if pointer else [])
        assert [item["slug"] for item in otto.get("/fleet/tenants").json["items"]] == ["acme", "globex"]
        assert trail(installation) == []

    def test_change(self, otto: Client, installation: Installation) -> None:
        both = Client(installation.app).sign_in("both", "acme")
        body = {"slug": "apex", "name": "Apex", "suspended": True, "reason": "unpaid"}
        changed = otto.patch("/fleet/tenants/acme", body)
        assert changed.status_int == 200
        assert {name: changed.json[name] for name in ("slug", "name", "state", "state_reason")} == {
            "slug": "apex", "name": "Apex", "state": "suspended", "state_reason": "unpaid",
        }  # fmt: skip
        assert code(both.get("/nodes")) == (403, "tenant_suspended")
        assert otto.patch("/fleet/tenants/apex", {"suspended": False}).json["state"] == "active"
        assert both.get("/nodes").status_int == 200
        assert otto.patch("/fleet/tenants/apex", {"name": "Acme"}).json["slug"] == "apex"
        assert otto.patch("/fleet/tenants/apex", {}).status_int == 200
        actions = ["tenant.rename", "tenant.suspend", "tenant.resume", "tenant.rename"]
        assert trail(installation) == [(action, "apex") for action in actions]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"name": "New", "slug": "globex"}, 409),
            ({"name": "New", "suspended": True}, 422),
            ({"name": "New", "suspended": True, "reason": " "}, 422),
            ({"name": "New", "reason": "unpaid"}, 422),
            ({"name": None}, 422),
            ({"suspended": "yes", "reason": "x"}, 422),
            ({"server": "main"}, 422),
        ],
    )
    def test_change_all_or_nothing(self, otto: Client, installation: Installation, body: Any, status: int) -> None:
        before = otto.get("/fleet/tenants/acme").json
        assert otto.patch("/fleet/tenants/acme", body).status_int == status
        assert otto.get("/fleet/tenants/acme").json == before
        assert trail(installation) == []

    def test_delete_and_back(self, otto: Client, installation: Installation) -> None:
        assert code(otto.post("/fleet/tenants/acme/undelete")) == (409, "tenant_not_deleted")
        assert code(otto.post("/fleet/tenants/acme/purge")) == (409, "tenant_not_deleted")
        deleted = otto.delete("/fleet/tenants/acme")
        assert (deleted.status_int, deleted.json["state"]) == (200, "deleted")
        assert deleted.json["purge_after"]
        assert otto.delete("/fleet/tenants/acme").json == deleted.json
        for body in ({"name": "x"}, {"suspended": False}, {"suspended": True, "reason": "x"}):
            assert code(otto.patch("/fleet/tenants/acme", body)) == (409, "tenant_deleted")
        assert code(otto.post("/fleet/tenants/acme/migrate", {})) == (409, "tenant_deleted")
        assert otto.post("/fleet/tenants/acme/undelete").json["state"] == "active"
        otto.delete("/fleet/tenants/acme")
        for body in (None, {}, {"without_copy": False}):
            assert code(otto.post("/fleet/tenants/acme/purge", body)) == (409, "copy_required")
        for wrong in ({"without_copy": 1}, {"without_bundle": True}, {"copy": False}):
            assert otto.post("/fleet/tenants/acme/purge", wrong).status_int == 422
        purge = otto.post("/fleet/tenants/acme/purge", {"without_copy": True})
        assert (purge.status_int, purge.json["kind"], purge.json["state"]) == (202, "delete", "queued")
        assert purge.json["arguments"]["copy"] is False
        assert otto.post("/fleet/tenants/acme/purge", {"without_copy": True}).json == purge.json
        assert [action for action, _ in trail(installation)] == [
            "tenant.delete", "tenant.undelete", "tenant.delete", "delete.request",
        ]  # fmt: skip

    def test_migrate(self, otto: Client, installation: Installation) -> None:
        there = otto.post("/fleet/tenants/acme/migrate", {})
        assert (there.status_int, there.json["state"], there.json["progress"]) == (202, "succeeded", 1.0)
        with installation.registry.user_db.begin() as session:
            session.execute(update(Tenant).where(Tenant.slug == "globex").values(revision=None))
        queued = otto.post("/fleet/tenants/globex/migrate", {"to": there.json["arguments"]["to"]})
        assert (queued.status_int, queued.json["state"]) == (202, "queued")
        assert queued.json["arguments"]["to"] == there.json["arguments"]["to"]
        known = there.json["arguments"]["to"]
        for wrong in ("nowhere", "base", "head", "heads", "current", known[:2], known[:-1], f"{known}\n", "+1", ""):
            assert code(otto.post("/fleet/tenants/acme/migrate", {"to": wrong})) == (422, "unknown_revision"), wrong
            adoption = {"slug": "x", "database": "y", "revision": wrong}
            assert code(otto.post("/fleet/adoptions", adoption)) == (422, "unknown_revision"), wrong
        with installation.registry.user_db.begin() as session:
            session.execute(update(Tenant).where(Tenant.slug == "acme").values(revision="f00d"))
        assert code(otto.post("/fleet/tenants/acme/migrate", {})) == (409, "migration_refused")
        assert trail(installation) == [("migrate.request", "acme"), ("migrate.request", "globex")]


class TestOperations:
    def test_list(self, otto: Client) -> None:
        made = otto.post("/fleet/tenants", {"slug": "initech"}).json
        page = otto.get("/fleet/operations?limit=2").json
        assert [item["slug"] for item in page["items"]] == ["initech", "globex"]
        rest = otto.get(f"/fleet/operations?limit=2&cursor={page['next']}").json
        assert ([item["slug"] for item in rest["items"]], rest["next"]) == (["acme"], None)
        for query, expected in (("slug=initech", 1), ("state=succeeded&kind=create", 2), ("kind=import", 0)):
            assert len(otto.get(f"/fleet/operations?{query}").json["items"]) == expected
        assert otto.get("/fleet/operations?state=queued").json["items"] == [made]
        assert (made["steps"], made["step"]) == (list(KINDS["create"].names), None)
        assert code(otto.get("/fleet/operations?cursor=eA")) == (400, "invalid_query")

    def test_are_found_by_the_new_slug_and_by_the_old_one(self, otto: Client) -> None:
        ids = [item["id"] for item in otto.get("/fleet/operations?slug=acme").json["items"]]
        assert otto.patch("/fleet/tenants/acme", {"slug": "apex"}).status_int == 200
        ids.insert(0, otto.post("/fleet/tenants/apex/clone", {"slug": "acme"}).json["id"])
        for slug, expected in (("apex", ids[1:]), ("acme", ids)):
            found = otto.get(f"/fleet/operations?slug={slug}").json["items"]
            assert [item["id"] for item in found] == expected, slug

    def test_one_that_only_waits_for_its_time_says_so(self, otto: Client, installation: Installation) -> None:
        path = f"/fleet/operations/{otto.post('/fleet/tenants', {'slug': 'initech'}).json['id']}"
        assert otto.get(path).json["due_at"] is None
        due = utcnow() + timedelta(days=3)
        ours = update(Operation).where(Operation.slug == "initech")
        for state, shown in (("queued", due), ("running", None)):
            with installation.registry.user_db.begin() as session:
                session.execute(ours.values(state=state, lease_until=due))
            found = otto.get(path).json["due_at"]
            assert (found and datetime.fromisoformat(found)) == shown

    def test_a_worker_that_is_gone(self, otto: Client, installation: Installation) -> None:
        path = f"/fleet/operations/{otto.post('/fleet/tenants', {'slug': 'initech'}).json['id']}"
        queued = otto.get(path).json
        assert (queued["worker"], queued["worker_gone"]) == (None, False)
        for seconds, gone in ((30, False), (-1, True)):
            at_work = {
                "state": "running",
                "lease_owner": "host7:812:beef",
                "lease_until": utcnow() + timedelta(0, seconds),
            }
            with installation.registry.user_db.begin() as session:
                session.execute(update(Operation).where(Operation.slug == "initech").values(at_work))
            running = otto.get(path).json
            assert (running["worker"], running["worker_gone"]) == ("host7:812", gone)

    def test_cancel_and_retry(self, otto: Client, installation: Installation) -> None:
        path = f"/fleet/operations/{otto.post('/fleet/tenants', {'slug': 'initech'}).json['id']}"
        assert code(otto.post(f"{path}/retry")) == (409, "operation_refused")
        cancelled = otto.post(f"{path}/cancel")
        assert (cancelled.status_int, cancelled.json["state"]) == (202, "cancelled")
        assert code(otto.get("/fleet/tenants/initech")) == (404, "not_found")
        assert code(otto.post(f"{path}/cancel")) == (409, "operation_refused")
        assert otto.post(f"{path}/retry").json["state"] == "queued"
        assert otto.get("/fleet/tenants/initech").json["state"] == "creating"
        assert [action for action, _ in trail(installation)] == [
            "create.request", "operation.cancel", "operation.retry",
        ]  # fmt: skip

    def test_a_removal_that_failed_is_retried_without_a_copy(self, otto: Client, installation: Installation) -> None:
        with installation.registry.user_db.begin() as session:
            acme = get_tenant(session, "acme")
            removal, creation = (
                Operation(kind=kind, tenant_id=acme.id, slug="acme", state="failed", requested_by="local:tests")
                for kind in ("delete", "create")
            )
            session.add_all((removal, creation))
            session.flush()
            paths = [f"/fleet/operations/{operation.id}/retry" for operation in (removal, creation)]
        assert code(otto.post(paths[1], {"without_copy": True})) == (409, "operation_refused")
        for wrong in ({"without_copy": 1}, {"copy": False}):
            assert otto.post(paths[0], wrong).status_int == 422
        queued = otto.post(paths[0], {"without_copy": True}).json
        assert (queued["state"], queued["arguments"]) == ("queued", {"copy": False})
        with installation.registry.user_db.begin(read_only=True) as session:
            assert list_entries(session, action="operation.retry")[0].detail["copy"] is False

    def test_absent(self, otto: Client) -> None:
        assert code(otto.get(f"/fleet/operations/{ABSENT}")) == (404, "not_found")
        assert code(otto.post(f"/fleet/operations/{ABSENT}/retry")) == (404, "not_found")
        assert code(otto.post(f"/fleet/operations/{ABSENT}/cancel")) == (404, "not_found")


class TestTheWhole:
    def test_servers(self, otto: Client, engine_name: str) -> None:
        otto.patch("/fleet/tenants/acme", {"suspended": True, "reason": "unpaid"})
        (server,) = otto.get("/fleet/servers").json["items"]
        address = server.pop("address")
        assert ("@" in address, "://" in address) == (False, False), "no credentials"
        assert server == {
            "name": "main",
            "engine": engine_name,
            "default": True,
            "tenants": 2,
            "states": [{"state": "active", "tenants": 1}, {"state": "suspended", "tenants": 1}],
        }
        asked = server | {"address": address, "answers": True, "failure": None}
        assert otto.get("/fleet/servers/main").json == asked
        assert code(otto.get("/fleet/servers/elsewhere")) == (404, "not_found")

    def test_a_server_that_does_not_answer_says_so(
        self, otto: Client, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        main = installation.registry.servers["main"]
        url = main.url.set(port=free_port()) if main.url.host else main.url.set(database="/nowhere/tenants")
        monkeypatch.setitem(installation.registry.servers._servers, "main", replace(main, url=url))
        asked = otto.get("/fleet/servers/main").json
        assert (asked["answers"], asked["tenants"]) == (False, 2)
        assert "nowhere" in asked["failure"] or "refused" in asked["failure"]

    def test_migrations_before_init_has_made_the_table_of_runs(self, otto: Client, installation: Installation) -> None:
        with installation.registry.user_db.begin() as session:
            session.execute(text("DROP TABLE migration_runs"))
        status = otto.get("/fleet/migrations").json
        assert (status["run"], status["states"]) == (None, [{"state": None, "tenants": 2}])

    def test_migrations(self, otto: Client, installation: Installation) -> None:
        status = otto.get("/fleet/migrations").json
        assert status["revisions"] == [{"revision": status["head"], "tenants": 2}]
        assert (status["states"], status["failures"], status["run"]) == ([{"state": None, "tenants": 2}], [], None)
        operation = otto.post("/fleet/tenants/acme/migrate", {}).json
        with installation.registry.user_db.begin() as session:
            failed = update(Operation).where(Operation.kind == "migrate")
            session.execute(failed.values(state="failed", error="No way."))
        record = RunRecord(installation.registry.user_db, status["head"], "local:olga", "host7:123:abc", 4)
        record.begin([Stage("wave 1", 1, failed=1), Stage("rest", 1)])
        locks = (HeldLock("nodes", "AccessExclusiveLock", "reading and writing", 0.5),)
        state, given = RehearsalState.DRIFTED, {"branch": "rehearsal-acme", "duration": 1.0, "locks": locks}
        record.rehearsed(Rehearsal("acme", Choice.LARGEST, 2**20, None, status["head"], state, **given))
        record.end(StoppedBy.FAILED_STAGE)
        status = otto.get("/fleet/migrations").json
        assert {item["state"]: item["tenants"] for item in status["states"]} == {None: 1, "failed": 1}
        assert status["failures"] == [
            {
                "slug": "acme",
                "from": status["head"],
                "to": status["head"],
                "error": "No way.",
                "started_at": operation["started_at"],
            }
        ]
        run = status["run"]
        assert run["started_at"] <= run["seen_at"] == run["ended_at"]
        assert [run[name] for name in ("state", "stopped_by", "to", "requested_by", "host", "jobs")] == [
            *("stopped", "failed_stage", status["head"], "local:olga", "host7", 4),
        ]
        (rehearsal,) = run["rehearsals"]
        assert [rehearsal[name] for name in ("tenant", "chosen", "from", "state", "branch", "duration")] == [
            *("acme", "largest", None, "drifted", "rehearsal-acme", 1.0),
        ]
        assert [lock["table"] for lock in rehearsal["locks"]] == ["nodes"]
        assert run["stages"] == [
            {"name": "wave 1", "tenants": 1, "done": 0, "failed": 1},
            {"name": "rest", "tenants": 1, "done": 0, "failed": 0},
        ]
        assert [point["done"] for point in run["points"]] == [0, 0, 0]

    def test_audit(self, otto: Client, installation: Installation) -> None:
        answer = otto.patch("/fleet/tenants/acme", {"suspended": True, "reason": "unpaid"}, X_Request_ID="request-1")
        otto.patch("/fleet/tenants/globex", {"suspended": True, "reason": "unpaid"}, X_Forwarded_For="6.6.6.6")
        page = otto.get("/fleet/audit?actor=otto&limit=1").json
        assert [item["slug"] for item in page["items"]] == ["globex"]
        (entry,) = otto.get(f"/fleet/audit?actor=otto&limit=1&cursor={page['next']}").json["items"]
        with installation.registry.user_db.begin(read_only=True) as session:
            otto_id = str(session.query(User.id).filter_by(login="otto").scalar())
        assert entry.pop("at").endswith("Z")
        assert entry.pop("id")
        assert entry == {
            "actor": "otto",
            "actor_id": otto_id,
            "action": "tenant.suspend",
            "tenant_id": answer.json["id"],
            "slug": "acme",
            "detail": {"reason": "unpaid"},
            "request_id": "request-1",
            "address": entry["address"],
        }
        assert page["items"][0]["address"] == entry["address"] != "6.6.6.6"
        assert len(otto.get("/fleet/audit?action=tenant.suspend").json["items"]) == 2
        assert len(otto.get("/fleet/audit?slug=acme&action=tenant.suspend").json["items"]) == 1


@pytest.fixture
def real(make_installation: Any, tmp_path: Path) -> Iterator[Installation]:
    """An installation where all is committed, with people and a store of backups."""
    settings = {"backups.store": str(tmp_path / "store"), "backups.keep_exports": "3"}
    if tools := postgres_bin("pginstall18"):
        settings["backups.postgres_bin"] = tools
    with make_installation(**settings) as installation:
        yield installation
        assert installation.checkedout() == 0


def work(installation: Installation) -> None:
    Worker(installation.registry.fleet, KINDS).run(Event(), until_idle=True)


class TestWhatFails:
    """What is wrong with the installation is told by a code, and is no fault of the program."""

    def test_every_error_has_one(self, installation: Installation) -> None:
        problems = installation.registry.problems
        errors, pending = [], [FleetError, ServerError]
        while pending:
            errors.append(pending.pop())
            pending += errors[-1].__subclasses__()
        assert len(errors) > 20
        assert [error for error in errors if problems.of(error.__new__(error)) is None] == []

    def test_the_migrations_are_gone(
        self, otto: Client, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fleet = installation.registry.fleet
        broken = replace(fleet, settings=replace(fleet.settings, migrations_tenant="/nowhere"))
        monkeypatch.setattr(installation.registry, "fleet", broken)
        monkeypatch.setattr(installation.registry, "app_settings", broken.settings)
        assert code(otto.post("/fleet/tenants/acme/migrate", {})) == (500, "history_unusable")
        assert code(otto.get("/fleet/migrations")) == (500, "history_unusable")

    def test_a_server_is_in_the_settings_no_longer(self, otto: Client, installation: Installation) -> None:
        with installation.registry.user_db.begin() as session:
            session.execute(update(Tenant).where(Tenant.slug == "acme").values(server="gone"))
        answer = otto.post("/fleet/tenants/acme/clone", {"slug": "copy"})
        assert code(answer) == (503, "server_unavailable")
        assert answer.json["detail"] == "There is no server gone in the settings."


class TestForReal:
    def test_a_tenant_from_its_making_to_its_end(self, real: Installation) -> None:
        otto = add_operator(real)
        path = f"/fleet/operations/{otto.post('/fleet/tenants', {'slug': 'initech'}).json['id']}"
        work(real)
        assert otto.get(path).json["state"] == "succeeded"
        assert otto.get("/fleet/tenants/initech").json["state"] == "active"
        with real.registry.user_db.begin() as session:
            session.execute(update(Tenant).where(Tenant.slug == "initech").values(revision=None))
        migration = otto.post("/fleet/tenants/initech/migrate", {}).json
        work(real)
        assert otto.get(f"/fleet/operations/{migration['id']}").json["state"] == "succeeded"
        assert otto.get("/fleet/tenants/initech").json["revision"] == migration["arguments"]["to"]
        assert otto.get("/fleet/findings").json == {"items": [], "next": None}
        otto.delete("/fleet/tenants/initech")
        purge = otto.post("/fleet/tenants/initech/purge").json
        work(real)
        assert otto.get(f"/fleet/operations/{purge['id']}").json["state"] == "succeeded"
        assert code(otto.get("/fleet/tenants/initech")) == (404, "not_found")
        actions = [item["action"] for item in otto.get("/fleet/audit?slug=initech").json["items"]]
        assert actions == ["tenant.remove", "delete.request", "tenant.delete", "migrate.request", "create.request"]

    def test_size(self, real: Installation) -> None:
        otto = add_operator(real)
        size = otto.get("/fleet/tenants/acme/size").json["size"]
        assert 20_000 < size < 100_000_000
        otto.patch("/fleet/tenants/acme", {"suspended": True, "reason": "unpaid"})
        assert otto.get("/fleet/tenants/acme/size").status_int == 200
        assert code(Client(real.app).sign_in("ada").get("/fleet/tenants/acme/size")) == (403, "operator_required")
        with real.registry.user_db.begin() as session:
            get_tenant(session, "acme").database = "tenant_elsewhere"
            get_tenant(session, "globex").server = "gone"
        assert otto.get("/fleet/tenants/acme/size").json == {"size": None}
        assert code(otto.get("/fleet/tenants/globex/size")) == (503, "server_unavailable")
        assert code(otto.get("/fleet/tenants/nowhere/size")) == (404, "not_found")

    def test_findings(self, real: Installation) -> None:
        otto = add_operator(real)
        with real.registry.user_db.begin() as session:
            get_tenant(session, "acme").database = "tenant_elsewhere"
        found = otto.get("/fleet/findings").json["items"]
        assert {item["problem"] for item in found} == {"tenant without a database", "database without a tenant"}
        assert all(item["server"] == "main" for item in found)

    def test_query(self, real: Installation) -> None:
        otto = add_operator(real)
        statement = "SELECT count(*) AS nodes FROM nodes"
        answer = otto.post("/fleet/query", {"statement": statement})
        assert answer.json == {
            "items": [
                {"tenant": slug, "columns": ["nodes"], "rows": [[0]], "truncated": False, "failure": None}
                for slug in ("acme", "globex")
            ],
            "next": None,
        }
        page = otto.post("/fleet/query?limit=1", {"statement": statement, "tenants": ["globex", "acme"]}).json
        assert [item["tenant"] for item in page["items"]] == ["acme"]
        page = otto.post(f"/fleet/query?limit=1&cursor={page['next']}", {"statement": statement}).json
        assert ([item["tenant"] for item in page["items"]], page["next"]) == (["globex"], None)
        entries = otto.get("/fleet/audit?action=fleet.query").json["items"]
        assert [entry["slug"] for entry in reversed(entries)] == ["acme", "globex", "acme", "globex"]
        (entry, _) = otto.get("/fleet/audit?slug=acme&action=fleet.query").json["items"]
        assert (entry["actor"], entry["detail"]) == ("otto", {"statement": statement, "rows": 100})
        assert entry["request_id"]

    def test_a_query_only_reads_and_only_so_much(self, real: Installation) -> None:
        otto = add_operator(real)
        for statement in ("DELETE FROM nodes", "SELECT 1 AS a; COMMIT", "nonsense", "SELECT 1 AS a, 2 AS a"):
            items = otto.post("/fleet/query", {"statement": statement}).json["items"]
            assert [item["tenant"] for item in items] == ["acme", "globex"]
            assert all(item["failure"] and not item["rows"] for item in items)
            if statement.startswith("DELETE"):
                assert {item["failure"] for item in items} == {"only one statement is allowed, and it can only read"}
        items = otto.post("/fleet/query", {"statement": "VALUES (1), (2), (3)", "rows": 2}).json["items"]
        assert [(len(item["rows"]), item["truncated"]) for item in items] == [(2, True)] * 2
        for body, status in (
            ({"statement": ""}, 422),
            ({"statement": "SELECT 1", "rows": 1001}, 422),
            ({"statement": "SELECT 1", "timeout": 31}, 422),
            ({"statement": "SELECT 1", "tenants": []}, 422),
            ({"statement": "SELECT 1", "tenants": ["nowhere"]}, 404),
        ):
            assert otto.post("/fleet/query", body).status_int == status

    def test_a_query_goes_on_where_it_had_enough(self, real: Installation) -> None:
        otto = add_operator(real)
        real.registry.fleet_query_limits = PageLimits(seconds=0.0)
        seen: list[str] = []
        path = "/fleet/query"
        while path:
            page = otto.post(path, {"statement": "SELECT 1 AS one"}).json
            seen += [item["tenant"] for item in page["items"]]
            path = f"/fleet/query?cursor={page['next']}" if page["next"] else ""
            assert len(page["items"]) == 1
        assert seen == ["acme", "globex"]

    def test_values_that_json_has_no_form_for(self, real: Installation, engine_name: str) -> None:
        otto = add_operator(real)
        if engine_name == "sqlite":
            statement, row = "SELECT x'ff' AS raw, 9e999 AS most, NULL AS empty", ["ff", "Infinity", None]
        else:
            statement = (
                "SELECT decode('ff', 'hex') AS raw, 1.50 AS price, '[123456789012345678901]'::json AS big,"
                " '\"\\ud800\"'::json AS half"
            )
            row = ["ff", "1.50", "[123456789012345678901]", "\\ud800"]
        items = otto.post("/fleet/query", {"statement": statement}).json["items"]
        assert [item["failure"] or item["rows"] for item in items] == [[row], [row]]

    def test_a_value_that_cannot_be_sent_keeps_nothing_from_the_others(
        self, real: Installation, engine_name: str
    ) -> None:
        otto = add_operator(real)
        Client(real.app).sign_in("ada").post("/nodes", {"title": "odd"})
        odd = "CAST(x'ff' AS text)" if engine_name == "sqlite" else "(repeat('[', 3000) || repeat(']', 3000))::json"
        statement = f"SELECT CASE count(*) WHEN 1 THEN {odd} END AS a FROM nodes"
        acme, globex = otto.post("/fleet/query", {"statement": statement}).json["items"]
        assert acme["failure"]
        assert (globex["failure"], globex["rows"]) == (None, [[None]])

    def test_a_page_has_only_so_many_bytes(self, real: Installation) -> None:
        otto = add_operator(real)
        real.create_tenant("initech")
        real.registry.fleet_query_limits = PageLimits(size=2000)
        statement = f"SELECT '{'x' * 1500}' AS a"
        page = otto.post("/fleet/query", {"statement": statement}).json
        assert [item["tenant"] for item in page["items"]] == ["acme", "globex"]
        rest = otto.post(f"/fleet/query?cursor={page['next']}", {"statement": statement}).json
        assert ([item["tenant"] for item in rest["items"]], rest["next"]) == (["initech"], None)

    def test_a_page_ends_in_time(self, real: Installation) -> None:
        otto = add_operator(real)
        for slug in ("initech", "umbrella", "wonka"):
            real.create_tenant(slug)
        real.registry.fleet_query_limits = PageLimits(seconds=2.0, jobs=2)
        endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS i FROM n"
        begun = monotonic()
        page = otto.post("/fleet/query", {"statement": endless, "timeout": 1.5}).json
        assert monotonic() - begun < 4
        assert [(item["tenant"], item["failure"]) for item in page["items"]] == [
            (slug, "it took longer than 1.5 seconds") for slug in ("acme", "globex")
        ]
        rest = otto.post(f"/fleet/query?cursor={page['next']}", {"statement": "SELECT 1 AS one"}).json
        assert [item["tenant"] for item in rest["items"]] == ["initech", "umbrella", "wonka"]

    def test_one_query_at_a_time(self, real: Installation) -> None:
        """The threads of a process are there for everybody."""
        otto, other = add_operator(real), Client(real.app).sign_in("otto")
        endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS i FROM n"
        with ThreadPoolExecutor() as threads:
            first = threads.submit(otto.post, "/fleet/query", {"statement": endless, "timeout": 2})
            while not real.registry.tenant_dbs.checkedout():
                assert not first.done()
            refused = other.post("/fleet/query", {"statement": "SELECT 1 AS one"})
            assert code(refused) == (503, "busy")
            assert refused.headers["Retry-After"]
            assert len(first.result().json["items"]) == 2
        assert len(otto.get("/fleet/audit?slug=acme&action=fleet.query").json["items"]) == 1
        for statement in ("nonsense", "SELECT 1 AS one"):
            assert other.post("/fleet/query", {"statement": statement}).status_int == 200


class TestExport:
    def test_of_ones_own_tenant(self, real: Installation, tmp_path: Path) -> None:
        ada = Client(real.app).sign_in("ada")
        ada.post("/nodes", {"title": "Anvils", "tags": ["heavy"]})
        answer = ada.post("/tenant/export")
        assert (answer.status_int, answer.json["kind"], answer.json["state"]) == (202, "export", "queued")
        path = f"/tenant/operations/{answer.json['id']}"
        assert answer.location.endswith(path)
        assert ada.get(path).json == answer.json
        assert set(answer.json) == {
            "id", "kind", "state", "progress", "created_at", "started_at", "finished_at",
        }  # fmt: skip
        download = f"/tenant/exports/{answer.json['id']}"
        assert code(ada.get(download)) == (404, "not_found")
        assert code(ada.post("/tenant/export")) == (409, "operation_refused")
        assert ada.get("/tenant/exports").json["items"] == [{**answer.json, "size": None, "kept_until": None}]
        work(real)
        assert ada.get(path).json["state"] == "succeeded"
        bundle = ada.get(download)
        assert (bundle.status_int, bundle.content_type) == (200, "application/octet-stream")
        assert bundle.headers["Content-Disposition"].startswith('attachment; filename="acme-')
        assert int(bundle.headers["Content-Length"]) == len(bundle.body)
        (listed,) = ada.get("/tenant/exports").json["items"]
        assert (listed["id"], listed["size"]) == (answer.json["id"], len(bundle.body))
        kept = datetime.fromisoformat(listed["kept_until"]) - datetime.fromisoformat(listed["finished_at"])
        assert kept == timedelta(days=3)
        assert bundle.headers["Cache-Control"] == "no-store"
        file = tmp_path / "fetched.bundle"
        file.write_bytes(BytesIO(bundle.body).read())
        assert {table.name: table.rows for table in check_bundle(file).tables}["nodes"] == 1
        assert [action for action, _ in trail(real, "ada")] == [
            "export.request", "discard_export.request", "export.download",
        ]  # fmt: skip
        (entry,) = add_operator(real).get("/fleet/audit?slug=acme&action=export.download").json["items"]
        assert (entry["actor"], entry["detail"]) == ("ada", {"operation": answer.json["id"]})
        assert entry["request_id"]

    def test_not_of_anothers(self, real: Installation) -> None:
        ada, gina = Client(real.app).sign_in("ada"), Client(real.app).sign_in("gina")
        export_id = ada.post("/tenant/export").json["id"]
        work(real)
        for path in (f"/tenant/operations/{export_id}", f"/tenant/exports/{export_id}"):
            assert code(gina.get(path)) == (404, "not_found")
            assert ada.get(path).status_int == 200
            assert code(Client(real.app).sign_in("bob").get(path)) == (403, "permission_denied")
        assert gina.get("/tenant/exports").json == {"items": [], "next": None}
        assert (trail(real, "gina"), trail(real, "bob")) == ([], [])

    def test_only_so_many_are_kept(self, real: Installation) -> None:
        ada = Client(real.app).sign_in("ada")
        for _ in range(3):
            assert ada.post("/tenant/export").status_int == 202
            work(real)
        refused = ada.post("/tenant/export")
        assert code(refused) == (409, "operation_refused")
        assert "3 exports" in refused.json["detail"]
        assert Client(real.app).sign_in("gina").post("/tenant/export").status_int == 202
        with real.registry.user_db.begin() as session:
            oldest = session.query(Operation).filter_by(kind="export", slug="acme").order_by(Operation.id).first()
            assert oldest is not None
            assert oldest.finished_at is not None
            oldest.finished_at -= timedelta(days=3)
        assert ada.post("/tenant/export").status_int == 202

    def test_is_removed_in_time(self, real: Installation, tmp_path: Path) -> None:
        ada = Client(real.app).sign_in("ada")
        export_id = ada.post("/tenant/export").json["id"]
        work(real)
        assert ada.get(f"/tenant/exports/{export_id}").status_int == 200
        with real.registry.user_db.begin() as session:
            removal = session.query(Operation).filter_by(kind="discard_export").one()
            assert removal.lease_until is not None
            kept = removal.lease_until - removal.created_at
            assert timedelta(days=2, hours=23) < kept < timedelta(days=3, hours=1)
            removal.lease_until -= timedelta(days=4)
        work(real)
        assert code(ada.get(f"/tenant/exports/{export_id}")) == (404, "not_found")
        assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []

    def test_is_removed_with_its_tenant(self, real: Installation, tmp_path: Path) -> None:
        ada, gina, otto = (
            Client(real.app).sign_in("ada"), Client(real.app).sign_in("gina"), add_operator(real),
        )  # fmt: skip
        for client in (ada, gina, ada):
            client.post("/tenant/export")
            work(real)
        others = gina.get(f"/tenant/exports/{otto.get('/fleet/operations?kind=export').json['items'][1]['id']}")
        otto.delete("/fleet/tenants/acme")
        purge = otto.post("/fleet/tenants/acme/purge").json
        work(real)
        assert otto.get(f"/fleet/operations/{purge['id']}").json["state"] == "succeeded"
        (left,) = (tmp_path / "store" / "exports").rglob("*.bundle")
        assert left.read_bytes() == others.body
        with real.registry.user_db.begin() as session:
            for removal in session.query(Operation).filter_by(kind="discard_export"):
                assert removal.lease_until is not None
                removal.lease_until -= timedelta(days=4)
        work(real)
        states = [item["state"] for item in otto.get("/fleet/operations?kind=discard_export").json["items"]]
        assert states == ["succeeded"] * 3

    def test_what_is_cancelled_leaves_nothing(self, real: Installation, tmp_path: Path) -> None:
        ada, otto = Client(real.app).sign_in("ada"), add_operator(real)
        export_id = ada.post("/tenant/export").json["id"]
        otto.delete("/fleet/tenants/acme")
        work(real)
        operation = otto.get(f"/fleet/operations/{export_id}").json
        assert (operation["state"], operation["error"]) == ("failed", "The tenant acme is deleted.")
        assert not list((tmp_path / "store").rglob("*.bundle"))

    def test_without_a_store(self, installation: Installation) -> None:
        ada = Client(installation.app).sign_in("ada")
        assert code(ada.post("/tenant/export")) == (409, "backup_refused")
        assert trail(installation, "ada") == []

    def test_not_of_a_suspended_tenant(self, installation: Installation) -> None:
        ada = Client(installation.app).sign_in("ada")
        with installation.registry.user_db.begin() as session:
            suspend_tenant(session, "acme", "unpaid")
        assert code(ada.post("/tenant/export")) == (403, "tenant_suspended")


def test_a_view_that_fails_tells_nothing(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is a part of the transaction: it goes with it."""
    otto = add_operator(installation)
    flush = Session.flush

    def fail_at_the_end(session: Session, *arguments: Any) -> None:
        flush(session, *arguments)
        if any(isinstance(row, Tenant) and row.name == "Broken" for row in session.identity_map.values()):
            raise RuntimeError("broken")

    monkeypatch.setattr(Session, "flush", fail_at_the_end)
    assert otto.patch("/fleet/tenants/acme", {"name": "Broken"}).status_int == 500
    monkeypatch.undo()
    assert otto.get("/fleet/tenants/acme").json["name"] == "Acme"
    assert trail(installation) == []
