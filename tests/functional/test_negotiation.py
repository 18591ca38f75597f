"""What a client accepts, and how it encodes a body."""

import gzip
import time
from typing import Any

import pytest

from tenantapp.api.negotiation import accepts_json
from tests.installation import Client, Installation

BODY = b'{"title": "x"}'
ADMITTED = (
    "*/*",
    "application/*",
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;q=0.001",
    "application/problem+json",
    "text/html, application/json",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "application/json, text/plain, */*",
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "text/*;q=0, */*",
    "*/*;q=0, application/json",
    ' , application/json;profile="a,b";q=1.0',
    # Malformed headers say nothing, and malformed elements are skipped.
    "",
    "json",
    "*",
    "/json",
    "text",
    ",;,",
    "\xff",
    "application/json;q=high",
)
EXCLUDED = (
    "text/html",
    "text/*",
    "application/xml, text/html;q=0.5",
    "application/json;q=0",
    "application/json; q=0.000",
    "application/json ; charset=utf-8 ; q = 0",
    "*/*;q=0",
    "application/json;q=0, */*",
    "application/*;q=0, */*",
    "text/json",
    "application/vnd.api+json",
    "application/jsonx",
    "nonsense, text/html",
)


@pytest.fixture
def bob(installation: Installation) -> Client:
    return Client(installation.app).sign_in("bob")


def titles(client: Client) -> list[str]:
    return [node["title"] for node in client.get("/nodes").json["items"]]


def post(client: Client, body: bytes, path: str = "/nodes", **headers: str) -> Any:
    sent = {"X-CSRF-Token": client.csrf_token, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.http.post(f"/api/v1{path}", body, headers=sent, expect_errors=True)


def test_what_admits_json() -> None:
    assert {header: accepts_json(header) for header in ADMITTED} == dict.fromkeys(ADMITTED, True)
    assert {header: accepts_json(header) for header in EXCLUDED} == dict.fromkeys(EXCLUDED, False)


def test_who_excludes_json_gets_a_problem_and_changes_nothing(bob: Client) -> None:
    for answer in (bob.get("/nodes", Accept="text/html"), post(bob, BODY, Accept="text/html")):
        assert (answer.status_int, answer.json["code"]) == (406, "not_acceptable")
        assert answer.content_type == "application/problem+json"
    assert titles(bob) == []
    assert post(bob, BODY, Accept="text/html, */*;q=0.1").status_int == 201
    # Who may not come in is told that first.
    assert Client(bob.http.app).get("/nodes", Accept="text/html").status_int == 401


def test_an_answer_without_json_admits_everything(bob: Client) -> None:
    node = post(bob, BODY).json
    assert bob.delete(f"/nodes/{node['id']}", Accept="text/html").status_int == 204


def test_a_long_header_is_read_fast_and_not_remembered(bob: Client) -> None:
    for header in ("text/html," * 20_000 + "*/*", "a/b;" + ";q" * 50_000, " ;" * 100_000, "q=0" * 50_000):
        began = time.perf_counter()
        accepts_json(header)
        assert time.perf_counter() - began < 1
    assert bob.get("/nodes", Accept="text/html," * 300 + "*/*").status_int == 200


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "zstd", "deflate", "identity, gzip", "x-unknown", "gzip;q=1"])
def test_a_compressed_body_is_refused_and_the_answer_says_what_is_read(bob: Client, coding: str) -> None:
    for path in ("/nodes", "/session"):
        answer = post(bob, gzip.compress(BODY), path, Content_Encoding=coding)
        assert (answer.status_int, answer.json["code"]) == (415, "unsupported_encoding")
        assert answer.headers["Accept-Encoding"] == "identity"
    assert titles(bob) == []


@pytest.mark.parametrize("coding", ["identity", "Identity", "", " , identity"])
def test_a_body_as_it_is_is_read(bob: Client, coding: str) -> None:
    assert post(bob, BODY, Content_Encoding=coding).status_int == 201


def test_an_answer_says_on_what_it_depends(bob: Client) -> None:
    vary = "Cookie, Authorization, X-Tenant"
    node = post(bob, BODY)
    path = f"/nodes/{node.json['id']}"
    for answer in (
        bob.get(path),
        bob.get(path, If_None_Match=node.headers["ETag"]),
        bob.get("/nodes/01900000-0000-7000-8000-000000000000"),
        bob.get("/nodes", Accept="text/html"),
        Client(bob.http.app).get(path),
    ):
        assert answer.headers["Vary"] == vary, answer.status_int
    assert "Vary" not in bob.http.get("/__version__").headers
