"""An operator works as somebody else: in one tenant, for a time, and under both names."""

import logging
import os
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from pyramid.interfaces import IDefaultPermission
from pyramid.registry import Registry
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from transaction import TransactionManager

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.identity import impersonations, web_sessions
from tenantapp.identity.audit import describe_entry, list_entries, record
from tenantapp.identity.grants import add_grant
from tenantapp.identity.impersonation_guard import impersonation_view
from tenantapp.identity.models import Tenant, User, WebSession
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import create_user, get_user, set_enabled
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import ACTOR, Access, Actor, Impersonation, Person
from tenantapp.tenancy.errors import ImpersonationReadOnly
from tenantapp.tenancy.request import TenantRequest
from tenantapp.testing.clock import Clock
from tests.functional.conftest import Command
from tests.functional.operators import add_operator, code
from tests.installation import Client, Installation

BOB = {"login": "bob", "tenant": "acme", "reason": " Ticket 4711 "}
IN_VAIN = (403, "not_while_impersonating")
READ_ONLY = (403, "impersonation_read_only")
NOBODY = (401, "not_signed_in")


@pytest.fixture
def operator(installation: Installation) -> Client:
    return add_operator(installation)


def impersonate(operator: Client, **terms: Any) -> Any:
    """Work as somebody in the operator's browser, and return the session object."""
    answer = operator.post("/fleet/impersonations", BOB | terms, status=201)
    operator.csrf_token = answer.json["csrf_token"]
    return answer.json


def change(installation: Installation, login: str, **values: Any) -> None:
    with installation.registry.user_db.begin() as session:
        session.execute(update(User).where(User.login == login).values(**values))


def entries(installation: Installation, action: str) -> list[SimpleNamespace]:
    with installation.registry.user_db.begin(read_only=True) as session:
        return [SimpleNamespace(**describe_entry(each)) for each in list_entries(session, action=action)]


def test_in_one_tenant_and_under_both_names(installation: Installation, operator: Client) -> None:
    before = operator.copy()
    made = impersonate(operator, login="both", minutes=20)
    assert made == operator.get("/session").json
    assert (made["user"]["login"], made["tenant"]["slug"], made["operator"]) == ("both", "acme", False)
    assert [tenant["slug"] for tenant in made["tenants"]] == ["acme"]
    said = {"operator": "otto", "reason": "Ticket 4711", "read_only": True, "expires_at": made["expires_at"]}
    assert made["impersonation"] == said
    assert operator.get("/nodes").status_int == 200
    for path, headers in (("/nodes", {"X_Tenant": "globex"}), ("/t/globex/nodes", {}), ("/t/nowhere/nodes", {})):
        assert code(operator.get(path, **headers)) == (403, "tenant_forbidden")
    assert operator.get("/session", X_Tenant="globex").json["tenants"] == []
    assert code(operator.get("/fleet/tenants")) == (403, "operator_required")
    assert code(operator.patch("/session", {"tenant": "globex"})) == IN_VAIN
    # What another tab has kept is worth nothing: neither the cookie of before nor the CSRF token.
    assert code(before.get("/session")) == NOBODY
    before.http = operator.http
    assert code(before.delete("/session")) == (403, "csrf_failed")
    assert operator.delete("/session").status_int == 204
    assert code(operator.get("/session")) == NOBODY
    [start], [end] = entries(installation, "impersonation.start"), entries(installation, "impersonation.end")
    assert (start.actor, start.slug, end.actor, end.slug) == ("otto", "acme", "otto", "acme")
    assert start.detail.items() >= {"login": "both", "reason": "Ticket 4711", "read_only": True}.items()
    assert end.detail.items() >= {"login": "both", "impersonator": "otto", "expired": False}.items()


def test_reading_alone_also_in_batches(operator: Client) -> None:
    impersonate(operator, login="ada")
    reading = {"method": "GET", "path": "/nodes"}
    answer = operator.post("/batch", {"requests": [reading]}, status=200).json
    assert answer["responses"][0]["status"] == 200
    adding = {"method": "POST", "path": "/nodes", "body": {"title": "x"}}
    refused = operator.post("/batch", {"requests": [reading, adding]})
    assert (code(refused), refused.json["part"]) == (READ_ONLY, 1)
    assert code(operator.post("/nodes", {"title": "x"})) == READ_ONLY
    assert operator.get("/nodes").json["items"] == []
    assert code(operator.get("/tenant/exports")) == IN_VAIN


