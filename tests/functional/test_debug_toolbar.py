"""Under the debug toolbar nothing works worse, nothing secret is shown, and nobody from elsewhere is answered."""

from collections.abc import Iterator
from typing import Any

import pytest
from webob.request import BaseRequest

from tests.installation import PASSWORD, SECRET, Client, Installation

HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:6543"}
MAIL_SECRET = "of%20the%20mail"
HOSTS = "localhost 127.0.0.1 ::1"


@pytest.fixture(scope="module")
def developed(make_installation: Any) -> Iterator[Installation]:
    """An installation as development.ini makes it."""
    settings = {"pyramid.includes": "pyramid_debugtoolbar", "http.allowed_hosts": HOSTS, "tenancy.secret": SECRET}
    settings["mail.url"] = f"smtp://shop:{MAIL_SECRET}@mail.invalid"
    with make_installation(**settings) as installation:
        yield installation


@pytest.fixture
def ada(developed: Installation) -> Client:
    client = Client(developed.app)
    client.http.extra_environ.update(HERE)
    return client.sign_in("ada")


def get(installation: Installation, **environ: str) -> Any:
    given = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/nodes", **HERE, **environ}
    return BaseRequest.blank("/", given).get_response(installation.app)


def test_the_toolbar_shows_requests_without_what_lets_somebody_in(developed: Installation, ada: Client) -> None:
    ada.post("/nodes", {"title": "x"}, Authorization="Bearer a-secret-of-ours")
    ada.post("/session", {"login": "ada", "password": PASSWORD})
    ada.get("/session")
    pages = {
        name: get(developed, PATH_INFO=f"/_debug_toolbar/{name}").text
        for name, _ in list(developed.registry.pdtb_history)
    }
    assert len(pages) >= 4
    for secret in (ada.http.cookies["tenantapp"], ada.csrf_token, PASSWORD, SECRET, "a-secret-of-ours", MAIL_SECRET):
        assert not [name for name, page in pages.items() if secret in page], secret
    shown = "".join(pages.values())
    for word in ("X-CSRF-Token", "Set-Cookie", "Authorization", "/api/v1/session", "web_sessions"):
        assert word.lower() in shown.lower(), word


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"PATH_INFO": "/api/v1/nodes/\xff"}, 400),
        ({"PATH_INFO": "/_debug_toolbar/\xff"}, 400),
        ({"QUERY_STRING": "a=%FF"}, 400),
        ({"QUERY_STRING": "a=\xff"}, 400),
        ({"HTTP_COOKIE": 'other="\\303"'}, 401),
        ({"REQUEST_METHOD": "POST", "CONTENT_TYPE": "multipart/form-data"}, 401),
    ],
)
def test_what_is_not_text_is_no_error_of_ours(developed: Installation, environ: dict[str, str], status: int) -> None:
    answer = get(developed, **environ)
    assert (answer.status_int, answer.content_type) == (status, "application/problem+json")
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/", "/_debug_toolbar/", "/api/v1/session"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:6543", "localhost.evil.example", "localhost@evil.example", "[::2]:80"]
)
def test_a_page_whose_name_leads_here_gets_nothing(developed: Installation, path: str, host: str) -> None:
    """DNS rebinding: to the browser it is the other site's own page."""
    answer = get(developed, PATH_INFO=path, HTTP_HOST=host)
    assert (answer.status_int, answer.json["code"]) == (400, "unknown_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:6600", "localhost.", "127.0.0.1:80", "[::1]", "[::1]:6543"])
def test_this_machine_is_known_by_every_spelling_of_its_name(developed: Installation, host: str) -> None:
    assert get(developed, HTTP_HOST=host).json["code"] == "not_signed_in"


def test_without_the_setting_every_host_is_answered(client: Client) -> None:
    assert client.get("/session", Host="tenants.example").json["code"] == "not_signed_in"
