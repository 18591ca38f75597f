"""Backups and copies over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import delete, update

from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.querying.newer_changes import newer_changes
from tenantapp.fleet.querying.parallel import local_access_to
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.worker import Worker
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import Change, ChangeCounter
from tests.functional.operators import add_operator, code, trail
from tests.installation import Client, Installation
from tests.postgres import postgres_bin


@pytest.fixture
def kept(real_installation: Installation, tmp_path: Path) -> Iterator[Installation]:
    """An installation that has a store for backups, and the tools."""
    installation = real_installation
    fleet = installation.registry.fleet
    settings = replace(fleet.settings, backups_store=str(tmp_path), backups_postgres_bin=postgres_bin("pginstall18"))
    installation.registry.fleet = replace(fleet, settings=settings)
    yield installation
    installation.registry.fleet = fleet


@pytest.fixture
def otto(installation: Installation) -> Client:
    return add_operator(installation)


def done(installation: Installation, client: Client, answer: Any) -> Any:
    """What became of an operation when a worker was there."""
    assert answer.status_int == 202, answer.json
    Worker(installation.registry.fleet, KINDS).run(Event(), until_idle=True)
    operation = client.get(answer.headers["Location"].removeprefix("http://localhost").removeprefix("/api/v1")).json
    assert operation["id"] == answer.json["id"]
    return operation


def test_backup_and_restore(kept: Installation) -> None:
    otto = add_operator(kept)
    ada = Client(kept.app).sign_in("ada")
    node = ada.post("/nodes", {"title": "kept"}).json
    assert otto.get("/fleet/tenants/acme/backups").json == {"items": [], "next": None}
    assert done(kept, otto, otto.post("/fleet/tenants/acme/backups"))["state"] == "succeeded"
    (backup,) = otto.get("/fleet/tenants/acme/backups").json["items"]
    assert ada.get("/tenant/backups").json["items"] == [backup]
    ada.post("/nodes", {"title": "later"})
    answer = otto.post("/fleet/tenants/acme/restore", {"backup": backup["id"], "as": "acme-then"})
    assert done(kept, otto, answer)["state"] == "succeeded"
    assert otto.get("/fleet/tenants/acme-then").json["state"] == "active"
    before = otto.get("/fleet/tenants/acme").json["database"]
    assert done(kept, otto, otto.post("/fleet/tenants/acme/restore", {}))["state"] == "succeeded"
    assert otto.get("/fleet/tenants/acme").json["database"] != before
    assert [found["id"] for found in ada.get("/nodes").json["items"]] == [node["id"]]
    assert trail(kept) == [
        ("backup.request", "acme"),
        ("restore_as.request", "acme-then"),
        ("tenant.copied", "acme"),
        ("restore.request", "acme"),
    ]


def test_a_restore_says_before_what_it_would_lose(kept: Installation) -> None:
    otto, ada = add_operator(kept), Client(kept.app).sign_in("ada")
    path = "/fleet/tenants/acme/newer"
    assert code(otto.get(path)) == (409, "backup_refused")  # no backup yet
    old = ada.post("/nodes", {"title": "old"}).json
    done(kept, otto, otto.post("/fleet/tenants/acme/backups"))
    (backup,) = otto.get("/fleet/tenants/acme/backups").json["items"]
    assert otto.get(path).json == {"backup": backup, "tables": [], "last_at": None, "complete": True}
    ada.patch(f"/nodes/{old['id']}", {"title": "changed"})
    ada.patch(f"/nodes/{old['id']}", {"title": "changed again"})
    ada.post("/nodes", {"title": "new"})
    newer = otto.get(f"{path}?backup={backup['id']}").json
    assert (newer["backup"], newer["complete"]) == (backup, True)
    assert {each["table"]: each["rows"] for each in newer["tables"]} == {"nodes": 2}
    assert newer["last_at"] > backup["created_at"]
    otto.patch("/fleet/tenants/acme", {"suspended": True, "reason": "unpaid"})
    assert otto.get(path).json == newer
    assert code(otto.get(f"{path}?backup=nowhere")) == (404, "not_found")
    assert code(ada.get(path)) == (403, "operator_required")


def test_what_is_newer_may_be_more_than_the_log_can_tell(kept: Installation) -> None:
    ada = Client(kept.app).sign_in("ada")
    begin = utcnow()
    for title in ("one", "two", "three"):
        ada.post("/nodes", {"title": title})
    with kept.registry.user_db.begin(read_only=True) as session:
        place = place_of(get_tenant(session, "acme"))

    def newer(since: datetime, most: int) -> tuple[dict[str, int], bool]:
        found = newer_changes(kept.registry.tenant_dbs, place, since, most)
        return found.tables, found.complete

    assert newer(begin, 10) == ({"nodes": 3}, True)
    assert newer(begin, 3) == ({"nodes": 3}, True)
    assert newer(begin, 2) == ({"nodes": 2}, False)
    assert newer(utcnow(), 2) == ({}, True)
    with kept.registry.tenant_dbs.for_access(local_access_to(place)).begin() as session:
        session.execute(delete(Change))
        session.execute(update(ChangeCounter).values(removed=ChangeCounter.position))
    assert newer(begin, 10) == ({}, False)


def test_clone(kept: Installation) -> None:
    otto = add_operator(kept)
    Client(kept.app).sign_in("ada").post("/nodes", {"title": "copied"})
    body = {"slug": "acme-two", "name": "Two", "without_people": True, "expires_in": 3600}
    answer = otto.post("/fleet/tenants/acme/clone", body)
    assert done(kept, otto, answer)["state"] == "succeeded"
    assert otto.get("/fleet/tenants/acme-two").json["name"] == "Two"
    (entry,) = otto.get("/fleet/audit?slug=acme&action=tenant.copied").json["items"]
    assert (entry["actor"], entry["detail"]) == ("otto", {"operation": answer.json["id"], "to": "acme-two"})
    assert code(otto.post("/fleet/tenants/acme/clone", {"slug": "acme-two"}))[0] == 409
    expires(otto, "/fleet/tenants/acme-two")


def expires(otto: Client, path: str) -> None:
    """The tenant is a branch, and made one that is not."""
    first = otto.get(path).json["expires_at"]
    assert otto.patch(path, {"expires_in": 7200}).json["expires_at"] > first
    other = {"slug": "another"}
    assert code(otto.patch(path, other)) == (409, "tenant_expires")
    kept = otto.patch(path, other | {"expires_in": None}).json
    assert (kept["slug"], kept["expires_at"]) == ("another", None)
    path = path.replace("acme-two", "another")
    refused = otto.patch(path, {"name": "Other", "expires_in": 7200})
    assert (code(refused), refused.json["errors"][0]["pointer"]) == ((422, "invalid"), "/expires_in")
    assert otto.get(path).json["name"] == "Two"
    for wrong in (0, 3599, 86400 * 366, "7d", 1.5):
        body = {"slug": "other", "expires_in": wrong}
        assert code(otto.post("/fleet/tenants/acme/clone", body)) == (422, "invalid")


def test_what_is_refused(installation: Installation, otto: Client) -> None:
    assert code(otto.post("/fleet/tenants/acme/backups")) == (409, "backup_refused")
    assert code(otto.get("/fleet/tenants/acme/backups")) == (409, "backup_refused")
    assert code(otto.post("/fleet/tenants/acme/restore", {})) == (409, "backup_refused")
    assert code(otto.post("/fleet/tenants/acme/restore", {"name": "x"}))[0] == 422
    then = "2999-01-31T10:00:00Z"
    assert code(otto.post("/fleet/tenants/acme/restore", {"at": then})) == (409, "backup_refused")
    assert code(otto.post("/fleet/tenants/acme/restore", {"at": then, "backup": "latest"}))[0] == 422
    assert code(otto.post("/fleet/tenants/acme/restore", {"at": "2026-01-31T10:00:00"}))[0] == 422
    assert code(otto.post("/fleet/tenants/acme/move", {"server": "nowhere"})) == (422, "invalid")
    assert code(otto.post("/fleet/tenants/acme/move", {"server": "main"}))[0] == 409
    assert code(otto.post("/fleet/tenants/nobody/clone", {"slug": "x"}))[0] == 404
    assert code(otto.post("/fleet/adoptions", {"slug": "a'; DROP", "database": "x"}))[0] == 422
    assert code(otto.post("/fleet/adoptions", {"slug": "x", "database": ""}))[0] == 422
    assert trail(installation) == []


def test_a_file_is_adopted_from_the_servers_directory_only(kept: Installation) -> None:
    otto = add_operator(kept)
    for name in ("/etc/passwd", "../users.sqlite", ".."):
        answer = otto.post("/fleet/adoptions", {"slug": "old", "database": name})
        if answer.status_int == 202:  # PostgreSQL: there is no database of such a name
            assert done(kept, otto, answer)["state"] == "failed"
        else:
            assert code(answer) == (422, "invalid")
    assert otto.get("/fleet/tenants/old").status_int == 404


def test_they_are_for_operators(kept: Installation) -> None:
    ada = Client(kept.app).sign_in("ada")
    for path, body in (
        ("/fleet/tenants/acme/backups", None),
        ("/fleet/tenants/acme/restore", {}),
        ("/fleet/tenants/acme/clone", {"slug": "x"}),
        ("/fleet/tenants/acme/move", {"server": "main"}),
        ("/fleet/adoptions", {"slug": "x", "database": "y"}),
    ):
        assert code(ada.post(path, body)) == (403, "operator_required")
    assert code(Client(kept.app).sign_in("bob").get("/tenant/backups"))[0] == 403
