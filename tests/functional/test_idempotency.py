"""A request with an ``Idempotency-Key`` is carried out once, and its answer is repeated."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tenantapp.identity.local_access import local_access
from tenantapp.identity.roles import allow, deny
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import IdempotencyKey
from tenantapp.workspace.models import Node
from tests.installation import Client, Installation

NODE = {"title": "Rocket skates"}


@pytest.fixture
def bob(client: Client) -> Client:
    return client.sign_in("bob", "acme")


def nodes(installation: Installation, slug: str = "acme") -> int:
    return counted(installation, Node, slug)


def counted(installation: Installation, model: Any, slug: str = "acme") -> int:
    with installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, slug)
    with installation.registry.tenant_dbs.begin(access, read_only=True) as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def change_keys(installation: Installation, **values: Any) -> None:
    with installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with installation.registry.tenant_dbs.begin(access) as session:
        session.execute(update(IdempotencyKey).values(**values))


def test_the_answer_is_repeated(installation: Installation, bob: Client) -> None:
    first = bob.post("/nodes", NODE, Idempotency_Key="k1")
    second = bob.post("/nodes", NODE, Idempotency_Key='"k1"')  # as the draft writes it
    assert (first.status_int, second.status_int) == (201, 201)
    assert second.json == first.json
    for name in ("Location", "ETag", "Content-Type", "Cache-Control"):
        assert second.headers[name] == first.headers[name]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert bob.post("/nodes", NODE, Idempotency_Key="k2").json["id"] != first.json["id"]
    assert nodes(installation) == 2


def test_every_unsafe_method_may_carry_one(installation: Installation, bob: Client) -> None:
    path = f"/nodes/{bob.post('/nodes', NODE).json['id']}"
    changed = [bob.patch(path, {"title": "Other"}, Idempotency_Key="p") for _ in range(2)]
    assert len({(answer.status_int, answer.body) for answer in changed}) == 1
    deleted = [bob.delete(path, Idempotency_Key="d") for _ in range(2)]
    assert [answer.status_int for answer in deleted] == [204, 204]
    assert deleted[1].body == b""
    assert bob.get(path, Idempotency_Key="g").status_int == 404
    assert bob.delete(path).status_int == 404


@pytest.mark.parametrize(
    ("path", "body"), [("/nodes", {"title": "Another"}), ("/nodes", {}), ("/tags", {"name": "red"})]
)
def test_another_request_with_the_key_is_refused(bob: Client, path: str, body: Any) -> None:
    assert bob.post("/nodes", NODE, Idempotency_Key="k").status_int == 201
    answer = bob.post(path, body, Idempotency_Key="k")
    # What is wrong in itself is refused for that.
    assert (answer.status_int, answer.json["code"]) == (422, "idempotency_mismatch" if body else "invalid")


def test_a_failed_request_keeps_nothing(installation: Installation, bob: Client) -> None:
    tag = {"name": "red"}
    assert bob.post("/tags", tag).status_int in (201, 403)
    missing = NODE | {"parent_id": "00000000-0000-7000-8000-000000000000"}
    assert bob.post("/nodes", missing, Idempotency_Key="k").status_int == 422
    assert counted(installation, IdempotencyKey) == 0
    assert bob.post("/nodes", NODE, Idempotency_Key="k").status_int == 201


def test_a_key_belongs_to_a_person_and_a_tenant(installation: Installation, client: Client) -> None:
    made = []
    for login, tenant in (("bob", "acme"), ("both", "acme"), ("both", "globex")):
        answer = Client(installation.app).sign_in(login, tenant).post("/nodes", NODE, Idempotency_Key="k")
        assert (answer.status_int, "Idempotency-Replayed" in answer.headers) == (201, False)
        made.append(answer.json["id"])
    assert len(set(made)) == 3
    assert (nodes(installation), nodes(installation, "globex")) == (2, 1)


def test_who_may_no_longer_write_gets_no_answer(installation: Installation, bob: Client) -> None:
    bob.post("/nodes", NODE, Idempotency_Key="k")
    rita = Client(installation.app).sign_in("rita", "acme")
    assert rita.post("/nodes", NODE, Idempotency_Key="k").status_int == 403
    bob.csrf_token = "wrong"
    assert bob.post("/nodes", NODE, Idempotency_Key="k").json["code"] == "csrf_failed"


def test_an_answer_is_repeated_only_for_the_same_permissions(installation: Installation, bob: Client) -> None:
    """Those who may do less may also see less of the answer."""
    first = bob.post("/nodes", NODE, Idempotency_Key="k")
    token = bob.post("/tokens", {"name": "x", "permissions": ["content.create"]}).json["token"]
    answer = Client(installation.app).with_token(token).post("/nodes", NODE, Idempotency_Key="k")
    assert (answer.status_int, answer.json["code"]) == (422, "idempotency_mismatch")
    with installation.registry.user_db.begin() as session:
        deny(session, "author", "content.read")
    answer = bob.post("/nodes", NODE, Idempotency_Key="k")
    assert (answer.status_int, answer.json["code"]) == (422, "idempotency_mismatch")
    with installation.registry.user_db.begin() as session:
        allow(session, "author", "content.read", known={"content.read"})
    assert bob.post("/nodes", NODE, Idempotency_Key="k").json == first.json
    assert nodes(installation) == 1


@pytest.mark.parametrize("key", ["", '""', "k" * 256, '"unclosed', "caf\xe9", "a\tb", '"a"b'])
def test_a_key_that_is_none(installation: Installation, bob: Client, key: str) -> None:
    answer = bob.post("/nodes", NODE, Idempotency_Key=key)
    assert (answer.status_int, answer.json["code"]) == (400, "invalid_idempotency_key")
    assert nodes(installation) == 0
    assert bob.post("/nodes", NODE, Idempotency_Key="k" * 255).status_int == 201


def test_what_does_not_write_to_a_tenant_takes_no_key(bob: Client) -> None:
    answer = bob.patch("/session", {"tenant": "acme"}, Idempotency_Key="k")
    assert (answer.status_int, answer.json["code"]) == (400, "idempotency_unsupported")


def test_a_key_expires_and_expired_ones_are_deleted(installation: Installation, bob: Client) -> None:
    first = bob.post("/nodes", NODE, Idempotency_Key="k")
    change_keys(installation, created_at=utcnow() - timedelta(hours=25))
    assert bob.post("/nodes", NODE, Idempotency_Key="k").json["id"] != first.json["id"]
    change_keys(installation, created_at=utcnow() - timedelta(hours=25))
    bob.post("/nodes", NODE, Idempotency_Key="other")
    assert counted(installation, IdempotencyKey) == 1


def test_a_large_answer_is_not_kept_but_the_request_is_not_repeated(
    installation: Installation, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(installation.registry.app_settings, idempotency_max_answer=100)
    monkeypatch.setattr(installation.registry, "app_settings", small)
    assert bob.post("/nodes", NODE, Idempotency_Key="k").status_int == 201
    answer = bob.post("/nodes", NODE, Idempotency_Key="k")
    assert (answer.status_int, answer.json["code"]) == (409, "answer_not_kept")
    assert nodes(installation) == 1
