"""Nobody is served in a deleted tenant, and nobody is told that it was there."""

from datetime import timedelta

from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import delete_later, undelete
from tests.installation import Client, Installation


def test_from_the_next_request_on(installation: Installation) -> None:
    both = Client(installation.app).sign_in("both", "acme")
    assert both.get("/nodes").status_int == 200
    with installation.registry.user_db.begin() as session:
        delete_later(session, "acme", timedelta(days=7))
    for method, path in (("GET", "/nodes"), ("POST", "/nodes"), ("GET", "/members")):
        answer = both.request(method, path, {"title": "x"} if method == "POST" else None)
        assert (answer.status_int, answer.json["code"]) == (403, "tenant_forbidden")
    assert [tenant["slug"] for tenant in both.get("/session").json["tenants"]] == ["globex"]
    assert both.switch("acme").status_int == 403
    with installation.registry.user_db.begin() as session:
        undelete(session, "acme", KINDS)
    assert both.get("/nodes").status_int == 200
