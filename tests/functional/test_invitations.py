"""Invitations into a tenant: by address and by login, accepted, declined, revoked."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenantapp.fleet.removing.expired import sweep_expired
from tenantapp.identity.audit import list_entries
from tenantapp.identity.grants import add_grant, find_grant, remove_grant
from tenantapp.identity.models import Invitation, RolePermission, User
from tenantapp.identity.roles import add_role
from tenantapp.identity.tenants import delete_tenant, get_tenant, suspend_tenant, undelete_tenant
from tenantapp.identity.users import create_user, get_user
from tenantapp.joining.invitations import LIFETIME
from tenantapp.sql.times import utcnow
from tests.installation import PASSWORD, Client, Installation

ADDRESS = "grace@example.com"


@pytest.fixture
def ada(client: Client) -> Client:
    return client.sign_in("ada")


@pytest.fixture
def stranger(installation: Installation) -> Client:
    return Client(installation.app)


def token_in(mail: Any) -> str:
    """The token of the link in a mail. Text and HTML have the same."""
    tokens = {re.search(r"/links/invitation#([\w-]{43})", part.get_content())[1] for part in mail.iter_parts()}  # type: ignore[index]
    (token,) = tokens
    return token


def invite(ada: Client, installation: Installation, role: str = "author", **whom: str) -> tuple[Any, str]:
    """An invitation, and the token of its link."""
    answer = ada.post("/invitations", {**(whom or {"address": ADDRESS}), "role": role})
    assert answer.status_int == 201, answer.json
    return answer.json, token_in(installation.deliver_mails()[-1])


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_int, answer.json["code"]


def test_somebody_unknown_registers_by_the_link(ada: Client, stranger: Client, installation: Installation) -> None:
    made, token = invite(ada, installation)
    assert (made["address"], made["role"], made["invited_by"], made["login"]) == (ADDRESS, "author", "Ada", None)
    mail = installation.mails[-1]
    assert (mail["To"], mail["Subject"]) == (ADDRESS, "Ada invites you to Acme")
    assert "/links/invitation#" in mail.get_body().get_content()
    about = stranger.post("/links/invitation", {"token": token}).json
    assert (about["tenant"], about["role"], about["address"]) == ("Acme", "author", ADDRESS)
    person = {"token": token, "login": "grace", "password": PASSWORD, "name": "Grace"}
    assert problem(stranger.post("/links/invitation/register", {**person, "login": "root"})) == (422, "invalid")
    assert problem(stranger.post("/links/invitation/register", {**person, "login": "bob"})) == (409, "already_exists")
    assert problem(stranger.post("/links/invitation/register", {**person, "password": "x"})) == (422, "invalid")
    assert stranger.post("/links/invitation/register", person).json["login"] == "grace"
    assert stranger.sign_in("grace").get("/session").json["roles"] == ["author"]
    assert problem(stranger.post("/links/invitation/register", {**person, "login": "eve"})) == (410, "link_not_valid")
    assert ada.get("/invitations").json["items"] == []
    with installation.registry.user_db.begin(read_only=True) as session:
        assert get_user(session, "grace").mail_address == ADDRESS
        entries = [each.action for each in reversed(list_entries(session, slug="acme"))]
        began = entries.index("invitation.create")
        assert entries[began + 1 : began + 3] == ["invitation.accept", "member.grant"]


def test_a_person_who_is_there_is_asked_and_accepts(ada: Client, stranger: Client, installation: Installation) -> None:
    """They find it in their account by their login, and by their address if it is confirmed."""
    nobody = stranger.sign_in("nobody")
    ada.post("/invitations", {"login": "Nobody", "role": "reader"})
    assert nobody.get("/session").json["tenants"] == [], "nobody is added without being asked"
    [received] = nobody.get("/account/invitations").json["items"]
    assert (received["tenant"]["slug"], received["role"], received["invited_by"]) == ("acme", "reader", "Ada")
    joined = nobody.post(f"/account/invitations/{received['id']}").json
    assert joined == {"tenant": {"slug": "acme", "name": "Acme"}, "role": "reader"}
    assert nobody.get("/session").json["tenants"][0]["roles"] == ["reader"]
    assert problem(nobody.post(f"/account/invitations/{received['id']}")) == (404, "not_found")
    with installation.registry.user_db.begin() as session:
        get_user(session, "nobody").mail_address = ADDRESS
    _, token = invite(ada, installation, "editor")
    assert len(nobody.get("/account/invitations").json["items"]) == 1
    assert nobody.post("/links/invitation/accept", {"token": token}).json["role"] == "editor"
    assert nobody.get("/session").json["tenants"][0]["roles"] == ["editor", "reader"]


def test_an_invitation_is_declined(ada: Client, stranger: Client, installation: Installation) -> None:
    _, token = invite(ada, installation)
    assert stranger.post("/links/invitation/decline", {"token": token}).status_int == 204
    assert problem(stranger.post("/links/invitation", {"token": token})) == (410, "link_not_valid")
    assert ada.get("/invitations").json["items"] == []
    invitation = ada.post("/invitations", {"login": "nobody", "role": "reader"}).json
    nobody = stranger.sign_in("nobody")
    assert nobody.delete(f"/account/invitations/{invitation['id']}").status_int == 204
    assert nobody.get("/account/invitations").json["items"] == []


def test_nobody_learns_by_it_who_exists(ada: Client, installation: Installation) -> None:
    """Neither by an invitation nor by adding a member."""
    with installation.registry.user_db.begin() as session:
        get_user(session, "nobody").mail_address = ADDRESS
    answers = [
        ada.post("/invitations", {**whom, "role": "reader"})
        for whom in ({"login": "nobody"}, {"login": "unknown"}, {"address": ADDRESS}, {"address": "x@example.com"})
    ]
    assert {answer.status_int for answer in answers} == {201}
    shapes = [{key: value is None for key, value in answer.json.items()} for answer in answers]
    assert shapes[0] == shapes[1]
    assert shapes[2] == shapes[3]
    added = [ada.post("/members", {"login": login, "role": "reader"}) for login in ("nobody", "unknown", "a\nb")]
    assert [problem(answer) for answer in added] == [(404, "not_found")] * 3
    assert added[0].json["detail"].replace("nobody", "") == added[1].json["detail"].replace("unknown", "")
    assert "Nobody" not in str([answer.json for answer in (*answers, *added)])


def test_only_who_was_there_before_accepts_by_login(ada: Client, stranger: Client, installation: Installation) -> None:
    invitation = ada.post("/invitations", {"login": "later", "role": "admin"}).json
    with installation.registry.user_db.begin() as session:
        create_user(session, "later").password_hash = get_user(session, "bob").password_hash
    later = stranger.sign_in("later")
    assert later.get("/account/invitations").json["items"] == []
    assert problem(later.post(f"/account/invitations/{invitation['id']}")) == (404, "not_found")


def test_a_link_by_login_is_for_its_person_alone(ada: Client, stranger: Client, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        get_user(session, "nobody").mail_address = ADDRESS
    _, token = invite(ada, installation, "admin", login="Nobody")
    assert stranger.post("/links/invitation", {"token": token}).json["login"] == "nobody"
    person = {"token": token, "login": "grace", "password": PASSWORD}
    assert problem(stranger.post("/links/invitation/register", person)) == (403, "not_invited")
    stranger.sign_in("bob")
    assert problem(stranger.post("/links/invitation/accept", {"token": token})) == (403, "not_invited")
    stranger.sign_in("nobody")
    assert stranger.post("/links/invitation/accept", {"token": token}).json["role"] == "admin"


def test_a_deleted_tenant_invites_nobody_until_it_is_undeleted(
    ada: Client, stranger: Client, installation: Installation
) -> None:
    user_db = installation.registry.user_db
    _, token = invite(ada, installation)
    own = ada.post("/invitations", {"login": "nobody", "role": "reader"}).json["id"]
    person = {"token": token, "login": "grace", "password": PASSWORD}
    nobody = Client(installation.app).sign_in("nobody")
    with user_db.begin() as session:
        delete_tenant(session, "acme", utcnow() + timedelta(days=1))
    for path, body in (("", {"token": token}), ("/decline", {"token": token}), ("/register", person)):
        assert problem(stranger.post(f"/links/invitation{path}", body)) == (410, "link_not_valid"), path
    assert problem(nobody.post("/links/invitation/accept", {"token": token})) == (410, "link_not_valid")
    assert nobody.get("/account/invitations").json["items"] == []
    for method in (nobody.post, nobody.delete):
        assert problem(method(f"/account/invitations/{own}")) == (404, "not_found")
    with user_db.begin() as session:
        undelete_tenant(session, "acme")
        suspend_tenant(session, "acme", "unpaid")
    assert stranger.post("/links/invitation", {"token": token}).status_int == 200
    assert nobody.post(f"/account/invitations/{own}").json["role"] == "reader"
    assert nobody.get("/session").json["tenants"][0]["state"] == "suspended"


def test_another_persons_invitation_is_not_there(ada: Client, stranger: Client) -> None:
    invitation = ada.post("/invitations", {"login": "nobody", "role": "reader"}).json
    bob = stranger.sign_in("bob")
    for answer in (bob.post(f"/account/invitations/{invitation['id']}"), bob.get("/invitations")):
        assert answer.status_int in (403, 404)
    gina = stranger.sign_in("gina")
    assert gina.delete(f"/invitations/{invitation['id']}").status_int == 404
    assert len(ada.get("/invitations").json["items"]) == 1


def test_it_is_sent_again_revoked_and_expires(ada: Client, stranger: Client, installation: Installation) -> None:
    made, first = invite(ada, installation)
    path = f"/invitations/{made['id']}"
    sent = len(installation.mails)
    assert ada.post(f"{path}/mail").json["sent_at"] == made["sent_at"], "not twice within a minute"
    assert len(installation.deliver_mails()) == sent
    with installation.registry.user_db.begin() as session:
        session.query(Invitation).one().sent_at = utcnow() - timedelta(minutes=2)
    assert ada.post(f"{path}/mail").json["sent_at"] > made["sent_at"]
    second = token_in(installation.deliver_mails()[-1])
    assert ada.delete(path).status_int == 204
    for token in (first, second):
        assert problem(stranger.post("/links/invitation", {"token": token})) == (410, "link_not_valid")
    assert problem(ada.delete(path)) == (404, "not_found")
    invite(ada, installation)
    with installation.registry.user_db.begin() as session:
        session.query(Invitation).one().expires_at -= LIFETIME
    assert ada.get("/invitations").json["items"] == []
    with installation.registry.user_db.begin() as session:
        assert sweep_expired(session)[Invitation] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"role": "reader"}, (422, "invalid")),
        ({"address": ADDRESS, "login": "x", "role": "reader"}, (422, "invalid")),
        ({"address": "no address", "role": "reader"}, (422, "invalid")),
        ({"address": "a@b.c\r\nBcc: d@e.f", "role": "reader"}, (422, "invalid")),
        ({"login": "a\0", "role": "reader"}, (422, "invalid")),
        ({"address": ADDRESS, "role": "unknown"}, (404, "not_found")),
    ],
)
def test_bad_invitations(
    ada: Client, installation: Installation, body: dict[str, str], expected: tuple[int, str]
) -> None:
    assert problem(ada.post("/invitations", body)) == expected
    assert ada.get("/invitations").json["items"] == []
    assert len(installation.deliver_mails()) == 0


def test_it_is_bounded(ada: Client, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installation.registry
    monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, invitations_most=1))
    assert ada.post("/invitations", {"address": ADDRESS, "role": "reader"}).status_int == 201
    again = ada.post("/invitations", {"address": "other@example.com", "role": "reader"})
    assert problem(again) == (409, "too_many_invitations")
    monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, invitations_most=2))
    assert problem(ada.post("/invitations", {"address": ADDRESS, "role": "reader"})) == (409, "already_exists")


def test_a_link_does_not_lead_where_the_host_of_the_request_says(
    ada: Client, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without web.address, no mail is sent that a Host of a stranger would be in."""
    token = ada.post(
        "/tokens", {"name": "x", "permissions": ["members.manage", "content.read", "content.create"]}
    ).json["token"]
    program = Client(installation.app).with_token(token)
    invitation = {"address": ADDRESS, "role": "reader"}
    registry = installation.registry
    monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, web_address=None))
    refused = program.post("/invitations", invitation, Host="evil.example")
    assert problem(refused) == (409, "mail_not_configured")
    with_address = replace(registry.app_settings, web_address="https://app.example.com")
    monkeypatch.setattr(registry, "app_settings", with_address)
    assert program.post("/invitations", invitation, Host="evil.example").status_int == 201
    assert "https://app.example.com/links/" in str(installation.deliver_mails()[-1])


