"""Backups and copies over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tenantapp.fleet.kinds import KINDS
from tenantapp.operations.worker import Worker
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


def test_clone(kept: Installation) -> None:
    otto = add_operator(kept)
    Client(kept.app).sign_in("ada").post("/nodes", {"title": "copied"})
    answer = otto.post("/fleet/tenants/acme/clone", {"slug": "acme-two", "name": "Two", "without_people": True})
    assert done(kept, otto, answer)["state"] == "succeeded"
    assert otto.get("/fleet/tenants/acme-two").json["name"] == "Two"
    (entry,) = otto.get("/fleet/audit?slug=acme&action=tenant.copied").json["items"]
    assert (entry["actor"], entry["detail"]) == ("otto", {"operation": answer.json["id"], "to": "acme-two"})
    assert code(otto.post("/fleet/tenants/acme/clone", {"slug": "acme-two"}))[0] == 409


def test_what_is_refused(installation: Installation, otto: Client) -> None:
    assert code(otto.post("/fleet/tenants/acme/backups")) == (409, "backup_refused")
    assert code(otto.get("/fleet/tenants/acme/backups")) == (409, "backup_refused")
    assert code(otto.post("/fleet/tenants/acme/restore", {})) == (409, "backup_refused")
    assert code(otto.post("/fleet/tenants/acme/restore", {"name": "x"}))[0] == 422
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
