"""Which tenant a request is for: that of the header X-Tenant, of the path, or of the session."""

from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from tenantapp.identity import grants, tenants
from tenantapp.tenancy.application import includeme
from tenantapp.tenancy.named_tenants import with_tenant
from tests.installation import Client, Installation
from tests.transactions.server import exchange, serving


@pytest.fixture
def both(client: Client) -> Client:
    """In acme and in globex, and none is selected."""
    return client.sign_in("both")


def titles(client: Client, slug: str) -> list[str]:
    return [node["title"] for node in client.get("/nodes", X_Tenant=slug).json["items"]]


def test_two_tabs_work_in_two_tenants_with_one_session(both: Client) -> None:
    assert both.get("/nodes").json["code"] == "tenant_required"
    assert both.post("/nodes", {"title": "first"}, X_Tenant="acme").status_int == 201
    assert both.post("/t/globex/nodes", {"title": "second"}).status_int == 201
    assert both.post("/t/acme/nodes", {"title": "third"}, X_Tenant="acme").status_int == 201
    assert (titles(both, "acme"), titles(both, "globex")) == (["first", "third"], ["second"])
    assert both.get("/nodes").json["code"] == "tenant_required", "nothing was selected"
    both.switch("globex")
    assert [node["title"] for node in both.get("/nodes").json["items"]] == ["second"]
    assert titles(both, "acme") == ["first", "third"], "the session's choice does not count"
    assert both.get("/session").json["tenant"]["slug"] == "globex"


def test_addresses_stay_under_the_tenant_that_the_path_names(both: Client) -> None:
    answer = both.post("/t/globex/nodes", {"title": "x"})
    path = answer.headers["Location"].partition("/api/v1")[2]
    assert path == f"/t/globex/nodes/{answer.json['id']}"
    assert both.get(path).json == answer.json
    assert both.get(path.removeprefix("/t/globex")).json["code"] == "tenant_required"
    answer = both.post("/nodes", {"title": "x"}, X_Tenant="globex")
    assert answer.headers["Location"].endswith(f"/api/v1/nodes/{answer.json['id']}")
    assert "/t/" not in answer.headers["Location"]


def test_addresses_of_an_application_that_is_mounted(both: Client) -> None:
    both.http.extra_environ["SCRIPT_NAME"] = "/api/v1/mounted"
    answer = both.http.post_json(
        "/api/v1/t/globex/nodes", {"title": "x"}, headers={"X-CSRF-Token": both.csrf_token}, status=201
    )
    assert answer.headers["Location"].endswith(f"/api/v1/mounted/api/v1/t/globex/nodes/{answer.json['id']}")
    assert with_tenant("/elsewhere", "acme") == "/elsewhere"


