"""Whatever comes in, the answer is a problem document with the right status, and nothing changes."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from webob.request import BaseRequest

from tests.installation import Client, Installation

MEMBERS = {"type", "title", "status", "code", "detail", "errors", "request_id"}


def assert_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_int == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) >= MEMBERS
    assert answer.json["status"] == status
    assert answer.json["code"] == code
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture
def bob(client: Client) -> Client:
    return client.sign_in("bob")


def post_raw(client: Client, body: bytes, content_type: str = "application/json", path: str = "/nodes") -> Any:
    headers = {"X-CSRF-Token": client.csrf_token, "Content-Type": content_type}
    return client.http.post(f"/api/v1{path}", body, headers=headers, expect_errors=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"title": "\xff"}', b'{"title": "\\ud800"}', b'{"title": NaN}',
     b"[" * 5000 + b"]" * 5000, b'{"title": "a"} x', b"'single'"],
)  # fmt: skip
def test_malformed_json(bob: Client, body: bytes) -> None:
    assert_problem(post_raw(bob, body), 400, "invalid_json")
    assert bob.get("/nodes").json["items"] == []


def test_a_body_made_to_be_dear_is_cheap(client: Client) -> None:
    """Deep and wide at once: a pointer made for every value would take gigabytes."""
    deep = b'{"' + b"k" * 800 + b'":'
    body = b'{"login":"a","password":"b","x":' + deep * 400 + b"[" + b"1," * 20_000 + b"1]" + b"}" * 401
    wide = b"{" + b",".join(b'"x%d":1' % number for number in range(90_000)) + b"}"
    started = time.process_time()  # not by the clock: a busy machine takes longer, and does no more
    assert_problem(post_raw(client, body, path="/session"), 422, "invalid")
    answer = post_raw(client, wide, path="/session")
    assert_problem(answer, 422, "invalid")
    assert time.process_time() - started < 5
    assert len(answer.body) < 5000


@pytest.mark.parametrize("other", ['other="\\303"', "other=\xc3", "=x", "a;b=;;", 'tenantapp2="x"'])
def test_other_peoples_cookies_do_no_harm(bob: Client, other: str) -> None:
    token = bob.http.cookies["tenantapp"]
    bob.http.reset()
    for cookies in (f"{other}; tenantapp={token}", f"tenantapp={token}; {other}"):
        assert bob.get("/session", Cookie=cookies).status_int == 200, cookies


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"true"])
def test_a_body_that_is_no_object(bob: Client, body: bytes) -> None:
    assert_problem(post_raw(bob, body), 422, "invalid")


def test_nesting_as_deep_as_the_parser_takes(bob: Client) -> None:
    body = b'{"title": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert_problem(post_raw(bob, body), 422, "invalid")


def test_nul_in_a_name(bob: Client) -> None:
    assert_problem(post_raw(bob, b'{"title": "x", "a\\u0000": 1}'), 422, "invalid")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
def test_a_body_that_is_not_said_to_be_json(bob: Client, content_type: str) -> None:
    assert_problem(post_raw(bob, b'{"title": "x"}', content_type), 415, "unsupported_media_type")
    assert bob.get("/nodes").json["items"] == []


@pytest.mark.parametrize(
    "content_type",
    ["Application/JSON", "application/json; Charset=UTF-8", "APPLICATION/MERGE-PATCH+JSON;charset=utf-8",
     'application/json ; charset="latin-1"'],
)  # fmt: skip
def test_media_types_are_in_whatever_case_and_may_have_parameters(bob: Client, content_type: str) -> None:
    answer = post_raw(bob, '{"title": "ä"}'.encode(), content_type)
    assert (answer.status_int, answer.json["title"]) == (201, "ä")


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": "x", "title": "x"}',
        b'{"title": "x", "\\u0074itle": 1}',
        b'{"title": "x", "tags": [{"a": 1, "a": 2}]}',
    ],
)
def test_a_member_that_is_given_twice(bob: Client, body: bytes) -> None:
    assert_problem(post_raw(bob, body), 400, "invalid_json")
    assert bob.get("/nodes").json["items"] == []


@pytest.mark.parametrize("number", [b"1" * 300, b"1e300", b"1.0", b"true", b"-0"])
def test_what_is_no_integer(bob: Client, number: bytes) -> None:
    assert_problem(post_raw(bob, b'{"title": "x", "parent_id": ' + number + b"}"), 422, "invalid")


def test_a_huge_body(bob: Client) -> None:
    assert_problem(post_raw(bob, b'{"title": "' + b"x" * 1_048_577 + b'"}'), 413, "body_too_large")
    answer = bob.http.delete(
        "/api/v1/session", b"x" * 1_048_577, headers={"X-CSRF-Token": bob.csrf_token}, expect_errors=True
    )
    assert_problem(answer, 413, "body_too_large")


def test_a_body_where_none_belongs(bob: Client) -> None:
    answer = bob.http.delete("/api/v1/session", b"{}", headers={"X-CSRF-Token": bob.csrf_token}, expect_errors=True)
    assert_problem(answer, 400, "unexpected_body")
    assert bob.get("/session").status_int == 200


@pytest.mark.parametrize("path", ["/api/v1/unknown", "/api/v1/nodes/", "/unknown", "/api/v2/nodes", "/api/v1//nodes"])
def test_unknown_paths(client: Client, path: str) -> None:
    assert_problem(client.http.get(path, expect_errors=True), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_that_is_not_utf8(installation: Installation, method: str) -> None:
    # WebTest would stumble over the path itself.
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/api/v1/nodes/\xff"}
    response = BaseRequest.blank("/", environ).get_response(installation.app)
    assert (response.status_int, response.content_type) == (400, "application/problem+json")
    assert response.json["code"] == "bad_request"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/v1/session", "DELETE, GET, HEAD, PATCH, POST"),
        ("POST", "/api/v1/sessions", "DELETE, GET, HEAD"),
        ("OPTIONS", "/api/v1/nodes", "DELETE, GET, HEAD, PATCH, POST"),
        ("TRACE", "/api/v1/nodes", "DELETE, GET, HEAD, PATCH, POST"),
        ("POST", "/", "GET, HEAD"),
        ("GET", "/api/v1/users", "POST"),
    ],
)
def test_wrong_methods(client: Client, method: str, path: str, allow: str) -> None:
    answer = client.http.request(path, method=method, expect_errors=True)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("cookie", ["x", "A" * 43, "ä" * 43, "A" * 5000, '"', ""])
def test_missing_and_foreign_cookies(client: Client, cookie: str) -> None:
    headers = {"Cookie": f"tenantapp={cookie}"} if cookie else {}
    answer = client.http.get("/api/v1/nodes", headers=headers, expect_errors=True)
    assert_problem(answer, 401, "not_signed_in")


@pytest.mark.parametrize(
    "body",
    [
        {"login": "ada"},
        {"login": 1, "password": "x"},
        {"login": "ada", "password": None},
        {"login": "ada", "password": "x", "admin": True},
        {"login": ["ada"], "password": "x"},
        {"login": "nul\0", "password": "x"},
        {"login": "ada", "password": "x", "tenant": 1},
        {"login": "a" * 1001, "password": "x"},
    ],
)
def test_sign_in_with_a_wrong_body(client: Client, body: dict[str, Any]) -> None:
    assert_problem(client.post("/session", body), 422, "invalid")


@pytest.mark.parametrize("login", ["", " ", "a" * 1000, "\u202e", "' OR 1=1 --", "%"])
def test_sign_in_with_hostile_logins(client: Client, login: str) -> None:
    assert_problem(client.post("/session", {"login": login, "password": "x" * 10_000}), 401, "invalid_credentials")


def test_head_is_get_without_a_body(bob: Client) -> None:
    answer = bob.request("HEAD", "/nodes")
    assert (answer.status_int, answer.body) == (200, b"")


def test_the_proxys_request_id_is_kept_if_it_is_one(client: Client) -> None:
    assert client.get("/session", X_Request_ID="abcdef-12345").json["request_id"] == "abcdef-12345"
    assert client.get("/session", X_Request_ID="<script>").json["request_id"] != "<script>"


def test_no_page_tells_of_the_inside(client: Client) -> None:
    """Neither metrics nor a debugger is there by accident, and production asks for neither."""
    for path in ("/metrics", "/_debug_toolbar/", "/server-status", "/debug", "/.git/config", "/.env"):
        assert client.http.get(path, expect_errors=True).status_int == 404, path
    production = (Path(__file__).parents[2] / "production.ini").read_text()
    assert "debugtoolbar" not in production
    assert not re.search(r"^(pyramid\.)?(debug|reload)\w* *= *true", production, re.MULTILINE)


def test_an_unexpected_error_is_logged_and_says_nothing(
    client: Client, installation: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(installation.registry.access_reader, "read", fail)
    answer = client.get("/session", Cookie=f"tenantapp={'A' * 43}")
    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert answer.json["request_id"] in caplog.text


def test_a_body_of_very_many_objects_is_refused_soon(client: Client) -> None:
    client.sign_in("ada")
    body = b'{"title": "x", "tags": [' + b"{}," * 300_000 + b"{}]}"
    headers = {"X-CSRF-Token": client.csrf_token, "Content-Type": "application/json"}
    answer = client.http.post("/api/v1/nodes", body, headers=headers, expect_errors=True)
    assert_problem(answer, 422, "invalid")
    assert "objects and arrays" in answer.json["errors"][0]["detail"]
