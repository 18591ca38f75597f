"""A copy of a tenant, and a tenant that was restored: what a client has kept of it is not taken for the present."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tenantapp.databases.histories.histories import bundled, head_revision
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.requests import request_backup, request_restore
from tenantapp.fleet.closing.discarding import replaced_databases
from tenantapp.fleet.copying.requests import request_clone, request_move
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.kind import request_migration
from tenantapp.identity import grants
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.foreground import run_now
from tests.follower import Follower, Unavailable
from tests.installation import Client, Installation
from tests.postgres import postgres_bin


@pytest.fixture
def installation(make_installation: Any, tmp_path: Path) -> Iterator[Installation]:
    """One that really commits, with a store."""
    settings = {
        "backups.store": str(tmp_path / "backups"),
        "servers.files": f"sqlite+pysqlite:///{tmp_path}/files/",
        "fleet.patience": "0",
    }
    if tools := postgres_bin("pginstall18"):
        settings["backups.postgres_bin"] = tools
    with make_installation(**settings) as installation:
        yield installation
        with installation.registry.user_db.begin() as session:
            for operation in replaced_databases(session, get_tenant(session, "acme").id):
                databases_on(installation.registry.servers["main"]).drop(operation.arguments["database"])


def do(installation: Installation, request: Any, fleet: Fleet | None = None, **arguments: Any) -> None:
    fleet = fleet or installation.registry.fleet
    run_now(fleet, KINDS, partial(request, fleet=fleet, slug="acme", requested_by="local:tests", **arguments))


REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "feedc0de0001", "{head}"


def upgrade():
    op.add_column("nodes", sa.Column("more", sa.Integer))
"""


def with_revision(fleet: Fleet, directory: Path) -> Fleet:
    """The fleet under settings by which the tenants' history has one more revision."""
    history = shutil.copytree(bundled("tenant"), directory, ignore=shutil.ignore_patterns("__pycache__"))
    text = REVISION.format(head=head_revision(fleet.settings, "tenant"))
    (directory / "versions" / "feedc0de0001_more.py").write_text(text)
    return replace(fleet, settings=replace(fleet.settings, migrations_tenant=str(history)))


def follow_during(follower: Follower, writer: Client, work: Callable[[], None]) -> None:
    """Write and follow while this work is done, and afterwards; the copy has to be exact in the end."""
    working = threading.Thread(target=work)
    working.start()
    for number in count():
        if number > 4 and not working.is_alive():
            break
        made = writer.post("/nodes", {"title": f"{number}", "tags": ["a"]})
        if made.status_int == 201 and number % 3 == 0:
            writer.delete(f"/nodes/{made.json['id']}")
        with suppress(Unavailable):
            follower.follow()
    working.join()
    assert writer.post("/nodes", {"title": "last"}).status_int == 201
    follower.follow()
    assert follower.is_exact()


def test_neither_tags_nor_cursors_are_taken_for_those_of_another_content(
    installation: Installation, tmp_path: Path
) -> None:
    """Who follows the changes misses none, or is told to read all again, wherever the database goes."""
    bob = Client(installation.app).sign_in("bob")
    follower = Follower(Client(installation.app).sign_in("rita"))
    made = bob.post("/nodes", {"title": "acme's"})
    path, tag = f"/nodes/{made.json['id']}", made.headers["ETag"]
    assert bob.get(path, If_None_Match=tag).status_int == 304

    # A clone has the same node at the same version, and its changes at the same positions.
    follow_during(follower, bob, lambda: do(installation, request_clone, new_slug="copy"))
    assert follower.begun == 1, "acme's own database is the same"
    with installation.registry.user_db.begin() as session:
        grants.add_grant(session, get_tenant(session, "copy").id, "author", login="bob")
    in_copy = bob.copy()
    in_copy.switch("copy")
    answer = in_copy.get(path, If_None_Match=tag)
    assert (answer.status_int, answer.json["version"]) == (200, 1)
    assert answer.headers["ETag"] != tag
    assert in_copy.patch(path, {"title": "x"}, If_Match=tag).status_int == 412
    assert in_copy.get(f"/changes?since={follower.cursor}").json["code"] == "changes_gone"

    # A node of before the restore and another one after it have the same version.
    do(installation, request_backup)
    bob = Client(installation.app).sign_in("bob", "acme")
    before = bob.patch(path, {"title": "before the restore"}, If_Match=tag)
    follow_during(follower, bob, lambda: do(installation, request_restore))
    assert follower.begun == 2
    assert bob.get(path).json["title"] == follower.nodes[made.json["id"]]["title"] == "acme's"
    after = bob.patch(path, {"title": "after the restore"})
    assert before.json["version"] == after.json["version"] == 2
    refused = bob.patch(path, {"title": "from before"}, If_Match=before.headers["ETag"])
    assert (refused.status_int, refused.json["current"]["title"]) == (412, "after the restore")
    assert bob.get(path, If_None_Match=before.headers["ETag"]).json["title"] == "after the restore"
    assert bob.patch(path, {"title": "now"}, If_Match=after.headers["ETag"]).status_int == 200

    fleet = with_revision(installation.registry.fleet, tmp_path / "history")
    follow_during(follower, bob, lambda: do(installation, request_migration, fleet))
    assert follower.begun == 3, "a migration may change any row"
    follow_during(follower, bob, lambda: do(installation, request_move, fleet, server="files"))
    assert follower.begun == 3, "the content is the same in the other place"
    with installation.registry.user_db.begin(read_only=True) as session:
        acme = get_tenant(session, "acme")
        assert (acme.server, acme.revision) == ("files", "feedc0de0001")
