"""A tenant may require a second factor: who has none may sign in, and not work in it."""

from typing import Any

import pytest
from sqlalchemy import update

from tenantapp.identity.models import ApiToken, Tenant, WebSession
from tests.installation import Client, Installation

REFUSED = (403, "second_factor_required")


def code(answer: Any) -> tuple[int, str]:
    return answer.status_int, answer.json["code"]


@pytest.fixture
def change(installation: Installation) -> Any:
    """Writes these values to all rows of a model."""

    def change(model: Any, **values: Any) -> None:
        with installation.registry.user_db.begin() as session:
            session.execute(update(model).values(**values))

    return change


@pytest.mark.parametrize(
    ("factors", "enough"),
    [("password totp", True), ("passkey", True), ("password recovery_code", True), ("password", False), ("", False)],
)
def test_it_is_refused_at_access(client: Client, change: Any, factors: str, enough: bool) -> None:
    client.sign_in("both", "acme")
    change(WebSession, factors=factors)
    assert client.get("/nodes").status_int == 200
    change(Tenant, second_factor_required=True)
    shown = client.get("/session", status=200).json
    assert shown["second_factor_required"] is not enough
    assert (shown["tenant"]["slug"], shown["factors"]) == ("acme", sorted(factors.split()))
    if enough:
        assert client.get("/t/globex/nodes").status_int == 200
        assert "content.read" in shown["permissions"]
        return
    assert (shown["roles"], shown["permissions"]) == ([], [])
    assert code(client.get("/nodes")) == code(client.get("/t/globex/nodes")) == REFUSED
    assert code(client.post("/tokens", {"name": "x", "permissions": ["content.read"]})) == REFUSED
    assert client.switch("globex").json["second_factor_required"] is True


def test_a_sign_in_says_what_it_was_by(client: Client) -> None:
    client.sign_in("bob")
    shown = client.get("/session").json
    assert (shown["factors"], shown["second_factor_required"]) == (["password"], False)
    assert shown["authenticated_at"].endswith("Z")


def test_a_token_has_the_factors_of_its_session(installation: Installation, client: Client, change: Any) -> None:
    client.sign_in("ada")
    weak = client.post("/tokens", {"name": "x", "permissions": ["content.read"]}, status=201).json["token"]
    change(WebSession, factors="password totp")
    strong = client.post("/tokens", {"name": "y", "permissions": ["content.read"]}, status=201).json["token"]
    client.post("/service-accounts", {"login": "robot", "roles": ["reader"]}, status=201)
    robot = {"name": "z", "permissions": ["content.read"], "service_account": "robot"}
    programs = client.post("/tokens", robot, status=201).json["token"]
    change(Tenant, second_factor_required=True)
    assert code(Client(installation.app).with_token(weak).get("/nodes")) == REFUSED
    assert Client(installation.app).with_token(strong).get("/nodes").status_int == 200
    change(ApiToken, factors="")
    assert code(Client(installation.app).with_token(strong).get("/nodes")) == REFUSED
    assert Client(installation.app).with_token(programs).get("/nodes").status_int == 200
