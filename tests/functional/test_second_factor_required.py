"""A tenant may require a second factor: who has none may sign in, and not work in it."""

import os
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, select, update

from tenantapp.cli.checks import databases
from tenantapp.cli.checks.examination import Examination, State
from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.credentials.models import AuthenticatorApp
from tenantapp.fleet.creating.new_tenants import register
from tenantapp.identity import web_sessions
from tenantapp.identity.audit import list_entries
from tenantapp.identity.models import ApiToken, Tenant, User, WebSession
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tenantapp.identity.web_sessions import lifetimes_of
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import SOURCES
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Person
from tenantapp.testing.clock import Clock
from tests.functional.conftest import Command
from tests.installation import Client, Installation

LONG = "kettle umbrella granite"
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


def test_administrators_who_have_one_require_it(installation: Installation, client: Client, change: Any) -> None:
    client.sign_in("ada")
    assert client.get("/tenant/settings", status=200).json["second_factor_required"] is False
    assert code(client.patch("/tenant/settings", {"second_factor_required": True})) == REFUSED
    change(WebSession, factors="password totp")
    client.patch("/tenant/settings", {"second_factor_required": True}, status=200)
    entry = client.get("/tenant/audit").json["items"][0]
    assert (entry["action"], entry["actor"]) == ("settings.change", "ada")
    assert entry["detail"] == {"second_factor_required": True}
    bob = Client(installation.app).sign_in("bob")
    assert code(bob.get("/nodes")) == REFUSED
    assert client.patch("/tenant/settings", {"second_factor_required": False}).json["second_factor_required"] is False
    assert bob.get("/nodes").status_int == 200


def test_operators_may_need_one(
    installation: Installation, client: Client, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(User, operator=True)
    client.sign_in("ada")
    settings = replace(installation.registry.app_settings, identity_operators_second_factor=True)
    monkeypatch.setattr(installation.registry, "app_settings", settings)
    assert code(client.get("/fleet/tenants")) == REFUSED
    change(WebSession, factors="passkey")
    assert client.get("/fleet/tenants").status_int == 200


def test_dangerous_acts_ask_for_a_sign_in_of_lately(
    installation: Installation, client: Client, change: Any, clock: Clock
) -> None:
    now = clock.freeze()
    change(User, operator=True)
    client.sign_in("ada")
    session_id = client.get("/sessions").json["items"][0]["id"]
    token = client.post("/tokens", {"name": "x", "permissions": ["tenant.export"]}, status=201).json["token"]
    change(WebSession, authenticated_at=now - timedelta(seconds=601))
    backup = {"backup": "x"}
    acts: list[tuple[str, str, Any]] = [
        ("POST", "/fleet/tenants/acme/purge", None),
        ("POST", "/fleet/tenants/acme/restore", backup),
        ("POST", "/fleet/tenants/acme/administrator", {"administrator": "rita"}),
        ("POST", "/tenant/export", None),
        ("PATCH", "/tenant/settings", {"second_factor_required": False}),
        ("POST", "/tokens", {"name": "x", "permissions": ["content.read"]}),
        ("POST", "/members", {"login": "rita", "role": "admin"}),
        ("POST", "/invitations", {"login": "nobody", "role": "admin"}),
        ("POST", "/account/address", {"address": "ada@example.com"}),
        ("DELETE", "/sessions", None),
        ("DELETE", f"/sessions/{session_id}", None),
        ("POST", "/account/factors/totp", None),
        ("DELETE", "/account/factors/totp", None),
        ("POST", "/account/factors/passkey-challenges", None),
        ("DELETE", f"/account/factors/passkeys/{session_id}", None),
        ("POST", "/account/factors/recovery-codes", None),
    ]
    stale = (403, "reauthentication_required")
    assert {act[:2]: code(client.request(*act)) for act in acts} == {act[:2]: stale for act in acts}
    change(WebSession, authenticated_at=None)  # a session from before the column
    assert code(client.delete("/sessions")) == stale
    # What is not dangerous goes on, and a program has no password to give again.
    assert client.post("/members", {"login": "rita", "role": "author"}).status_int == 201
    assert code(client.post("/fleet/tenants/acme/restore", {**backup, "as": "x"}))[0] == 409
    assert code(Client(installation.app).with_token(token).post("/tenant/export")) == (409, "backup_refused")
    change(WebSession, authenticated_at=now - timedelta(seconds=600))
    other = Client(installation.app).sign_in("ada")
    assert client.delete("/sessions", status=200).json == {"ended": 1}
    assert other.get("/session").status_int == 401
    assert client.post("/members", {"login": "rita", "role": "admin"}).status_int == 201


def test_an_operator_removes_the_factors_of_somebody_who_has_lost_them(done: Command, failed: Any) -> None:
    done("users", "add", "ada", "--password-stdin", given=f"{LONG}\n")
    assert done("users", "factors", "ada", "--json").json["items"] == []
    with closing(CommandsInstallation(Path(os.environ["TENANTAPP_INI"]))) as installation:
        with installation.user_session() as session:
            user = get_user(session, "ada")
            session.add(AuthenticatorApp(user_id=user.id, secret="v0:x", confirmed_at=utcnow()))
            person = Person(user.id, user.login, user.name)
            web_sessions.start(session, "token", person, None, lifetimes_of(installation.settings), None, ["totp"])
        assert [each["factor"] for each in done("users", "factors", "ada", "--json").json["items"]] == ["totp"]
        (found,) = databases.stored_secrets(Examination(installation))
        assert (found.state, found.detail) == (State.WARNING, "1 secret of authenticator apps stored in clear")
        said = done("users", "factors", "ada", "--remove").out
        assert said == "1 second factor removed. ada signs in by the password alone.\n"
        with installation.user_session(read_only=True) as session:
            assert session.scalars(select(AuthenticatorApp.secret)).all() == []
            assert session.scalars(select(WebSession.id)).all() == []
            assert list_entries(session)[0].action == "factor.remove_all"
        assert list(databases.stored_secrets(Examination(installation))) == []
    assert failed("users", "factors", "nobody") == "There is no user nobody"


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


@pytest.mark.parametrize("source", SOURCES)
def test_a_copy_of_the_data_asks_the_same_of_people(installation: Installation, source: str) -> None:
    """Whatever a tenant's administrators can require is in the copy, but what needs an identity provider."""
    asked = {column.name for column in Tenant.__table__.columns if isinstance(column.type, Boolean)}
    asked -= {"migrating_copied", "single_sign_on_required", "storage_full"}
    with installation.registry.user_db.begin() as session:
        acme = get_tenant(session, "acme")
        given = {"slug": "copy", "name": "Copy", "server": acme.server}
        for name in asked:
            setattr(acme, name, True)
        acme.single_sign_on_required = True
        copy = register(session, Operation(kind="copy", arguments={**given, source: str(acme.id)}))
        assert {name for name in asked if getattr(copy, name)} == asked
        assert not copy.single_sign_on_required
        of_nobody = register(
            session, Operation(kind="copy", arguments={**given, "slug": "other", source: str(uuid7())})
        )
        assert not any(getattr(of_nobody, name) for name in asked)