def test_views_with_the_default_permission_are_guarded_too() -> None:
    registry, request = Registry(), TenantRequest.blank("/")
    registry.registerUtility("content.read", IDefaultPermission)
    info = SimpleNamespace(options={}, exception_only=False, registry=registry)
    view = impersonation_view(lambda context, request: "done", info)
    request.access = Access(Person(uuid7(), "ada", "Ada"), impersonation=Impersonation("otto", "x", True))
    assert view(None, request) == "done"
    request.method = "POST"
    with pytest.raises(ImpersonationReadOnly):
        view(None, request)


@pytest.mark.parametrize("read_only", [True, False])
def test_the_database_refuses_changes_as_well(read_only: bool) -> None:
    asked: list[bool] = []

    def get_session(*, read_only: bool) -> Session:
        asked.append(read_only)
        return Session()

    request: Any = TenantRequest.blank("/", method="POST")
    request.access = Access(Person(uuid7(), "ada", "Ada"), impersonation=Impersonation("otto", "x", read_only))
    request.registry = SimpleNamespace(
        tenant_dbs=SimpleNamespace(for_access=lambda access: SimpleNamespace(get_session=get_session), replicas={})
    )
    request.tm = TransactionManager(explicit=True)
    assert request.tenant_session.info[ACTOR].name
    assert asked == [read_only]


def test_changes_are_seen_to_be_an_operators(
    installation: Installation, operator: Client, caplog: pytest.LogCaptureFixture
) -> None:
    made = impersonate(operator, login="ada", write=True)
    assert made["impersonation"]["read_only"] is False
    operator.post("/nodes", {"title": "x"}, status=201)
    with caplog.at_level(logging.INFO, "tenantapp.requests"):
        operator.post("/nodes", {"title": "y"}, status=201)
    assert f"person {made['user']['id']}, tenant acme, impersonated by 'otto'" in caplog.text
    actor = Actor("ada", UUID(made["user"]["id"]), impersonator="otto")
    with installation.registry.user_db.begin() as session:
        session.info[ACTOR] = actor
        record(session, "member.grant", tenant_id=get_tenant(session, "acme").id, slug="acme", detail={})
    granted = entries(installation, "member.grant")[0]
    assert (granted.actor, granted.detail["impersonator"]) == ("ada", "otto")
    ada = Client(installation.app).sign_in("ada")
    grant, *_, start = [
        each
        for each in ada.get("/tenant/audit").json["items"]
        if each["action"] in (granted.action, "impersonation.start")
    ][:2]
    assert (grant["actor"], grant["impersonated"]) == ("ada", True)
    assert (start["actor"], start["detail"]["reason"], start["detail"]["read_only"]) == (None, "Ticket 4711", False)
    assert "otto" not in ada.get("/tenant/audit").text


def test_nothing_that_outlasts_it_is_done(operator: Client) -> None:
    impersonate(operator, login="ada", write=True)
    for path, body in (
        ("/members", {"login": "rita", "role": "author"}),
        ("/invitations", {"login": "nobody", "role": "reader"}),
        ("/service-accounts", {"login": "robot", "roles": ["reader"]}),
        ("/webhooks", {"name": "x", "url": "https://1.1.1.1/", "resources": ["nodes"]}),
    ):
        before = operator.get(path, status=200).json["items"]
        assert code(operator.post(path, body)) == IN_VAIN, path
        assert operator.get(path).json["items"] == before


def test_people_of_the_tenant_see_that_it_was_an_operator_and_not_who() -> None:
    for name, shown in (("Ada", "Ada (operator)"), ("x" * 200, "x" * 189 + " (operator)")):
        request: Any = TenantRequest.blank("/")
        request.identified(Access(Person(uuid7(), "ada", name), impersonation=Impersonation("otto", "x", False)))
        assert (request.actor.name, request.actor.shown, request.actor.impersonator) == ("ada", shown, "otto")