def test_an_address_that_has_an_account_does_not_register_again(
    ada: Client, stranger: Client, installation: Installation
) -> None:
    with installation.registry.user_db.begin() as session:
        get_user(session, "nobody").mail_address = ADDRESS
    _, token = invite(ada, installation)
    person = {"token": token, "login": "grace", "password": PASSWORD}
    assert problem(stranger.post("/links/invitation/register", person)) == (409, "already_exists")
    with installation.registry.user_db.begin(read_only=True) as session:
        assert session.query(User).filter_by(login="grace").count() == 0
    assert stranger.sign_in("nobody").post("/links/invitation/accept", {"token": token}).status_int == 200


def test_an_invitation_ends_with_the_rights_of_who_made_it(
    ada: Client, stranger: Client, installation: Installation
) -> None:
    """Also for an administrator who is disabled."""
    invitation = ada.post("/invitations", {"login": "nobody", "role": "admin"}).json
    _, token = invite(ada, installation)
    with installation.registry.user_db.begin() as session:
        add_grant(session, get_tenant(session, "acme").id, "admin", login="rita")
        tenant_id = get_tenant(session, "acme").id
        remove_grant(session, find_grant(session, tenant_id, "admin", login="ada"))
        add_grant(session, tenant_id, "editor", login="ada")
    nobody = stranger.sign_in("nobody")
    for answer in (
        nobody.post(f"/account/invitations/{invitation['id']}"),
        nobody.post("/links/invitation/accept", {"token": token}),
    ):
        assert problem(answer) == (410, "link_not_valid")
    assert nobody.get("/session").json["tenants"] == []


