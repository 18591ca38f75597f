"""The first administrator of a tenant comes from an operator, and so does one for a tenant that has none."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import delete, select

from tenantapp.fleet.kinds import KINDS
from tenantapp.identity import grants, groups, roles, service_accounts, users
from tenantapp.identity.models import Grant, User
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.models import Operation
from tenantapp.operations.worker import Worker
from tests.functional.conftest import Command
from tests.functional.operators import add_operator, code, trail
from tests.installation import Client, Installation

ROBOT = "robot"


@pytest.fixture
def otto(installation: Installation) -> Client:
    return add_operator(installation)


def change(installation: Installation, service: Callable[..., Any], *given: Any, **named: Any) -> Any:
    with installation.registry.user_db.begin() as session:
        return service(session, *given, **named)


def add_robot(installation: Installation) -> str:
    """The login of a service account of acme."""
    with installation.registry.user_db.begin() as session:
        place = place_of(get_tenant(session, "acme"))
        return service_accounts.create_service_account(session, place, ROBOT, ["admin"], most=9).login


def own_entries(client: Client, action: str) -> list[tuple[Any, Any]]:
    """What the administrators of a tenant read in its audit trail: the actor and the detail."""
    found = client.get(f"/tenant/audit?action={action}").json["items"]
    return [(entry["actor"], entry["detail"]) for entry in found]


def test_who_makes_a_tenant_names_its_administrator(otto: Client, installation: Installation) -> None:
    answer = otto.post("/fleet/tenants", {"slug": "initech", "administrator": "Nobody"})
    assert answer.status_int == 202, answer.json
    assert otto.get("/fleet/tenants/initech").json["has_administrator"] is True
    assert Client(installation.app).sign_in("nobody").get("/session").json["tenants"] == []  # it is not made yet
    assert trail(installation) == [("member.appoint", "initech"), ("create.request", "initech")]
    cancelled = otto.post(f"/fleet/operations/{answer.json['id']}/cancel")
    assert cancelled.json["state"] == "cancelled"
    with installation.registry.user_db.begin() as session:
        assert session.scalars(select(Grant).join(User).where(User.login == "nobody")).all() == []
    retried = otto.post(f"/fleet/operations/{answer.json['id']}/retry", {})
    assert retried.status_int == 202
    assert otto.get("/fleet/tenants/initech").json["has_administrator"] is True


def test_who_cannot_be_an_administrator_is_named_and_nothing_is_made(otto: Client, installation: Installation) -> None:
    change(installation, users.set_enabled, "gina", False)
    robot = add_robot(installation)
    for login, reason in (
        ("nowhere", "There is no user nowhere."),
        ("", "There is no user"),
        ("@editors", "There is no user @editors."),
        ("a\nb", "There is no user"),
        ("gone", "gone is disabled"),
        (robot, "service account"),
    ):
        for path, body in (
            ("/fleet/tenants", {"slug": "initech"}),
            ("/fleet/adoptions", {"slug": "initech", "database": "legacy.sqlite"}),
            ("/fleet/tenants/globex/administrator", {}),
        ):
            answer = otto.post(path, body | {"administrator": login})
            assert code(answer) == (422, "invalid"), (path, login)
            (error,) = answer.json["errors"]
            assert error["pointer"] == "/administrator"
            assert reason in error["detail"]
    assert code(otto.post("/fleet/tenants/globex/administrator", {})) == (422, "invalid")
    assert [item["slug"] for item in otto.get("/fleet/tenants").json["items"]] == ["acme", "globex"]
    assert otto.get("/fleet/operations?slug=initech").json["items"] == []
    assert trail(installation) == []


def test_a_tenant_that_has_none_is_given_one_and_says_who_did_it(otto: Client, installation: Installation) -> None:
    path, body = "/fleet/tenants/acme/administrator", {"administrator": "rita"}
    assert code(otto.post(path, body)) == (409, "has_administrator")
    change(installation, users.set_enabled, "ada", False)
    add_robot(installation)  # it holds the role, and is nobody
    shown = {item["slug"]: item["has_administrator"] for item in otto.get("/fleet/tenants").json["items"]}
    assert shown == {"acme": False, "globex": True}
    answer = otto.post(path, body)
    assert (answer.status_int, answer.json["slug"], answer.json["has_administrator"]) == (200, "acme", True)
    rita = Client(installation.app).sign_in("rita", "acme")
    assert "members.manage" in rita.get("/session").json["permissions"]
    assert own_entries(rita, "member.appoint") == [("otto", {"login": "rita", "role": "admin"})]
    assert len(rita.get("/tenant/audit?actor=otto").json["items"]) == 1
    assert code(otto.post(path, {"administrator": "otto"})) == (409, "has_administrator")
    assert trail(installation) == [("member.appoint", "acme")]
    assert code(rita.post(path, body)) == (403, "operator_required")


def test_an_administrator_by_a_group_is_one(otto: Client, installation: Installation) -> None:
    change(installation, users.set_enabled, "ada", False)
    with installation.registry.user_db.begin() as session:
        grants.add_grant(session, get_tenant(session, "acme").id, "admin", group="editors")
    assert otto.get("/fleet/tenants/acme").json["has_administrator"] is True
    assert code(otto.post("/fleet/tenants/acme/administrator", {"administrator": "rita"})) == (409, "has_administrator")
    change(installation, groups.leave_group, "ed", "editors")
    assert otto.get("/fleet/tenants/acme").json["has_administrator"] is False


def test_a_tenant_that_is_not_served_gets_none(otto: Client, installation: Installation) -> None:
    body = {"administrator": "nobody"}
    assert code(otto.post("/fleet/tenants/nowhere/administrator", body)) == (404, "not_found")
    otto.post("/fleet/tenants", {"slug": "initech"})
    assert code(otto.post("/fleet/tenants/initech/administrator", body)) == (409, "tenant_unfinished")
    change(installation, users.set_enabled, "ada", False)
    otto.patch("/fleet/tenants/acme", {"suspended": True, "reason": "unpaid"})
    otto.delete("/fleet/tenants/acme")
    assert code(otto.post("/fleet/tenants/acme/administrator", body)) == (409, "tenant_deleted")
    otto.post("/fleet/tenants/acme/undelete")
    assert otto.post("/fleet/tenants/acme/administrator", body).json["state"] == "suspended"


def test_the_role_must_be_one_of_an_administrator(otto: Client, installation: Installation) -> None:
    change(installation, roles.deny, "admin", "members.manage")
    assert otto.get("/fleet/tenants/acme").json["has_administrator"] is False
    answer = otto.post("/fleet/tenants/acme/administrator", {"administrator": "rita"})
    assert code(answer) == (422, "invalid")
    assert "members.manage" in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize("swept", [False, True])
def test_whose_data_is_in_a_copy_is_told_who_may_read_it(otto: Client, installation: Installation, swept: bool) -> None:
    """An operator cannot read a customer's data in a copy of it without that customer's knowledge."""
    for source, slug in (("acme", "acme-two"), ("acme-two", "acme-three")):
        assert otto.post(f"/fleet/tenants/{source}/clone", {"slug": slug}).status_int == 202
        with installation.registry.user_db.begin() as session:
            get_tenant(session, slug).state = "active"  # as when a worker has been there
            if swept:
                session.execute(delete(Operation))
    assert otto.post("/fleet/tenants/acme-three/administrator", {"administrator": "otto"}).status_int == 200
    ada = Client(installation.app).sign_in("ada", "acme")
    assert own_entries(ada, "member.appoint_in_copy") == [("otto", {"login": "otto", "role": "admin"})]
    assert ("member.appoint_in_copy", "acme-two") in trail(installation)
    assert otto.switch("acme-three").status_int == 200
    own = own_entries(otto, "member.appoint")
    assert own == [("otto", {"login": "otto", "role": "admin"})]


def test_the_administrator_enters_the_finished_tenant(real_installation: Installation) -> None:
    otto = add_operator(real_installation)
    assert otto.post("/fleet/tenants", {"slug": "initech", "administrator": "nobody"}).status_int == 202
    Worker(real_installation.registry.fleet, KINDS).run(Event(), until_idle=True)
    nobody = Client(real_installation.app).sign_in("nobody", "initech")
    assert nobody.post("/nodes", {"title": "the first"}).status_int == 201
    assert nobody.post("/invitations", {"login": "rita", "role": "reader"}).status_int == 201


def test_commands(done: Command, failed: Callable[..., str], tmp_path: Path) -> None:
    for login in ("ada", "bob"):
        done("users", "add", login, "--password-stdin", given="correct horse battery")
    file = tmp_path / "tenants.csv"
    file.write_text("slug,administrator\nacme,bob\nglobex,\n")
    assert "There is no user cleo" in failed("tenants", "create", "initech", "--administrator", "cleo")
    done("tenants", "create", "--from", str(file), "--administrator", "ada")
    done("tenants", "create", "hooli")
    rows = done("tenants", "list", "--json").json["items"]
    assert {row["slug"]: row["has_administrator"] for row in rows} == {"acme": True, "globex": True, "hooli": False}
    listed = {slug: done("grants", "list", slug, "--json").json["items"] for slug in ("acme", "globex")}
    assert {slug: [row["grantee"] for row in rows] for slug, rows in listed.items()} == {
        "acme": ["bob"], "globex": ["ada"],
    }  # fmt: skip
    bundle = tmp_path / "acme.bundle"
    done("tenants", "export", "acme", str(bundle))
    assert "cleo" in failed("tenants", "import", str(bundle), "copy", "--administrator", "cleo")
    done("tenants", "import", str(bundle), "copy", "--administrator", "ada")
    assert done("tenants", "show", "copy", "--json").json["has_administrator"] is True