def test_a_tenant_forbids_it(installation: Installation, operator: Client) -> None:
    impersonate(operator)
    ada = Client(installation.app).sign_in("ada")
    forbidden = {"second_factor_required": False, "impersonation_forbidden": True}
    assert ada.patch("/tenant/settings", {"impersonation_forbidden": True}, status=200).json == forbidden
    assert ada.get("/tenant/settings").json == forbidden
    assert code(operator.get("/nodes")) == NOBODY
    [end] = entries(installation, "impersonation.end")
    assert (end.actor, end.detail["impersonator"]) == ("ada", "otto")
    operator.sign_in("otto")
    assert code(operator.post("/fleet/impersonations", BOB)) == (403, "impersonation_forbidden")
    assert operator.get("/session").json["user"]["login"] == "otto"
    operator.post("/fleet/impersonations", BOB | {"login": "gina", "tenant": "globex"}, status=201)
    assert ada.patch("/tenant/settings", {}).json["code"] == "invalid"
    ada.patch("/tenant/settings", {"impersonation_forbidden": False}, status=200)
    assert [entry.detail for entry in entries(installation, "settings.change")] == [
        {"impersonation_forbidden": value} for value in (False, True)
    ]
    impersonate(operator.sign_in("otto"))


def test_single_sign_on_is_not_asked_of_an_operator(installation: Installation, operator: Client) -> None:
    with installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).values(single_sign_on_required=True))
    assert code(Client(installation.app).sign_in("bob").get("/nodes")) == (403, "single_sign_on_required")
    impersonate(operator)
    assert operator.get("/nodes").status_int == 200


@pytest.mark.parametrize(
    ("login", "values"), [("otto", {"operator": False}), ("otto", {"enabled": False}), ("bob", {"operator": True})]
)
def test_it_ends_with_the_rights_that_it_needs(
    installation: Installation, operator: Client, login: str, values: dict[str, bool]
) -> None:
    impersonate(operator)
    change(installation, login, **values)
    assert code(operator.get("/nodes")) == NOBODY
    change(installation, login, **{name: not value for name, value in values.items()})
    assert operator.get("/nodes").status_int == 200


def test_it_ends_when_the_operator_or_the_person_is_disabled(installation: Installation, operator: Client) -> None:
    for login in ("otto", "bob"):
        impersonate(operator)
        with installation.registry.user_db.begin() as session:
            set_enabled(session, login, False)
        with installation.registry.user_db.begin(read_only=True) as session:
            assert session.scalars(select(WebSession.id)).all() == []
        change(installation, "otto", enabled=True)
        operator.sign_in("otto")
    assert len(entries(installation, "impersonation.end")) == 2


def test_it_ends_in_time(installation: Installation, operator: Client, clock: Clock) -> None:
    clock.freeze()
    impersonate(operator, minutes=1)
    clock.advance(seconds=59)
    assert operator.get("/nodes").status_int == 200
    clock.advance(seconds=1)
    assert code(operator.get("/nodes")) == NOBODY
    with installation.registry.user_db.begin() as session:
        assert web_sessions.sweep(session, installation.registry.lifetimes) == 1
    [end] = entries(installation, "impersonation.end")
    assert (end.slug, end.detail["impersonator"], end.detail["expired"]) == ("acme", "otto", True)


def test_who_cannot_be_impersonated_and_by_whom(
    installation: Installation, operator: Client, client: Client, clock: Clock
) -> None:
    ada = Client(installation.app).sign_in("ada")
    robot = ada.post("/service-accounts", {"login": "robot", "roles": ["reader"]}, status=201).json["id"]
    with installation.registry.user_db.begin(read_only=True) as session:
        person = get_user(session, "bob").id
    refused = (409, "impersonation_refused")
    for wanted, answer in (
        ({"login": "otto"}, refused),
        ({"login": "gina"}, refused),
        ({"login": "gone"}, refused),
        ({"login": None, "user_id": robot}, refused),
        ({"login": "stranger"}, (404, "not_found")),
        ({"login": None, "user_id": str(installation.local_access("acme").require_tenant().id)}, (404, "not_found")),
        ({"tenant": "nowhere"}, (404, "not_found")),
        ({"reason": " "}, (422, "invalid")),
        ({"minutes": 61}, (422, "invalid")),
        ({"user_id": str(person)}, (422, "invalid")),
    ):
        body = {name: value for name, value in (BOB | wanted).items() if value is not None}
        assert code(operator.post("/fleet/impersonations", body)) == answer, wanted
    assert operator.get("/session").json["impersonation"] is None
    assert code(ada.post("/fleet/impersonations", BOB)) == (403, "operator_required")
    clock.advance(seconds=601)
    assert code(operator.post("/fleet/impersonations", BOB)) == (403, "reauthentication_required")


