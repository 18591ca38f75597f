"""A person's own account: name, mail address, password, and the links that they are sent."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tenantapp.account.post import page_address
from tenantapp.audit.keeper import Keeper
from tenantapp.credentials import devices
from tenantapp.credentials.models import KnownDevice
from tenantapp.credentials.password_changes import MOST_RESETS, send_first_link
from tenantapp.credentials.post import Post
from tenantapp.identity import users
from tenantapp.identity.audit import list_entries
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import OneTimeLink, WebSession
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.serving.proxy_headers import TrustedProxy, believe_proxy
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.request import TenantRequest
from tenantapp.testing.clock import Clock
from tests.installation import PASSWORD, Client, Installation, StatementRecorder

NEW = "three otters juggling"
ADDRESS = "ada@example.com"


@pytest.fixture
def ada(installation: Installation) -> Client:
    return Client(installation.app).sign_in("ada")


def with_settings(installation: Installation, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    registry = installation.registry
    monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, **settings))


def confirmed(installation: Installation, login: str = "ada", address: str = ADDRESS) -> None:
    with installation.registry.user_db.begin() as session:
        users.get_user(session, login).mail_address = address


def mailed(installation: Installation) -> list[tuple[str, str, str]]:
    """To whom, what about, and the token of the link in it, of each message since the last time."""
    sent = []
    for message in installation.deliver_mails():
        text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        token = next((line.partition("#")[2] for line in text.splitlines() if "/links/" in line), "")
        sent.append((message["To"], message["Subject"], token))
    installation.mails.clear()
    return sent


def at_host(client: Client, host: str) -> dict[str, str]:
    """The headers of a request that names another host. WebTest would send no cookie there."""
    return {"Host": host, "Cookie": f"tenantapp={client.http.cookies['tenantapp']}"}


def actions(installation: Installation) -> list[tuple[str, str]]:
    with installation.registry.user_db.begin(read_only=True) as session:
        return [(entry.action, entry.actor) for entry in reversed(list_entries(session, limit=5))]


def test_a_person_reads_their_account_and_changes_their_name(ada: Client) -> None:
    account = ada.get("/account").json
    assert (account["login"], account["name"], account["address"], account["has_password"]) == (
        "ada",
        "Ada",
        None,
        True,
    )
    assert ada.patch("/account", {"name": " Ada King "}).json == account | {"name": "Ada King"}
    assert ada.get("/session").json["user"]["name"] == "Ada King"
    assert ada.patch("/account", {"name": "\u200b"}).json["errors"][0]["pointer"] == "/name"


def test_an_address_counts_once_it_is_confirmed_and_the_old_one_is_told(
    installation: Installation, ada: Client, client: Client
) -> None:
    confirmed(installation, address="old@example.com")
    answer = ada.post("/account/address", {"address": " ada@B\u00dcCHER.example "})
    assert answer.status_int == 202
    sent = mailed(installation)
    assert [(to, bool(token)) for to, _, token in sent] == [
        ("ada@xn--bcher-kva.example", True),
        ("old@example.com", False),
    ]
    assert ada.get("/account").json["address"] == "old@example.com"
    token = sent[0][2]
    assert client.post("/links/reset-password", {"token": token, "password": NEW}).status_int == 410
    assert client.post("/links/confirm-address", {"token": token}).status_int == 204
    assert ada.get("/account").json["address"] == "ada@xn--bcher-kva.example"
    assert client.post("/links/confirm-address", {"token": token}).json["code"] == "link_not_valid"
    assert actions(installation)[-1] == ("address.change", "ada")
    assert ada.post("/account/address", {"address": "ada@b\u00fccher.example"}).json == answer.json
    assert mailed(installation) == []


def test_somebody_elses_address_is_not_told(installation: Installation, ada: Client, client: Client) -> None:
    confirmed(installation, "bob", "bob@example.com")
    free = ada.post("/account/address", {"address": "free@example.com"})
    taken = ada.post("/account/address", {"address": "bob@EXAMPLE.com"})
    assert (taken.status_int, taken.json) == (free.status_int, free.json)
    (_, _, token), (to, subject, none) = mailed(installation)
    assert (to, subject, none) == ("bob@example.com", "Your mail address belongs to an account already", "")
    confirmed(installation, "rita", "free@example.com")  # meanwhile
    assert client.post("/links/confirm-address", {"token": token}).status_int == 410
    assert ada.get("/account").json["address"] is None


def test_what_is_no_address_is_refused_and_links_are_bounded(installation: Installation, ada: Client) -> None:
    answer = ada.post("/account/address", {"address": "ada"})
    assert (answer.status_int, answer.json["errors"][0]["pointer"]) == (422, "/address")
    answers = [ada.post("/account/address", {"address": f"ada{number}@example.com"}) for number in range(6)]
    assert [answer.status_int for answer in answers] == [202] * 5 + [429]
    assert (answers[-1].json["code"], "Retry-After" in answers[-1].headers) == ("too_many_links", True)
    assert len(mailed(installation)) == 5


def test_a_password_is_changed_by_who_knows_the_old_one(installation: Installation, ada: Client) -> None:
    other, before = Client(installation.app).sign_in("ada"), ada.http.cookies["tenantapp"]
    confirmed(installation)
    for old, new, pointer in (("wrong", NEW, "/old"), (PASSWORD, "short", "/new"), (PASSWORD, PASSWORD, "/new")):
        refused = ada.put("/account/password", {"old": old, "new": new})
        assert (refused.status_int, refused.json["errors"][0]["pointer"]) == (422, pointer)
    assert mailed(installation) == []
    answer = ada.put("/account/password", {"old": PASSWORD, "new": NEW})
    assert (answer.status_int, answer.json["user"]["login"]) == (200, "ada")
    ada.csrf_token = answer.json["csrf_token"]
    assert ada.http.cookies["tenantapp"] != before
    assert other.get("/session").status_int == 200
    answer = ada.put("/account/password", {"old": NEW, "new": "five otters juggling", "end_other_sessions": True})
    ada.csrf_token = answer.json["csrf_token"]
    assert (ada.get("/session").status_int, other.get("/session").status_int) == (200, 401)
    assert [to for to, _, _ in mailed(installation)] == [ADDRESS, ADDRESS]
    assert ("password.change", "ada") in actions(installation)
    assert other.post("/session", {"login": "ada", "password": NEW}).status_int == 401
    assert other.post("/session", {"login": "ada", "password": "five otters juggling"}).status_int == 201


def test_a_password_has_no_name_of_the_person_or_of_their_tenants(ada: Client) -> None:
    for new in ("acme juggles otters", "tenantapp otters juggle", "otters juggle GLOBEX"):
        answer = ada.put("/account/password", {"old": PASSWORD, "new": new})
        assert (answer.status_int == 422) == ("GLOBEX" not in new), new


def test_a_lost_password_is_replaced_by_a_link(
    installation: Installation, ada: Client, client: Client, clock: Clock
) -> None:
    confirmed(installation)
    for named in ({"login": "ADA"}, {"address": "ada@EXAMPLE.com"}):
        assert client.post("/account/password-resets", named).status_int == 202
    (to, _, token), (_, _, late) = mailed(installation)
    assert to == ADDRESS
    assert client.post("/links/reset-password", {"token": token, "password": "ada"}).json["code"] == "invalid"
    assert ada.get("/session").status_int == 200, "a refused password changes nothing, and the link still works"
    done = client.post("/links/reset-password", {"token": token, "password": NEW})
    assert (done.status_int, "Set-Cookie" in done.headers) == (204, False)
    assert ada.get("/session").status_int == 401
    assert [subject for _, subject, _ in mailed(installation)] == ["Your password was changed"]
    assert ("password.reset", "ada") in actions(installation)
    for used in (token, late):
        assert client.post("/links/reset-password", {"token": used, "password": NEW}).status_int == 410
    assert client.post("/session", {"login": "ada", "password": NEW}).status_int == 201


def test_a_link_for_a_lost_password_lives_for_ten_minutes(
    installation: Installation, client: Client, clock: Clock
) -> None:
    confirmed(installation)
    client.post("/account/password-resets", {"login": "ada"})
    ((_, _, token),) = mailed(installation)
    clock.advance(minutes=10)
    assert client.post("/links/reset-password", {"token": token, "password": NEW}).status_int == 410


def test_nobody_learns_by_a_reset_who_is_there(installation: Installation, client: Client) -> None:
    """The same answer, the same statements and the same number of rows; a mail only to who may have it."""
    confirmed(installation)
    confirmed(installation, "gone", "gone@example.com")
    seen = []
    for named in (
        {"login": "ada"},
        {"login": "bob"},
        {"login": "gone"},
        {"login": "stranger"},
        {"login": "a b"},
        {"address": "nobody@example.com"},
        {"address": "no address"},
    ):
        with StatementRecorder(installation.registry.user_db.real) as recorded:
            answer = client.post("/account/password-resets", named)
        # What a statement is about is where it begins. The condition differs between a login and an address.
        seen.append((answer.status_int, answer.json, [each.partition("WHERE")[0] for each in recorded.statements]))
    assert [each[0] for each in seen] == [202] * 7
    assert all(each[1] == seen[0][1] for each in seen)
    assert all(each[2] == seen[0][2] for each in seen), seen
    with installation.registry.user_db.begin(read_only=True) as session:
        rows = [session.scalar(select(func.count()).select_from(model)) for model in (OneTimeLink, OutgoingMail)]
    assert rows == [7, 7]
    assert [to for to, _, _ in mailed(installation)] == [ADDRESS]
    assert client.post("/account/password-resets", {"login": "ada", "address": ADDRESS}).status_int == 422
    assert client.post("/account/password-resets", {}).status_int == 422


def test_nobody_is_flooded_with_links(installation: Installation, client: Client) -> None:
    confirmed(installation)
    for login in ("ada", "stranger"):
        answers = [client.post("/account/password-resets", {"login": login}) for _ in range(7)]
        assert [answer.status_int for answer in answers] == [202] * 5 + [429] * 2, login
    assert answers[-1].json["code"] == "too_many_attempts"
    assert len(mailed(installation)) == MOST_RESETS


def test_who_asks_for_links_does_not_keep_their_owner_from_asking(
    installation: Installation, ada: Client, client: Client
) -> None:
    """In a browser in which they have signed in, whether they name their login or their address."""
    confirmed(installation)
    ada.delete("/session")
    for named in ({"login": "ada"}, {"address": ADDRESS}):
        assert [client.post("/account/password-resets", named).status_int for _ in range(6)][-1] == 429
        assert ada.post("/account/password-resets", named).status_int == 202
    assert [ada.post("/account/password-resets", {"login": "bob"}).status_int for _ in range(6)][-1] == 429


def test_the_old_password_is_not_guessed(installation: Installation, ada: Client) -> None:
    ada.http.cookies.pop("tenantapp-device", None)
    answers = [ada.put("/account/password", {"old": f"guess {number}", "new": NEW}) for number in range(7)]
    assert [answer.status_int for answer in answers][4:] == [422, 429, 429]
    with installation.registry.user_db.begin(read_only=True) as session:
        refused = [(entry.actor, entry.detail) for entry in list_entries(session, action="session.refuse")]
    assert refused[-1] == ("ada", {"login": "ada", "reason": "wrong old password"})
    assert len(refused) == 6, "five that were wrong, and the first that was not checked"


def test_people_are_told_of_a_sign_in_in_an_unknown_browser(
    installation: Installation, ada: Client, client: Client
) -> None:
    def sign_in(client: Client, login: str = "ada", **headers: str) -> list[str]:
        """What is mailed when somebody signs in."""
        client.post("/session", {"login": login, "password": PASSWORD}, status=201, **headers)
        sent = [message.get_body(("plain",)).get_content() for message in installation.deliver_mails()]  # type: ignore[union-attr]
        installation.mails.clear()
        return sent

    confirmed(installation)
    confirmed(installation, "bob", "bob@example.com")
    assert sign_in(client, "bob") == [], "the first sign-in of an account"
    told = sign_in(client, **{"User-Agent": "Otter/1.5 (see https://otters.example/now)\u0085"})
    assert [f"{utcnow():%Y-%m-%d}" in text for text in told] == [True]
    assert "Browser: Otter/1.5 (see https otters example/now)" in told[0]
    assert sign_in(client) == []
    with installation.registry.user_db.begin() as session:
        ada_id = users.get_user(session, "ada").id
        for _ in range(devices.MOST_NOTICES - 2):
            devices.remember(session, ada_id, None)
    assert sign_in(Client(installation.app)) == [], "nobody is flooded"
    with installation.registry.user_db.begin() as session:
        session.execute(update(KnownDevice).values(last_used_at=utcnow() - devices.LIFETIME))
    assert len(sign_in(client, "bob")) == 1, "a device that was not used for a year"


def test_people_delete_their_own_account(installation: Installation, ada: Client, client: Client) -> None:
    refused = ada.delete("/account")
    assert (refused.status_int, refused.json["code"]) == (409, "last_admin")
    assert refused.json["detail"].endswith(": acme.")
    assert ada.get("/session").json["roles"] == ["admin"]
    bob, user_db = client.sign_in("bob"), installation.registry.user_db
    by_token = Client(installation.app)
    by_token.api_token = bob.post("/tokens", {"name": "x", "permissions": ["content.read"]}, status=201).json["token"]
    assert by_token.delete("/account").json["code"] == "token_not_allowed"
    with user_db.begin() as session:
        bob_id = users.get_user(session, "bob").id
        session.execute(update(WebSession).values(authenticated_at=utcnow() - timedelta(hours=1)))
    assert bob.delete("/account").json["code"] == "reauthentication_required"
    bob.csrf_token = bob.post("/session/reauthentication", {"password": PASSWORD}).json["csrf_token"]
    gone = bob.delete("/account", status=204)
    assert ("Max-Age=0" in gone.headers["Set-Cookie"], gone.headers["Clear-Site-Data"]) == (True, '"cache"')
    assert [each.get("/session").status_int for each in (bob, by_token)] == [401, 401]
    assert bob.post("/session", {"login": "bob", "password": PASSWORD}).status_int == 401
    Keeper(user_db, installation.registry.app_settings).work_until_idle()
    with user_db.begin(read_only=True) as session:
        with pytest.raises(NotFound):
            users.get_user(session, "bob")
        told = {entry.action: (entry.actor, entry.detail) for entry in list_entries(session)}
    mark = f"forgotten:{bob_id}"
    assert told["user.leave"] == (mark, {"login": mark})
    assert told["user.forget"][1]["user"] == str(bob_id)


def test_a_link_to_a_former_address_lets_nobody_in(installation: Installation, ada: Client, client: Client) -> None:
    confirmed(installation, address="old@example.com")
    client.post("/account/password-resets", {"login": "ada"})
    ada.post("/account/address", {"address": ADDRESS})
    (_, _, reset), (_, _, confirm), _ = mailed(installation)
    assert client.post("/links/confirm-address", {"token": confirm}).status_int == 204
    assert client.post("/links/reset-password", {"token": reset, "password": NEW}).status_int == 410


def test_who_had_an_account_for_a_minute_does_not_get_it_back(
    installation: Installation, ada: Client, client: Client
) -> None:
    """An address that a thief has asked for is not confirmed after its owner has a new password."""
    confirmed(installation)
    ada.post("/account/address", {"address": "thief@example.com"}, status=202)
    (_, _, confirm), _ = mailed(installation)
    client.post("/account/password-resets", {"login": "ada"})
    ((_, _, reset),) = mailed(installation)
    client.post("/links/reset-password", {"token": reset, "password": NEW}, status=204)
    assert client.post("/links/confirm-address", {"token": confirm}).json["code"] == "link_not_valid"
    client.csrf_token = client.post("/session", {"login": "ada", "password": NEW}, status=201).json["csrf_token"]
    assert client.get("/account").json["address"] == ADDRESS


def test_a_disabled_person_gets_no_password_by_a_link(installation: Installation, client: Client) -> None:
    confirmed(installation)
    client.post("/account/password-resets", {"login": "ada"})
    ((_, _, token),) = mailed(installation)
    with installation.registry.user_db.begin() as session:
        users.set_enabled(session, "ada", False)
    assert client.post("/links/reset-password", {"token": token, "password": NEW}).status_int == 410


def test_a_first_password_is_set_by_a_link_and_confirms_its_address(installation: Installation, client: Client) -> None:
    with installation.registry.user_db.begin() as session:
        grace = users.create_user(session, "grace", name="Grace Hopper")
        former = send_first_link(session, grace, None, None)
        send_first_link(session, grace, "grace@example.com", Post("https://app.example.com", language="de"))
    ((to, subject, token),) = mailed(installation)
    assert (to, subject) == ("grace@example.com", "Setzen Sie das Passwort Ihres Kontos")
    body = {"token": token, "password": "compilers by hopper"}
    assert "hopper" in client.post("/links/first-password", body).json["detail"]
    assert client.post("/links/first-password", body | {"token": former, "password": NEW}).status_int == 410
    assert client.post("/links/first-password", body | {"password": NEW}).status_int == 204
    client.csrf_token = client.post("/session", {"login": "grace", "password": NEW}).json["csrf_token"]
    assert client.get("/account").json["address"] == "grace@example.com"


def test_without_mail_a_person_is_told_and_a_stranger_is_not(
    installation: Installation, ada: Client, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    confirmed(installation)
    asked = client.post("/account/password-resets", {"login": "ada"}).json
    for settings in ({"mail_url": None}, {"web_address": None}):
        with monkeypatch.context() as patched:
            with_settings(installation, patched, **settings)
            evil = at_host(ada, "evil.example")
            answer = ada.post("/account/address", {"address": "new@example.com"}, **evil)
            assert (answer.status_int, answer.json["code"]) == (409, "mail_not_configured")
            assert client.post("/account/password-resets", {"login": "ada"}, Host="evil.example").json == asked
    assert caplog.text.count("no link for a new password is sent") == 2


def test_a_link_has_the_host_of_the_request_only_if_hosts_are_checked(
    installation: Installation, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(installation, monkeypatch, web_address=None, http_allowed_hosts=frozenset({"app.example.org"}))
    assert ada.post("/account/address", {"address": ADDRESS}, **at_host(ada, "app.example.org")).status_int == 202
    (message,) = installation.deliver_mails()
    assert "http://app.example.org/links/confirm-address#" in message.as_string().replace("=\n", "")


@pytest.mark.parametrize(
    ("host", "server_port", "address"),
    [
        ("APP.example.org.:666", "80", "http://app.example.org"),
        ("app.example.org:6543", "6543", "http://app.example.org:6543"),
        ("[2001:db8::1]:666", "80", "http://[2001:db8::1]"),
        ("localhost:6543", "80", "http://localhost:6543"),
        ("evil.example.org:80", "80", None),
    ],
)
def test_nobody_chooses_the_port_of_a_link(host: str, server_port: str, address: str | None) -> None:
    """Whoever sends the request writes its Host: only what is listed of it, and what the server knows, is in mail."""
    request = TenantRequest.blank("/api/v1/account", headers={"Host": host}, environ={"SERVER_PORT": server_port})
    listed = None if address is None else frozenset({"app.example.org", "2001:db8::1"})
    settings = SimpleNamespace(web_address=None, http_allowed_hosts=listed)
    request.registry = SimpleNamespace(app_settings=settings)
    assert page_address(request) == address


@pytest.mark.parametrize("headers", [{"X-Forwarded-Host": "app.example.org:666"}, {"X-Forwarded-Port": "666"}])
def test_no_client_chooses_the_port_of_a_link_through_a_proxy(headers: dict[str, str]) -> None:
    """Many proxies pass on the Host, or the port, that the client has sent."""
    seen = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        request = TenantRequest(environ)
        settings = SimpleNamespace(web_address=None, http_allowed_hosts=frozenset({"app.example.org"}))
        request.registry = SimpleNamespace(app_settings=settings)
        seen.append(page_address(request))
        return []

    given = {"Host": "app.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.org", **headers}
    environ = TenantRequest.blank(
        "/", headers=given, environ={"REMOTE_ADDR": "192.0.2.1", "SERVER_PORT": "6543"}
    ).environ
    believe_proxy(application, TrustedProxy("192.0.2.1"))(environ, None)
    assert seen == ["https://app.example.org"]