def test_the_session_shows_the_tenant_that_is_named(both: Client, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        grants.add_grant(session, tenants.get_tenant(session, "globex").id, "editor", login="both")
    both.switch("acme")
    unnamed = both.get("/session").json
    assert (unnamed["tenant"]["slug"], unnamed["roles"]) == ("acme", ["author"])
    for answer in (both.get("/session", X_Tenant="globex"), both.get("/t/globex/session")):
        assert answer.json["tenant"] == {"slug": "globex", "name": "Globex"}
        assert answer.json["roles"] == ["editor", "author"]
        assert "content.edit_any" in answer.json["permissions"]
        assert answer.json["tenants"] == unnamed["tenants"]
        assert answer.json["csrf_token"] == unnamed["csrf_token"]


def test_calls_about_the_session_work_whatever_is_named(both: Client) -> None:
    """A page may send the header with every call, also when a tenant is gone."""
    answer = both.get("/session", X_Tenant="initech")
    assert (answer.status_int, answer.json["tenant"], answer.json["roles"]) == (200, None, [])
    assert both.get("/sessions", X_Tenant="initech").status_int == 200
    answer = both.patch("/session", {"tenant": "acme"}, X_Tenant="globex")
    assert (answer.status_int, answer.json["tenant"]["slug"]) == (200, "acme"), "the body selects"
    both.csrf_token = answer.json["csrf_token"]
    assert both.delete("/session", X_Tenant="initech").status_int == 204
    assert both.sign_in("both").get("/session").json["tenant"] is None


def test_a_signed_in_person_is_wanted_first(client: Client) -> None:
    for path, named in (("/nodes", "acme"), ("/t/acme/nodes", "acme"), ("/t/acme/nodes", "globex")):
        assert client.get(path, X_Tenant=named).json["code"] == "not_signed_in"


def test_a_request_that_names_two_tenants_is_refused(both: Client) -> None:
    both.switch("acme")
    for answer in (
        both.get("/t/acme/nodes", X_Tenant="globex"),
        both.post("/t/globex/nodes", {"title": "x"}, X_Tenant="acme"),
        both.get("/t/acme/session", X_Tenant="globex"),
        both.get("/t/acme/nodes", X_Tenant=""),
    ):
        assert (answer.status_int, answer.json["code"]) == (400, "tenant_mismatch")
    assert titles(both, "acme") == titles(both, "globex") == []


NO_TENANT = (
    "globex", "unknown", "ACME", " acme", "acme ", "acme,acme", "acme, globex", "acme;globex", "a%63me", "acme%00",
    "", " ", "-", "../acme", "acme/nodes", "'; DROP TABLE users; --", "\xe4cme", "acme\x00", "a" * 5000,
)  # fmt: skip


def test_what_names_no_tenant_of_the_person_is_refused_alike(client: Client) -> None:
    client.sign_in("ada")
    headers = {"X-CSRF-Token": client.csrf_token}
    for named in NO_TENANT:
        asked: Any = {"extra_environ": {"HTTP_X_TENANT": named}, "headers": headers, "expect_errors": True}
        for answer in (
            client.http.get("/api/v1/nodes", **asked),
            client.http.post_json("/api/v1/nodes", {"title": "x"}, **asked),
        ):
            assert (answer.status_int, answer.json["code"]) == (403, "tenant_forbidden"), named
            assert answer.json["detail"] == "You have no access to this tenant."
    assert titles(client, "acme") == []


PATHS = {
    200: (
        "/t/acme/nodes", "/t/%61cme/nodes",
        "/t/acme%2Fnodes",  # the same path
    ),
    403: (
        "/t/globex/nodes", "/t/unknown/nodes", "/t/ACME/nodes", "/t//nodes", "/t/acme%20/nodes", "/t/%20acme/nodes",
        "/t/acme%0A/nodes", "/t/acme%00/nodes", "/t/acme%252F/nodes", "/t/acme,globex/nodes", "/t/acme;x/nodes",
        "/t/%C3%A4cme/nodes",
    ),
    404: (
        "/t/acme/nodes%0A", "/t/acme/nodes/", "/t/acme%2Fglobex/nodes", "/t/acme/../globex/nodes",
        "/t/acme/%2E%2E/globex/nodes", "/t/acme/t/globex/nodes", "/t/globex/t/acme/nodes", "/t/acme/t/acme/nodes",
        "/t/acme", "/t/acme/", "/t/", "/t", "/T/acme/nodes", "/tt/acme/nodes", "/t/acme/api/v1/nodes",
    ),
}  # fmt: skip


def test_paths_that_name_tenants(client: Client) -> None:
    client.sign_in("ada")
    for status, paths in PATHS.items():
        for path in paths:
            answer = client.get(path)
            assert answer.status_int == status, path
            if status == 403:
                assert answer.json["code"] == "tenant_forbidden"
    assert client.get("/t/acme/nodes").json["items"] == []


def test_a_suspended_tenant_says_so_to_its_people_alone(both: Client, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        tenants.suspend_tenant(session, "globex", "unpaid")
    assert both.get("/t/globex/nodes").json["code"] == "tenant_suspended"
    ada = Client(installation.app).sign_in("ada")
    assert ada.get("/t/globex/nodes").json["code"] == "tenant_forbidden"
    with installation.registry.user_db.begin() as session:
        tenants.rename_tenant(session, "globex", "globex-two")
    assert both.get("/t/globex/nodes").json["code"] == "tenant_forbidden", "the old name"


def test_operators_calls_do_not_mind_what_is_named(client: Client) -> None:
    client.sign_in("ada")
    assert client.get("/t/acme/fleet/tenants").json["code"] == "operator_required"


def test_a_path_that_names_a_tenant_has_the_methods_of_the_path(client: Client) -> None:
    answer = client.http.put("/api/v1/t/acme/session", expect_errors=True)
    assert (answer.status_int, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, PATCH, POST")


def test_headers_as_a_server_passes_them(real_installation: Installation) -> None:
    """Repeated ones come joined, those with an underscore not at all."""
    client = Client(real_installation.app).sign_in("both", "globex")
    cookie = f"Cookie: tenantapp={client.http.cookies['tenantapp']}"
    with serving(real_installation.app) as address:

        def status(*headers: str, path: str = "/nodes") -> int:
            lines = [f"GET /api/v1{path} HTTP/1.1", "Host: x", "Connection: close", cookie, *headers]
            return int(exchange(address, "\r\n".join([*lines, "", ""]).encode()).split()[1])

        assert status("X-Tenant: acme") == 200
        assert status("X-Tenant:   acme  ") == 200
        assert status("X-Tenant: acme", "X-Tenant: globex") == 403
        assert status("X-Tenant: acme", "X-Tenant: acme") == 403
        assert status("X-Tenant: acme", path="/t/acme/nodes") == 200
        assert status("X-Tenant: acme", path="/t/globex/nodes") == 400
        assert status("X_Tenant: initech") == 200, "the session's choice"
        assert status("X-Tenant: ") == 403
        assert status(path="/t/%FF/nodes") == status(path="/t/acme/%FF") == 400


def test_no_route_may_look_like_a_tenant(installation: Installation) -> None:
    config = Configurator()
    config.add_route("early", "/early")
    config.registry.app_settings = installation.registry.app_settings
    includeme(config)
    config.commit()
    for pattern in ("/api/v1/t/{id}", "api/v1/t"):
        other = Configurator(registry=config.registry)
        other.add_route("tasks", pattern)
        with pytest.raises(ConfigurationError, match="The route tasks cannot be reached"):
            other.commit()
    other = Configurator(registry=config.registry)
    other.add_route("tags_by_name", "/api/v1/tags/by-name")
    other.commit()
    assert [route.name for route in other.get_routes_mapper().get_routes()] == ["early", "tags_by_name"]
