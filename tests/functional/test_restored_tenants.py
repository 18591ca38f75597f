"""A tenant that is restored while its people are at work: they are served from one database, and then from another."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.requests import request_backup, request_restore
from tenantapp.fleet.closing.discarding import replaced_databases
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.foreground import run_now
from tests.installation import Client, Installation
from tests.postgres import postgres_bin


@pytest.fixture
def installation(make_installation: Any, tmp_path: Path) -> Iterator[Installation]:
    """One that really commits, with a store."""
    settings = {"backups.store": str(tmp_path / "backups"), "connections.timeout": "1"}
    if tools := postgres_bin("pginstall18"):
        settings["backups.postgres_bin"] = tools
    with make_installation(**settings) as installation:
        yield installation
        assert installation.checkedout() == 0, "a connection leaked"
        with installation.registry.user_db.begin() as session:
            kept = replaced_databases(session, get_tenant(session, "acme").id)
            for operation in kept:
                databases_on(installation.registry.servers["main"]).drop(operation.arguments["database"])
        assert len(kept) == 1


def do(installation: Installation, request: Any) -> None:
    fleet = installation.registry.fleet
    run_now(
        fleet,
        KINDS,
        partial(request, fleet=fleet, slug="acme", requested_by="local:tests"),
    )


def titles(client: Client) -> set[str]:
    return {node["title"] for node in client.get("/nodes?limit=500").json["items"]}


def test_people_who_write_meanwhile(installation: Installation) -> None:
    client, other = (Client(installation.app).sign_in(login) for login in ("bob", "gina"))
    assert client.post("/nodes", {"title": "kept"}).status_int == 201
    do(installation, request_backup)
    assert client.post("/nodes", {"title": "after the backup"}).status_int == 201
    assert titles(client) == {"kept", "after the backup"}
    over, answers, others = Event(), [], []

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            answers.append((number, client.post("/nodes", {"title": f"n{number}"})))
            others.append(other.get("/nodes").status_int)

    writing = Thread(target=write)
    writing.start()
    do(installation, request_restore)
    over.set()
    writing.join()
    assert {answer.status_int for _, answer in answers} <= {201, 503}
    assert {answer.json.get("code") for _, answer in answers if answer.status_int == 503} <= {
        "tenant_migrating",
        "tenant_unavailable",
    }
    assert set(others) == {200}
    # What was acknowledged since the switch is there, and nothing from before but what the backup had.
    found = titles(client)
    assert "kept" in found
    assert "after the backup" not in found
    written = [number for number, answer in answers if answer.status_int == 201]
    there = sorted(int(title[1:]) for title in found - {"kept"})
    assert there == written[len(written) - len(there) :]
    assert client.post("/nodes", {"title": "afterwards"}).status_int == 201
    assert titles(client) == found | {"afterwards"}
