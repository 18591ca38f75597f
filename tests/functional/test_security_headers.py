"""Every answer has the security headers, whoever answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from webob.request import BaseRequest

from tests.installation import PASSWORD, Client, Installation, sqlite_installation

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
ORIGIN = "https://app.example.org"
YEAR = "max-age=31536000"
REQUESTS: dict[str, dict[str, str]] = {
    "home": {"PATH_INFO": "/"},
    "health": {"PATH_INFO": "/__lbheartbeat__"},
    "nobody is signed in": {"PATH_INFO": "/api/v1/nodes"},
    "no such path": {"PATH_INFO": "/nowhere"},
    "another method": {"PATH_INFO": "/", "REQUEST_METHOD": "DELETE"},
    "a path that is not text": {"PATH_INFO": "/\xff"},
    "a query that is not text": {"PATH_INFO": "/", "QUERY_STRING": "a=%ff"},
    "the document": {"PATH_INFO": "/api/v1/openapi.json"},
    "no page": {"PATH_INFO": "/w/acme"},
}


def answered(installation: Installation, **environ: str) -> Any:
    return BaseRequest.blank("/", {"REQUEST_METHOD": "GET", **environ}).get_response(installation.app)


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_answer_has_them(shared_on_sqlite: Installation, request_name: str, scheme: str) -> None:
    answer = answered(shared_on_sqlite, **REQUESTS[request_name], **{"wsgi.url_scheme": scheme})
    assert ALWAYS.items() <= dict(answer.headers).items()
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers.getall("Content-Security-Policy") == [
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types vue dompurify tenantapp"
    ]
    assert answer.headers.get("Strict-Transport-Security") == (YEAR if scheme == "https" else None)


def test_a_change_and_a_refused_one_have_them_once(client: Client) -> None:
    client.sign_in("ada", "acme")
    for answer in (
        client.post("/nodes", {"title": "Anvils"}),
        client.post("/nodes", {"title": ""}),
        client.post("/session", {"login": "ada", "password": PASSWORD}),
        client.delete("/tags/0190a000-0000-7000-8000-000000000000"),
        client.get("/openapi.json"),
        client.delete("/session"),
    ):
        names = [name.lower() for name, _ in answer.headerlist if name != "Set-Cookie"]  # each cookie has its own
        assert len(set(names)) == len(names)
        assert ALWAYS.items() <= dict(answer.headers).items()
        assert answer.headers["Cache-Control"], "an answer that says nothing of caches may be kept by one"


HOSTS = ("evil.example", "localhost.evil.example", "localhost, evil.example", "localhost:80:80", "[::1", "::1", "")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """With a list of hosts, and an origin. The engine has nothing to do with it."""
    settings = {"http.allowed_hosts": "localhost ::1", "http.allowed_origins": ORIGIN}
    with sqlite_installation(tmp_path_factory.mktemp("hosts"), **settings) as installation:
        yield installation


@pytest.mark.parametrize("path", ["/", "/__lbheartbeat__", "/nowhere", "/api/v1/nodes", "/\xff"])
def test_a_host_that_is_not_listed_is_refused_before_anything_else(listed: Installation, path: str) -> None:
    preflight = {"REQUEST_METHOD": "OPTIONS", "HTTP_ORIGIN": ORIGIN, "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    for host in HOSTS:
        for environ in ({}, preflight):
            answer = answered(listed, PATH_INFO=path, HTTP_HOST=host, **environ)
            assert (answer.status_int, answer.json["code"]) == (400, "unknown_host"), host
            assert "evil" not in f"{answer.headers} {answer.text}"
    for host in ("localhost", "LOCALHOST.:6543", "[::1]:6543"):
        assert answered(listed, PATH_INFO="/__lbheartbeat__", HTTP_HOST=host).status_int == 200


def test_a_malformed_host_is_refused_without_a_list_too(shared_on_sqlite: Installation) -> None:
    for host in ("a, b", "a/b", "a@b", "a b", "[::1", "a:b", "a\\b", "<b>"):
        answer = answered(shared_on_sqlite, HTTP_HOST=host)
        assert (answer.status_int, answer.json["code"]) == (400, "unknown_host"), host
    assert "evil.example" not in answered(shared_on_sqlite, HTTP_HOST="evil.example").text


def test_a_page_with_a_stricter_policy_keeps_it(shared_on_sqlite: Installation) -> None:
    answer = answered(shared_on_sqlite, PATH_INFO="/api/docs")
    (policy,) = answer.headers.getall("Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert answer.headers.getall("Referrer-Policy") == ["no-referrer"]
    assert ALWAYS.items() <= dict(answer.headers).items()