def test_others_see_it_and_end_it(installation: Installation, operator: Client) -> None:
    made = impersonate(operator)
    change(installation, "ed", operator=True)
    ed, bob = Client(installation.app).sign_in("ed"), Client(installation.app).sign_in("bob")
    [shown] = ed.get("/fleet/impersonations").json["items"]
    assert (shown["operator"], shown["user"]["login"], shown["tenant"]["slug"]) == ("otto", "bob", "acme")
    assert (shown["expires_at"], shown["read_only"]) == (made["expires_at"], True)
    assert ed.delete(f"/fleet/impersonations/{shown['id']}").status_int == 204
    assert code(ed.delete(f"/fleet/impersonations/{shown['id']}")) == (404, "not_found")
    assert code(operator.get("/nodes")) == NOBODY
    impersonate(operator.sign_in("otto"))
    [device] = [each for each in bob.get("/sessions").json["items"] if each["impersonated"]]
    assert bob.delete(f"/sessions/{device['id']}").status_int == 204
    impersonate(operator.sign_in("otto"))
    assert bob.delete("/sessions").json == {"ended": 0}
    assert code(operator.get("/nodes")) == NOBODY
    assert [entry.actor for entry in entries(installation, "impersonation.end")] == ["bob", "bob", "ed"]


def test_the_command_line_lists_and_ends_them(done: Command, failed: Any) -> None:
    with (
        closing(CommandsInstallation(Path(os.environ["TENANTAPP_INI"]))) as commands,
        commands.user_session() as session,
    ):
        otto, ada = (create_user(session, login, operator=login == "otto") for login in ("otto", "ada"))
        session.add(Tenant(slug="acme", name="Acme", state="active", server="main", database="acme"))
        session.flush()
        add_grant(session, get_tenant(session, "acme").id, "reader", login="ada")
        operator = Access(Person(otto.id, "otto", "Otto"))
        made = str(impersonations.start(session, "token", operator, ada, "acme", impersonations.Terms("Ticket 1")).id)
    [shown] = done("impersonations", "list", "--json").json["items"]
    assert (shown["id"], shown["operator"], shown["login"], shown["tenant"]) == (made, "otto", "ada", "acme")
    assert done("impersonations", "end", made).out == f"The impersonation {made} has ended.\n"
    assert failed("impersonations", "end", made) == f"There is no impersonation {made}"


def test_a_sign_in_ends_it(installation: Installation, operator: Client) -> None:
    impersonate(operator)
    impersonated = operator.copy()
    assert operator.sign_in("otto").get("/session").json["operator"] is True
    assert code(impersonated.get("/nodes")) == NOBODY
    assert [entry.actor for entry in entries(installation, "impersonation.end")] == ["otto"]


def test_the_person_is_mailed_about_it(installation: Installation, operator: Client) -> None:
    installation.mails.clear()
    change(installation, "bob", mail_address="bob@example.com")
    for write in (False, True):
        impersonate(operator, write=write)
        operator.sign_in("otto")
    reading, writing = installation.deliver_mails()
    assert (reading["To"], reading["Subject"]) == ("bob@example.com", "An operator works in your name")
    bodies = [message.get_body(("plain",)).get_content() for message in (reading, writing)]  # type: ignore[union-attr]
    assert ["change nothing" in body for body in bodies] == [True, False]
    assert all("Ticket 4711" in body and "otto" not in body for body in bodies)
