"""Requests with the same ``Idempotency-Key`` at once, and on databases that cannot keep answers yet."""

import threading
from typing import Any

from alembic import command
from sqlalchemy import select

from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.identity.local_access import local_access
from tenantapp.tenancy.models import Change, IdempotencyKey
from tenantapp.workspace.models import Node
from tests.installation import Client, Installation

NODE = {"title": "Rocket skates"}
TIMES = 20


def test_many_at_once_make_one_row(real_installation: Installation) -> None:
    page = Client(real_installation.app).sign_in("bob", "acme")
    answers: list[Any] = []
    start = threading.Barrier(TIMES, timeout=60)

    def send(client: Client) -> None:
        start.wait()
        answers.append(client.post("/nodes", NODE, Idempotency_Key="once"))

    threads = [threading.Thread(target=send, args=(page.copy(),)) for _ in range(TIMES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer.json["code"] for answer in answers if answer.status_int != 201]
    assert len(answers) == TIMES
    # A process has few connections, so some may find none.
    assert set(refused) <= {"idempotency_running", "busy", "tenant_unavailable"}
    again = page.post("/nodes", NODE, Idempotency_Key="once")
    assert {answer.json["id"] for answer in (*answers, again) if answer.status_int == 201} == {again.json["id"]}
    with real_installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with real_installation.registry.tenant_dbs.begin(access, read_only=True) as session:
        (node,) = session.scalars(select(Node.id))
        assert str(node) == again.json["id"]
        assert len(session.scalars(select(IdempotencyKey.key)).all()) == 1
        (change,) = session.execute(select(Change.row_id, Change.person_name, Change.kind))
        assert tuple(change) == (node, "Bob", "created")


def test_a_database_that_is_not_migrated_yet(real_installation: Installation) -> None:
    """A new version of the program, and the database of an old one."""
    registry = real_installation.registry
    with registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "globex")
    target = tenant_target(registry.fleet, access.require_tenant(), record=True)
    run_command(target, lambda config: command.downgrade(config, "8b2e64d1c05f"))
    page = Client(real_installation.app).sign_in("gina", "globex")
    node = page.post("/nodes", NODE)
    assert node.status_int == 201
    assert page.patch(f"/nodes/{node.json['id']}", {"title": "Other"}).status_int == 200
    refused = page.post("/nodes", NODE, Idempotency_Key="k")
    assert (refused.status_int, refused.json["code"]) == (503, "tenant_migrating")
    run_command(target, lambda config: command.upgrade(config, "head"))
    assert page.post("/nodes", NODE, Idempotency_Key="k").status_int == 201
    assert page.post("/nodes", NODE, Idempotency_Key="k").headers["Idempotency-Replayed"] == "true"
