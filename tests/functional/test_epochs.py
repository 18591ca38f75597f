"""A copy of a tenant, and a tenant that was restored: what a client has kept of it is not taken for the present."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.requests import request_backup, request_restore
from tenantapp.fleet.closing.discarding import replaced_databases
from tenantapp.fleet.copying.requests import request_clone
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity import grants
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.foreground import run_now
from tests.installation import Client, Installation
from tests.postgres import postgres_bin


@pytest.fixture
def installation(make_installation: Any, tmp_path: Path) -> Iterator[Installation]:
    """One that really commits, with a store."""
    settings = {"backups.store": str(tmp_path / "backups"), "fleet.patience": "0"}
    if tools := postgres_bin("pginstall18"):
        settings["backups.postgres_bin"] = tools
    with make_installation(**settings) as installation:
        yield installation
        with installation.registry.user_db.begin() as session:
            for operation in replaced_databases(session, get_tenant(session, "acme").id):
                databases_on(installation.registry.servers["main"]).drop(operation.arguments["database"])


def do(installation: Installation, request: Any, **arguments: Any) -> None:
    fleet = installation.registry.fleet
    run_now(fleet, KINDS, partial(request, fleet=fleet, slug="acme", requested_by="local:tests", **arguments))


def test_neither_a_clone_nor_a_restored_tenant_is_taken_for_the_original(installation: Installation) -> None:
    bob = Client(installation.app).sign_in("bob")
    made = bob.post("/nodes", {"title": "acme's"})
    path, tag = f"/nodes/{made.json['id']}", made.headers["ETag"]
    assert bob.get(path, If_None_Match=tag).status_int == 304

    # A clone has the same node at the same version.
    do(installation, request_clone, new_slug="copy")
    with installation.registry.user_db.begin() as session:
        grants.add_grant(session, get_tenant(session, "copy").id, "author", login="bob")
    in_copy = bob.copy()
    in_copy.switch("copy")
    answer = in_copy.get(path, If_None_Match=tag)
    assert (answer.status_int, answer.json["version"]) == (200, 1)
    assert answer.headers["ETag"] != tag
    assert in_copy.patch(path, {"title": "x"}, If_Match=tag).status_int == 412

    # A node of before the restore and another one after it have the same version.
    do(installation, request_backup)
    bob = Client(installation.app).sign_in("bob", "acme")
    before = bob.patch(path, {"title": "before the restore"}, If_Match=tag)
    do(installation, request_restore)
    assert bob.get(path).json["title"] == "acme's"
    after = bob.patch(path, {"title": "after the restore"})
    assert before.json["version"] == after.json["version"] == 2
    refused = bob.patch(path, {"title": "from before"}, If_Match=before.headers["ETag"])
    assert (refused.status_int, refused.json["current"]["title"]) == (412, "after the restore")
    assert bob.get(path, If_None_Match=before.headers["ETag"]).json["title"] == "after the restore"
    assert bob.patch(path, {"title": "now"}, If_Match=after.headers["ETag"]).status_int == 200