def test_who_has_less_than_the_role_neither_sends_nor_revokes_an_invitation(
    ada: Client, stranger: Client, installation: Installation
) -> None:
    with installation.registry.user_db.begin() as session:
        made = add_role(session, "usher")
        made.permissions = [RolePermission(permission=each) for each in ("members.manage", "content.read")]
        add_grant(session, get_tenant(session, "acme").id, "usher", login="rita")
    invitation = ada.post("/invitations", {"login": "nobody", "role": "admin"}).json
    ada.post("/service-accounts", {"login": "robot", "roles": ["admin"]})
    rita, path = stranger.sign_in("rita", "acme"), f"/invitations/{invitation['id']}"
    whole = {"name": "x", "permissions": ["members.manage", "content.edit_any"], "service_account": "robot"}
    for answer in (
        rita.post(f"{path}/mail"),
        rita.delete(path),
        rita.post("/tokens", whole),
        rita.patch("/tenant/settings", {"impersonation_forbidden": True}),
        rita.patch("/tenant/settings", {"second_factor_required": False}),
    ):
        assert problem(answer) == (403, "beyond_your_rights")
    assert len(ada.get("/invitations").json["items"]) == 1
    assert rita.post("/tokens", {**whole, "permissions": ["members.manage"]}).status_int == 201
