"""A batch is carried out as a whole, or not at all."""

from typing import Any

import pytest

from tenantapp.sql.ids import uuid7
from tests.installation import Client, Installation, StatementRecorder

FIRST = {"title": "First"}


@pytest.fixture
def bob(client: Client) -> Client:
    return client.sign_in("bob", "acme")


def part(method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """``If_Match="..."`` becomes the header ``If-Match``."""
    made: dict[str, Any] = {"method": method, "path": path}
    if body is not None:
        made["body"] = body
    if headers:
        made["headers"] = {name.replace("_", "-"): value for name, value in headers.items()}
    return made


def send(client: Client, *parts: Any, start: str = "", **headers: str) -> Any:
    return client.post(f"{start}/batch", {"requests": list(parts)}, **headers)


def titles(client: Client) -> list[str]:
    return [node["title"] for node in client.get("/nodes").json["items"]]


def problem(answer: Any) -> tuple[int, str, int | None]:
    return answer.status_int, answer.json["code"], answer.json.get("part")


def test_every_part_has_its_answer(bob: Client) -> None:
    row = str(uuid7())
    answer = send(
        bob,
        part("PUT", f"/nodes/{row}", FIRST, If_None_Match="*"),
        part("POST", "/nodes", {"title": "Child", "parent_id": row, "tags": ["a"]}),
        part("PATCH", f"/nodes/{row}", {"title": "Renamed"}),
        part("GET", "/nodes?tag=a"),
        part("GET", f"/nodes/{row}"),
        part("GET", "/tags"),
    )
    assert answer.status_int == 200, answer.text
    put, post, patch, found, read, tags = answer.json["responses"]
    assert [each["status"] for each in answer.json["responses"]] == [201, 201, 200, 200, 200, 200]
    assert put["headers"]["Location"] == f"http://localhost/api/v1/nodes/{row}"
    assert patch["headers"] == {"ETag": read["headers"]["ETag"]}
    assert patch["headers"]["ETag"] != put["headers"]["ETag"]
    assert patch["body"] == read["body"] == bob.get(f"/nodes/{row}").json
    assert found["body"]["items"] == [post["body"]]
    assert [tag["name"] for tag in tags["body"]["items"]] == ["a"]


def test_a_part_finds_what_was_changed_by_filter(bob: Client) -> None:
    """The rows that an earlier part has loaded are read again."""
    node = bob.post("/nodes", FIRST).json
    answer = send(
        bob,
        part("PATCH", f"/nodes/{node['id']}", {"title": "Second", "status": "draft"}),
        part("PATCH", "/nodes?status=draft", {"status": "published"}),
        part("PATCH", f"/nodes/{node['id']}", {"body": "More"}),
        part("DELETE", f"/nodes/{node['id']}"),
    )
    assert [each["status"] for each in answer.json["responses"]] == [200, 200, 200, 204]
    changed = answer.json["responses"][2]["body"]
    assert (changed["title"], changed["status"], changed["body"]) == ("Second", "published", "More")
    assert answer.json["responses"][3] == {"status": 204, "headers": {}, "body": None}
    assert titles(bob) == []


def test_conditions_of_a_part(bob: Client) -> None:
    made = bob.post("/nodes", FIRST)
    path, tag = f"/nodes/{made.json['id']}", made.headers["ETag"]
    known = send(bob, part("GET", path, If_None_Match=tag)).json["responses"][0]
    assert known == {"status": 304, "headers": {"ETag": tag}, "body": None}
    lost = send(bob, part("PATCH", path, {"title": "x"}, If_Match=tag), part("DELETE", path, If_Match=tag))
    assert problem(lost) == (412, "version_mismatch", 1)
    assert lost.json["current"]["title"] == "x"  # the row as the part before had left it
    assert bob.get(path).headers["ETag"] == tag


FAILING = [
    (part("POST", "/nodes", {"title": ""}), (422, "invalid")),
    (part("POST", "/nodes"), (400, "invalid_json")),
    (part("POST", "/nodes", {"title": "x", "parent_id": str(uuid7())}), (422, "invalid")),
    (part("GET", f"/nodes/{uuid7()}"), (404, "not_found")),
    (part("GET", "/nothing"), (404, "not_found")),
    (part("GET", "/"), (404, "not_found")),
    (part("GET", "/nodes/%0A"), (404, "not_found")),
    (part("GET", "/nodes%0A"), (404, "not_found")),
    (part("GET", "/nodes/%252e%252e/session"), (404, "not_found")),
    (part("PUT", "/nodes", {}), (405, "method_not_allowed")),
    (part("GET", "/nodes", {}), (400, "unexpected_body")),
    (part("GET", "/nodes?nothing=1"), (400, "invalid_query")),
    (part("GET", "/members"), (403, "permission_denied")),
]
BODY = {"login": "bob", "tenant": "acme"}
BEYOND = [
    *(part("GET", path) for path in ("/openapi.json", "/sessions", "/session", "/fleet/tenants")),
    *(part("POST", path, BODY) for path in ("/session", "/tokens", "/users", "/service-accounts", "/members")),
    *(part("POST", path, BODY) for path in ("/batch", "/b%61tch", "/tenant/export")),
    part("DELETE", "/session"),
    *(part("GET", path) for path in ("/t/globex/nodes", "/t/globex", "/t", "/%74/globex/nodes", "/t%2fglobex%2fnodes")),
    *(part("GET", path) for path in ("//nodes", "/nodes//x", "//globex.example/nodes", "http://localhost/nodes")),
    *(part("GET", path) for path in ("/../nodes", "/nodes/%2e%2e/session", "/./nodes", "/nodes/..", "nodes", "")),
    *(
        part("GET", path)
        for path in ("/nodes#x", "/nodes x", "/nodes\r\nX-Tenant: globex", "/n\xf6des", "/%ff", "/nodes?x=%ff", "/\\..")
    ),
    part("GET", "/" + "x" * 8000),
]


def test_a_part_that_fails_undoes_all_and_is_named(bob: Client) -> None:
    for failing, expected in FAILING:
        answer = send(bob, part("POST", "/nodes", FIRST), failing, part("POST", "/nodes", FIRST))
        assert problem(answer) == (*expected, 1), answer.text
        if answer.status_int == 405:
            assert answer.headers["Allow"] == "DELETE, GET, HEAD, PATCH, POST"
        if expected == (422, "invalid"):
            assert answer.json["errors"][0]["pointer"] in ("/title", "/parent_id")
        assert titles(bob) == []


def test_the_names_of_a_parts_headers_have_no_case(bob: Client) -> None:
    made = bob.post("/nodes", FIRST)
    path, tag = f"/nodes/{made.json['id']}", made.headers["ETag"]

    def sent(**headers: str) -> Any:
        return send(
            bob, {"method": "GET", "path": path, "headers": {a.replace("_", "-"): b for a, b in headers.items()}}
        )

    for name in ("If_Match", "if_match", "IF_MATCH"):
        assert problem(sent(**{name: '"x"'})) == (412, "version_mismatch", 0)
    assert sent(if_none_match=tag).json["responses"][0]["status"] == 304
    for headers, pointer in (({"If_Match": tag, "if_match": tag}, ""), ({"if_Range": tag}, "/if-Range")):
        refused = sent(**headers)
        assert (refused.status_int, refused.json["errors"][0]["pointer"]) == (422, f"/requests/0/headers{pointer}")


def test_a_path_that_a_part_cannot_have(bob: Client) -> None:
    """Nobody is signed out either, and no tokens are made."""
    for failing in BEYOND:
        answer = send(bob, part("POST", "/nodes", FIRST), failing)
        assert problem(answer) == (422, "invalid", None), (failing, answer.text)
        assert [error["pointer"] for error in answer.json["errors"]] == ["/requests/1/path"]
        assert titles(bob) == []


MALFORMED: list[tuple[Any, str]] = [
    ({}, "/requests"),
    ({"requests": []}, "/requests"),
    ({"requests": {}}, "/requests"),
    ({"requests": [None]}, "/requests/0"),
    ({"requests": [{}] * 40_000}, "/requests/0/method"),
    ({"requests": [part("HEAD", "/nodes")]}, "/requests/0/method"),
    ({"requests": [part("get", "/nodes")]}, "/requests/0/method"),
    ({"requests": [part("POST", "/nodes", [])]}, "/requests/0/body"),
    ({"requests": [part("GET", "/nodes") | {"id": "1"}]}, "/requests/0/id"),
    ({"requests": [part("GET", "/nodes", X_Tenant="globex")]}, "/requests/0/headers/X-Tenant"),
    ({"requests": [part("GET", "/nodes", Idempotency_Key="k")]}, "/requests/0/headers/Idempotency-Key"),
    ({"requests": [part("GET", "/nodes", Authorization="Bearer x")]}, "/requests/0/headers/Authorization"),
    ({"requests": [part("GET", "/nodes", If_Match='"x"\r\nX-Tenant: globex')]}, "/requests/0/headers/If-Match"),
    ({"requests": [part("GET", "/nodes", If_Match='"\u20ac"')]}, "/requests/0/headers/If-Match"),
]


def test_a_batch_that_is_none(bob: Client) -> None:
    for document, pointer in MALFORMED:
        answer = bob.post("/batch", document)
        assert problem(answer) == (422, "invalid", None)
        assert answer.json["errors"][0]["pointer"] == pointer, answer.text


def test_a_header_twice_is_refused(bob: Client) -> None:
    text = '{"requests": [{"method": "GET", "path": "/nodes", "headers": {"If-Match": "a", "If-Match": "b"}}]}'
    headers = {"X-CSRF-Token": bob.csrf_token, "Content-Type": "application/json"}
    answer = bob.http.post("/api/v1/batch", text, headers=headers, expect_errors=True)
    assert problem(answer) == (400, "invalid_json", None)


def test_a_batch_needs_the_csrf_token(bob: Client) -> None:
    bob.csrf_token = "wrong"
    assert problem(send(bob, part("GET", "/nodes"))) == (403, "csrf_failed", None)


def test_an_api_token_sends_batches_within_its_permissions(installation: Installation, bob: Client) -> None:
    token = bob.post("/tokens", {"name": "x", "permissions": ["content.read"]}).json["token"]
    program = Client(installation.app).with_token(token)
    assert send(program, part("GET", "/nodes")).status_int == 200
    assert problem(send(program, part("GET", "/nodes"), part("POST", "/nodes", FIRST))) == (403, "permission_denied", 1)
    assert problem(send(program, part("GET", "/tokens"))) == (403, "token_not_allowed", 0)
    assert problem(send(program, part("GET", "/nodes"), X_Tenant="globex")) == (403, "tenant_forbidden", None)


def test_a_batch_is_for_the_tenant_that_it_names(installation: Installation) -> None:
    both = Client(installation.app).sign_in("both", "acme")
    by_path = send(both, part("POST", "/nodes", FIRST), part("GET", "/nodes?limit=1"), start="/t/globex").json
    (location,) = [each["headers"]["Location"] for each in by_path["responses"] if "Location" in each["headers"]]
    assert location.startswith("http://localhost/api/v1/t/globex/nodes/")
    by_header = send(both, part("GET", "/nodes"), X_Tenant="globex").json
    assert [node["title"] for node in by_header["responses"][0]["body"]["items"]] == ["First"]
    assert send(both, part("GET", "/nodes")).json["responses"][0]["body"]["items"] == []


def test_the_answer_is_kept_for_an_idempotency_key(installation: Installation, bob: Client) -> None:
    parts = [part("POST", "/nodes", FIRST), part("GET", "/nodes")]
    first, second = (send(bob, *parts, Idempotency_Key="k") for _ in range(2))
    assert (first.status_int, second.json) == (200, first.json)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert problem(send(bob, parts[0], Idempotency_Key="k")) == (422, "idempotency_mismatch", None)
    assert titles(bob) == ["First"]
    # It has what a token of fewer permissions may not read.
    token = bob.post("/tokens", {"name": "x", "permissions": ["content.create"]}).json["token"]
    narrow = Client(installation.app).with_token(token)
    assert problem(send(narrow, *parts, Idempotency_Key="k")) == (422, "idempotency_mismatch", None)
    failed = send(bob, part("GET", "/nothing"), Idempotency_Key="f")
    assert problem(failed) == (404, "not_found", 0)
    assert send(bob, part("GET", "/nodes"), Idempotency_Key="f").status_int == 200


def test_a_batch_that_only_reads_keeps_no_answer(bob: Client) -> None:
    read = part("GET", "/nodes")
    assert send(bob, read, Idempotency_Key="k").json["responses"][0]["body"]["items"] == []
    made = bob.post("/nodes", FIRST, Idempotency_Key="k")
    assert (made.status_int, "Idempotency-Replayed" in made.headers) == (201, False)
    again = send(bob, read, Idempotency_Key="k")
    assert again.json["responses"][0]["body"]["items"] == [made.json]


def test_a_batch_reads_the_access_once(installation: Installation, bob: Client) -> None:
    registry = installation.registry
    send(bob, part("GET", "/nodes"))
    [entry] = registry.tenant_dbs._entries.values()
    users, rows = StatementRecorder(registry.user_db.real), StatementRecorder(entry.factory.real)
    with users, rows:
        assert send(bob, *[part("GET", "/nodes")] * 10).status_int == 200
    assert (len(users), len(rows)) == (1, 10)
