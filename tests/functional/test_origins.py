"""Pages of other origins: those that the setting names may use the API, and no others."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tenantapp.identity.models import Tenant
from tenantapp.sql.times import utcnow
from tests.installation import Client, Installation, rolled_back, sqlite_installation

PAGE, OTHER = "https://app.example.org", "https://evil.example"
ALLOWED = {"Access-Control-Allow-Origin": PAGE, "Access-Control-Allow-Credentials": "true"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """With two allowed origins. The engine has nothing to do with it."""
    settings = {"http.allowed_origins": f"{PAGE} http://localhost:5173"}
    with sqlite_installation(tmp_path_factory.mktemp("origins"), **settings) as installation:
        yield installation


@pytest.fixture
def allowing(shared: Installation) -> Iterator[Installation]:
    with rolled_back(shared) as installation:
        yield installation


def cors(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def may_read(answer: Any) -> bool:
    return cors(answer).items() >= ALLOWED.items()


def preflight(installation: Installation, path: str, method: str = "PATCH", origin: str = PAGE) -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,if-match,x-csrf-token",
    }
    return Client(installation.app).http.options(f"/api/v1{path}", headers=headers, expect_errors=True)


def from_page(origin: str = PAGE, site: str = "same-site") -> dict[str, str]:
    return {"Origin": origin, "Sec-Fetch-Site": site}


def test_a_preflight_needs_nobody_signed_in(allowing: Installation) -> None:
    for path in ("/nodes/01900000-0000-7000-8000-000000000000", "/t/acme/nodes/01900000-0000-7000-8000-000000000000"):
        answer = preflight(allowing, path)
        assert (answer.status_int, answer.body) == (204, b"")
        assert may_read(answer)
        assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, PATCH, PUT"
        sent = set(answer.headers["Access-Control-Allow-Headers"].lower().split(", "))
        assert sent >= {
            *("content-type", "x-csrf-token", "x-tenant", "if-match", "if-none-match", "idempotency-key"),
            "authorization",
        }
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        assert "Origin" in answer.headers["Vary"].split(", ")
    assert preflight(allowing, "/session", "POST").headers["Access-Control-Allow-Methods"] == (
        "DELETE, GET, HEAD, PATCH, POST"
    )


def test_for_a_path_that_is_not_utf8_the_page_may_read_why(allowing: Installation) -> None:
    for path in ("/%FF", "/nodes/%FF"):
        answer = preflight(allowing, path)
        assert (answer.status_int, answer.json["code"]) == (400, "bad_request")
        assert may_read(answer)
        assert "Content-Security-Policy" in answer.headers


def test_no_other_origin_gets_one(allowing: Installation, shared_on_sqlite: Installation) -> None:
    for origin in (OTHER, "null", f"{PAGE}.evil.example", f"{PAGE}:8443", PAGE.upper(), f"{PAGE} {OTHER}", ""):
        answer = preflight(allowing, "/nodes", "POST", origin)
        assert (answer.status_int, cors(answer)) == (405, {})
        assert "Origin" in answer.headers["Vary"].split(", ")
    assert (preflight(shared_on_sqlite, "/nodes", "POST").status_int, cors(preflight(shared_on_sqlite, "/nodes"))) == (
        405,
        {},
    )
    # Nor does a path that is not the API's.
    outside = Client(allowing.app).http
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    assert cors(outside.options("/__version__", headers=headers, expect_errors=True)) == {}
    assert cors(outside.get("/__version__", headers={"Origin": PAGE})) == {}
    assert preflight(allowing, "/nothing").status_int == 404


def test_a_conversation_from_another_origin(allowing: Installation) -> None:
    page = Client(allowing.app)
    signed_in = page.post(
        "/session", {"login": "bob", "password": "correct horse battery"}, **from_page(), **{"X-Tenant": "acme"}
    )
    assert (signed_in.status_int, may_read(signed_in)) == (201, True)
    page.csrf_token = page.get("/session", **from_page()).json["csrf_token"]
    made = page.post("/nodes", {"title": "1"}, **from_page(site="cross-site"))
    assert made.status_int == 201
    assert {"ETag", "Location", "Link", "Retry-After", "X-Request-ID"} <= set(
        made.headers["Access-Control-Expose-Headers"].split(", ")
    )
    known = page.get(f"/nodes/{made.json['id']}", If_None_Match=made.headers["ETag"], **from_page())
    assert (known.status_int, may_read(known)) == (304, True)
    assert known.headers["Vary"] == "Cookie, Authorization, X-Tenant, Origin"


def test_a_change_needs_the_token_as_well(allowing: Installation) -> None:
    page = Client(allowing.app).sign_in("bob")
    token, page.csrf_token = page.csrf_token, ""
    refused = page.post("/nodes", {"title": "1"}, **from_page())
    assert (refused.status_int, refused.json["code"]) == (403, "csrf_failed")
    assert may_read(refused)
    page.csrf_token = token
    for headers in (from_page(OTHER, "cross-site"), from_page("null"), {"Sec-Fetch-Site": "cross-site"}):
        refused = page.post("/nodes", {"title": "1"}, **headers)
        assert (refused.status_int, refused.json["code"], cors(refused)) == (403, "csrf_failed", {})
    assert page.post("/nodes", {"title": "1"}, **from_page()).status_int == 201


def test_nothing_is_let_through_without_the_setting(installation: Installation) -> None:
    page = Client(installation.app).sign_in("bob")
    assert page.post("/nodes", {"title": "1"}, **from_page()).json["code"] == "csrf_failed"
    answer = page.get("/nodes", **from_page())
    assert (answer.status_int, cors(answer)) == (200, {})
    assert "Origin" not in answer.headers["Vary"]


def test_errors_can_be_read_as_well(allowing: Installation) -> None:
    bob = Client(allowing.app).sign_in("bob")
    answers = {
        401: Client(allowing.app).get("/nodes", **from_page()),
        404: bob.get("/nothing", **from_page()),
        405: bob.put("/nodes", {}, **from_page()),
        406: bob.get("/nodes", Accept="text/html", **from_page()),
        413: bob.post("/nodes", {"title": "x", "body": "x" * 2_000_000}, **from_page()),
        422: bob.post("/nodes", {}, **from_page()),
        400: bob.get("/nodes?x=%ff", **from_page()),
    }
    with allowing.registry.user_db.begin() as session:
        session.execute(update(Tenant).values(migrating_until=utcnow() + timedelta(minutes=1)))
    answers[503] = bob.get("/nodes", **from_page())
    for status, answer in answers.items():
        assert answer.status_int == status, answer.text
        assert may_read(answer), status
        assert answer.headers["X-Request-ID"]
