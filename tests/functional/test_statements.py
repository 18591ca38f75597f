"""How many statements a request sends."""

from typing import Any

import pytest

from tests.installation import PASSWORD, Client, Installation, StatementRecorder


@pytest.fixture
def recorder(installation: Installation) -> StatementRecorder:
    registry = installation.registry
    Client(installation.app).sign_in("bob").get("/nodes")  # connections made, access prepared
    [entry] = registry.tenant_dbs._entries.values()
    return StatementRecorder(registry.user_db.real, entry.factory.real)


def count(recorder: StatementRecorder, call: Any) -> int:
    before = len(recorder)
    with recorder:
        assert call().status_int < 400
    return len(recorder) - before


def test_statements_per_view(installation: Installation, recorder: StatementRecorder) -> None:
    bob = Client(installation.app).sign_in("bob")
    node = bob.post("/nodes", {"title": "x", "tags": ["a"]}).json
    for number in range(5):
        bob.post("/nodes", {"title": f"{number}", "tags": ["a", "b"]})
    path = f"/nodes/{node['id']}"
    token = bob.post("/tokens", {"name": "x", "permissions": ["content.read"]}).json["token"]
    program = Client(installation.app).with_token(token)
    counts = {
        "access alone": count(recorder, lambda: bob.get("/sessions")) - 1,
        "GET /session": count(recorder, lambda: bob.get("/session")),
        "GET /nodes": count(recorder, lambda: bob.get("/nodes?limit=500")),
        "GET /t/acme/nodes": count(recorder, lambda: bob.get("/t/acme/nodes")),
        "GET /session of a named tenant": count(recorder, lambda: bob.get("/session", X_Tenant="acme")),
        "first GET /nodes with a token": count(recorder, lambda: program.get("/nodes")),
        "GET /nodes with a token": count(recorder, lambda: program.get("/nodes")),
        "GET /nodes/{id}": count(recorder, lambda: bob.get(path)),
        "GET /tags": count(recorder, lambda: bob.get("/tags")),
        "PATCH /nodes/{id}": count(recorder, lambda: bob.patch(path, {"title": "y"})),
        "sign in": count(recorder, lambda: bob.post("/session", {"login": "bob", "password": PASSWORD})),
    }
    assert counts == {
        "access alone": 1,
        "GET /session": 1,
        "GET /nodes": 2,
        "GET /t/acme/nodes": 2,
        "GET /session of a named tenant": 1,
        "first GET /nodes with a token": 3,  # the time of its use is written, at most once a minute
        "GET /nodes with a token": 2,
        "GET /nodes/{id}": 2,
        "GET /tags": 2,
        # access; the node, its tags; the author's name; the update; the node as it is now
        "PATCH /nodes/{id}": 6,
        # the device; the attempt is counted; the hash; the count is forgotten; end the old session; the person, locked,
        # and the tenants; the device is used again; two inserts, of the entries and of the new session; the access
        "sign in": 10,
    }


def test_a_request_that_needs_no_database_asks_none(installation: Installation, recorder: StatementRecorder) -> None:
    client = Client(installation.app)
    assert count(recorder, lambda: client.http.get("/__lbheartbeat__")) == 0
    assert count(recorder, lambda: client.http.get("/__version__")) == 0
