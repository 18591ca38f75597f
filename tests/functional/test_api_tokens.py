"""API tokens: who makes them, what they permit, and what ends them."""

import re
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.identity import api_tokens, grants, groups, tenants, users
from tenantapp.identity.api_tokens import TokenLimits
from tenantapp.identity.audit import list_entries, record
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.identity.models import ApiToken, AuditEntry, Grant, Tenant, User, WebSession
from tenantapp.identity.roles import deny
from tenantapp.identity.token_text import ALPHABET, checksum, is_token, new_token
from tenantapp.identity.web_sessions import hash_token
from tenantapp.sql.times import utcnow
from tests.installation import PASSWORD, PASSWORD_HASH, Client, Installation
from tests.transactions.applications import app_with

READ, CREATE = "content.read", "content.create"


@pytest.fixture
def bob(client: Client) -> Client:
    """An author in acme."""
    return client.sign_in("bob")


@pytest.fixture
def ada(installation: Installation) -> Client:
    """The administrator of acme."""
    return Client(installation.app).sign_in("ada")


def made(client: Client, *permissions: str, **fields: Any) -> Any:
    """A new token, as the API shows it."""
    answer = client.post("/tokens", {"name": "deploy", "permissions": list(permissions), **fields})
    assert answer.status_int == 201, answer.text
    return answer.json


def program(installation: Installation, token: str) -> Client:
    return Client(installation.app).with_token(token)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_int, answer.json["code"]


def at_once(client: Client, request: Callable[[int], tuple[str, Any]]) -> list[int]:
    """The statuses of six requests that are sent at once, in order of size."""
    with ThreadPoolExecutor(6) as threads:
        return sorted(threads.map(lambda number: client.copy().post(*request(number)).status_int, range(6)))


def rows(installation: Installation) -> list[ApiToken]:
    with installation.registry.user_db.begin(read_only=True) as session:
        found = list(session.scalars(select(ApiToken).order_by(ApiToken.id)))
        session.expunge_all()
    return found


def test_a_token_works_without_a_cookie_and_without_a_csrf_token(bob: Client, installation: Installation) -> None:
    token = made(bob, READ, CREATE, days=7)
    assert token["permissions"] == [CREATE, READ]
    assert token["user"]["login"] == "bob"
    assert token["last_used_at"] is None
    client = program(installation, token["token"])
    node = client.post("/nodes", {"title": "by a program"}, Sec_Fetch_Site="cross-site", Origin="https://other.example")
    assert (node.status_int, node.json["owner"]["name"]) == (201, "Bob")
    assert client.get("/t/acme/nodes", X_Tenant="acme").json["items"] == [node.json]
    assert bob.get("/nodes").json["items"] == [node.json]
    assert client.post("/nodes", {"title": "x"}, Authorization=f"bEARER  {token['token']} ").status_int == 201


def test_a_token_permits_only_what_it_was_given(bob: Client, installation: Installation) -> None:
    client = program(installation, made(bob, READ)["token"])
    assert client.get("/nodes").status_int == 200
    assert code(client.post("/nodes", {"title": "x"})) == (403, "permission_denied")


def test_a_token_is_for_its_tenant_alone(installation: Installation) -> None:
    both = Client(installation.app).sign_in("both")
    assert code(both.post("/tokens", {"name": "x", "permissions": [READ]})) == (409, "tenant_required")
    token = both.post("/t/globex/tokens", {"name": "x", "permissions": [READ]}).json["token"]
    both.switch("acme")
    client = program(installation, token)
    both.post("/nodes", {"title": "in acme"})
    assert client.get("/nodes").json["items"] == []
    for named in ("acme", "unknown", "GLOBEX", ""):
        assert code(client.get("/nodes", X_Tenant=named)) == (403, "tenant_forbidden")
    assert code(client.get("/t/acme/nodes")) == (403, "tenant_forbidden")
    assert code(client.get("/t/acme/nodes", X_Tenant="globex")) == (400, "tenant_mismatch")
    assert client.get("/t/globex/nodes").status_int == 200


def test_a_person_cannot_give_a_token_more_than_they_have(bob: Client, installation: Installation) -> None:
    for permissions in (["members.manage"], [READ, "content.edit_any"], ["nonsense\u202e"], ["session.in_tenant"]):
        answer = bob.post("/tokens", {"name": "x", "permissions": permissions})
        assert code(answer) == (403, "beyond_your_rights")
    assert "members.manage" not in answer.json["detail"]
    assert rows(installation) == []


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"permissions": []}, "/permissions"),
    ({"days": 0}, "/days"),
    ({"days": -1}, "/days"),
    ({"days": 367}, "/days"),
    ({"days": 10**30}, "/days"),
    ({"days": 1.5}, "/days"),
    ({"name": ""}, "/name"),
    ({"name": "two\nlines"}, "/name"),
    ({"token": "tapp_mine"}, "/token"),
)


def test_bad_tokens(bob: Client, installation: Installation) -> None:
    for fields, pointer in BAD:
        answer = bob.post("/tokens", {"name": "x", "permissions": [READ], **fields})
        assert code(answer) == (422, "invalid"), fields
        assert answer.json["errors"][0]["pointer"] == pointer
    assert rows(installation) == []


def test_a_person_has_so_many_tokens_in_a_tenant(
    bob: Client, ada: Client, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = installation.registry
    monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, tokens_most=2))
    first = made(bob, READ)
    made(bob, READ)
    made(ada, READ)
    assert code(bob.post("/tokens", {"name": "x", "permissions": [READ]})) == (409, "too_many_tokens")
    bob.delete(f"/tokens/{first['id']}")
    made(bob, READ)


def test_the_text_is_shown_once_and_stored_as_a_hash(bob: Client, installation: Installation) -> None:
    token = made(bob, READ, days=366)
    [listed] = bob.get("/tokens").json["items"]
    assert listed == {name: value for name, value in token.items() if name != "token"}
    [row] = rows(installation)
    assert row.token_hash == hash_token(token["token"])
    assert timedelta(days=365) < row.expires_at - utcnow() < timedelta(days=367)
    with installation.registry.user_db.begin(read_only=True) as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "token.create")).one()
        assert (entry.actor, entry.slug, entry.detail["permissions"]) == ("bob", "acme", [READ])
        assert token["token"][5:] not in str(entry.detail)


WRONG = (
    "", "x", "tapp_", "tapp_" + "a" * 49, "TAPP_{0}", "{0}{0}", "{0}, {0}", " {0}\x00", "{0}\x00", "{lower}",
    "{random}", "{other}", "tapp_'; DROP TABLE users; --", "t\xe4pp_", "a" * 8000,
)  # fmt: skip


def test_a_token_that_is_wrong(bob: Client, installation: Installation) -> None:
    """It ends the request: the cookie beside it does not count."""
    good = made(bob, READ)["token"]
    for form in WRONG:
        wrong = form.format(good, lower=good.lower(), random=good[5:], other=new_token())
        environ = {"HTTP_AUTHORIZATION": f"Bearer {wrong}"}
        answer = bob.http.get("/api/v1/nodes", extra_environ=environ, expect_errors=True)
        assert code(answer) == (401, "invalid_token"), form
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tenantapp", error="invalid_token"'
    assert rows(installation)[0].last_used_at is None


def test_other_schemes_are_not_ours(bob: Client, installation: Installation) -> None:
    """A proxy in front may want a password of its own."""
    assert bob.get("/nodes", Authorization="Basic Zm9vOmJhcg==").status_int == 200
    token = made(bob, READ)["token"]
    stranger = Client(installation.app)
    for scheme in ("Basic", "Token", "BearerX", ""):
        answer = stranger.get("/nodes", Authorization=f"{scheme} {token}")
        assert code(answer) == (401, "not_signed_in")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tenantapp"'
    stranger.http.set_cookie("tenantapp", token)
    assert code(stranger.get("/nodes")) == (401, "not_signed_in"), "an API token is no session"
    cookie = bob.http.cookies["tenantapp"]
    assert code(stranger.get("/nodes", Authorization=f"Bearer {cookie}")) == (401, "invalid_token")


def test_beside_a_cookie_the_token_counts_alone(ada: Client, installation: Installation) -> None:
    bob = Client(installation.app).sign_in("bob")
    token = made(bob, READ)["token"]
    ada.with_token(token)
    assert code(ada.get("/members")) == (403, "permission_denied")
    assert code(ada.post("/nodes", {"title": "x"})) == (403, "permission_denied")
    assert code(ada.get("/session")) == (403, "token_not_allowed")
    assert code(ada.delete("/session")) == (403, "token_not_allowed")
    ada.api_token = None
    assert ada.get("/session").status_int == 200


ENDS: dict[str, Callable[[Session], Any]] = {
    "expired": lambda session: session.execute(update(ApiToken).values(expires_at=utcnow())),
    "disabled": lambda session: users.set_enabled(session, "bob", False),
    "revoked": lambda session: api_tokens.revoke_token(session, session.scalars(select(ApiToken.id)).one()),
    "person removed": lambda session: session.execute(delete(User).where(User.login == "bob")),
    "role removed": lambda session: session.delete(
        grants.find_grant(session, tenants.get_tenant(session, "acme").id, "author", login="bob")
    ),
    "permission removed": lambda session: deny(session, "author", READ),
    "suspended": lambda session: tenants.suspend_tenant(session, "acme", "unpaid"),
    "deleted": lambda session: session.execute(update(Tenant).where(Tenant.slug == "acme").values(state="deleted")),
}
ENDED = {
    "role removed": (403, "tenant_forbidden"),
    "permission removed": (403, "permission_denied"),
    "suspended": (403, "tenant_suspended"),
    "deleted": (403, "tenant_forbidden"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_token_ends_it_from_the_next_request(bob: Client, installation: Installation, end: str) -> None:
    client = program(installation, made(bob, READ)["token"])
    assert client.get("/nodes").status_int == 200
    with installation.registry.user_db.begin() as session:
        ENDS[end](session)
    assert code(client.get("/nodes")) == ENDED.get(end, (401, "invalid_token"))


def test_a_token_regains_what_its_person_regains(bob: Client, ada: Client, installation: Installation) -> None:
    """Its permissions are those of the person now, never more than it was given."""
    client = program(installation, made(bob, READ, CREATE)["token"])
    [grant] = [each for each in ada.get("/members").json["items"] if (each["user"] or {}).get("login") == "bob"]
    path = f"/members/{grant['grants'][0]['id']}"
    ada.patch(path, {"role": "reader"})
    assert code(client.post("/nodes", {"title": "x"})) == (403, "permission_denied")
    ada.patch(path, {"role": "admin"})
    assert client.post("/nodes", {"title": "x"}).status_int == 201
    assert code(client.get("/members")) == (403, "permission_denied")


def test_tokens_outlive_sessions_and_a_new_password(bob: Client, installation: Installation) -> None:
    client = program(installation, made(bob, READ)["token"])
    with installation.registry.user_db.begin() as session:
        users.set_password(session, "bob", PASSWORD_HASH)
        assert session.scalars(select(WebSession)).all() == []
    assert client.get("/nodes").status_int == 200


def test_the_last_use_is_recorded_at_most_once_a_minute(bob: Client, installation: Installation) -> None:
    client = program(installation, made(bob, READ)["token"])
    client.get("/nodes")
    first = rows(installation)[0].last_used_at
    assert first is not None
    client.get("/nodes")
    assert rows(installation)[0].last_used_at == first
    with installation.registry.user_db.begin() as session:
        session.execute(update(ApiToken).values(last_used_at=first - timedelta(seconds=61)))
    client.get("/nodes")
    assert (rows(installation)[0].last_used_at or first) >= first
    assert bob.get("/tokens").json["items"][0]["last_used_at"] is not None


def test_people_see_and_revoke_their_own(bob: Client, ada: Client, installation: Installation) -> None:
    own, other = made(bob, READ), made(ada, READ)
    assert [token["id"] for token in bob.get("/tokens").json["items"]] == [own["id"]]
    assert code(bob.get("/tokens?all=true")) == (403, "permission_denied")
    assert bob.delete(f"/tokens/{other['id']}").status_int == 404
    assert bob.delete(f"/tokens/{own['id']}").status_int == 204
    assert code(program(installation, own["token"]).get("/nodes")) == (401, "invalid_token")
    assert bob.delete(f"/tokens/{own['id']}").status_int == 404
    assert program(installation, other["token"]).get("/nodes").status_int == 200


def test_administrators_see_and_revoke_those_of_their_tenant(
    bob: Client, ada: Client, installation: Installation
) -> None:
    both = Client(installation.app).sign_in("both")
    names = [f"token {number}" for number in range(5)]
    for client, name in zip((bob, ada, bob, ada, bob), names, strict=True):
        made(client, READ, name=name)
    elsewhere = both.post("/t/globex/tokens", {"name": "elsewhere", "permissions": [READ]}).json
    found, cursor = [], ""
    while cursor is not None:
        page = ada.get(f"/tokens?all=true&limit=2{cursor and '&cursor='}{cursor}").json
        found, cursor = found + page["items"], page["next"]
    assert [token["name"] for token in found] == names
    assert ada.delete(f"/tokens/{elsewhere['id']}").status_int == 404
    assert ada.delete(f"/tokens/{found[0]['id']}").status_int == 204
    with installation.registry.user_db.begin(read_only=True) as session:
        [entry] = list_entries(session, action="token.revoke")
        assert (entry.actor, entry.detail["user"], entry.detail["name"]) == ("ada", "bob", "token 0")


def test_the_audit_trail_says_which_token_was_used(bob: Client, installation: Installation) -> None:
    def view(request: Any) -> dict[str, str]:
        request.writes = "user"
        record(request.user_session, "test.done", detail={"more": 1})
        return {}

    app = app_with(installation, view=view)
    token = made(bob, CREATE)
    bob.http.app = app
    for client in (bob, Client(app).with_token(token["token"])):
        assert client.post("/x/view").status_int == 200
    with installation.registry.user_db.begin(read_only=True) as session:
        by_token, by_session = list_entries(session, action="test.done")
        assert (by_token.actor, by_token.detail) == ("bob", {"more": 1, "api_token": token["id"]})
        assert by_session.detail == {"more": 1}


class TestServiceAccounts:
    """Programs with an account of their own in one tenant."""

    @pytest.fixture
    def robot(self, ada: Client) -> Any:
        answer = ada.post("/service-accounts", {"login": "Robot", "name": "Deployer", "roles": ["author", "reader"]})
        assert answer.status_int == 201
        return answer.json

    def test_it_works_with_tokens_and_is_a_member(self, ada: Client, robot: Any, installation: Installation) -> None:
        assert re.fullmatch("robot@[0-9a-f]{12}", robot["login"])
        assert (robot["name"], robot["enabled"], robot["roles"]) == ("Deployer", True, ["author", "reader"])
        assert ada.get("/service-accounts").json["items"] == [robot]
        login = robot["login"]
        [member] = [each for each in ada.get("/members").json["items"] if (each["user"] or {}).get("login") == login]
        assert (member["roles"], member["user"]["service_account"]) == (["author", "reader"], True)
        assert made(ada, READ, service_account="ROBOT")["user"] == made(ada, READ, service_account=login)["user"]
        token = made(ada, CREATE, service_account="robot")
        assert token["user"]["login"] == login
        answer = program(installation, token["token"]).post("/nodes", {"title": "x"})
        assert answer.json["owner"]["name"] == "Deployer"

    def test_its_rights_bound_its_tokens(self, ada: Client, robot: Any) -> None:
        for permission in ("content.edit_any", "members.manage"):
            answer = ada.post("/tokens", {"name": "x", "permissions": [permission], "service_account": "robot"})
            assert code(answer) == (403, "beyond_your_rights")

    def test_it_cannot_sign_in_and_gets_no_password(self, ada: Client, robot: Any, installation: Installation) -> None:
        client = Client(installation.app)
        signing_in = client.post("/session", {"login": robot["login"], "password": PASSWORD})
        assert code(signing_in) == (401, "invalid_credentials")
        with installation.registry.user_db.begin() as session:
            for refused in (
                lambda: users.set_password(session, robot["login"], PASSWORD_HASH),
                lambda: groups.join_group(session, robot["login"], "editors"),
            ):
                with pytest.raises(InvalidValue, match=r"robot@.* is a service account"):
                    refused()
        for change in ("password_hash = 'x'", "operator = (1 = 1)"):
            with pytest.raises(IntegrityError), installation.registry.user_db.begin() as session:
                session.execute(text(f"UPDATE users SET {change} WHERE login LIKE 'robot@%'"))

    def test_it_belongs_to_its_tenant(self, ada: Client, robot: Any, installation: Installation) -> None:
        gina = Client(installation.app).sign_in("gina")
        assert gina.get("/service-accounts").json["items"] == []
        assert gina.post("/members", {"login": robot["login"], "role": "reader"}).status_int == 404
        answer = gina.post("/tokens", {"name": "x", "permissions": [READ], "service_account": "robot"})
        assert code(answer) == (404, "not_found")
        assert gina.delete(f"/service-accounts/{robot['id']}").status_int == 404
        with installation.registry.user_db.begin() as session:
            globex, account = tenants.get_tenant(session, "globex"), users.get_user(session, robot["login"])
            with pytest.raises(NotFound):
                grants.add_grant(session, globex.id, "reader", login=robot["login"])
            # As an older version of the program does.
            session.add(Grant(tenant_id=globex.id, user=account, role="reader"))
            place = tenants.place_of(globex)
            with pytest.raises(NotFound):
                api_tokens.create_token(
                    session, place, account, {READ}, name="x", permissions=[READ], days=1, limits=TokenLimits(1, 1)
                )

    def test_people_are_no_service_accounts(self, ada: Client) -> None:
        for login in ("ada", "bob", "unknown"):
            answer = ada.post("/tokens", {"name": "x", "permissions": [READ], "service_account": login})
            assert code(answer) == (404, "not_found")
        bob_id = next(
            each["user"]["id"]
            for each in ada.get("/members").json["items"]
            if (each["user"] or {}).get("login") == "bob"
        )
        assert ada.delete(f"/service-accounts/{bob_id}").status_int == 404

    def test_removing_it_ends_its_tokens(self, ada: Client, robot: Any, installation: Installation) -> None:
        client = program(installation, made(ada, READ, service_account="robot")["token"])
        assert ada.delete(f"/service-accounts/{robot['id']}").status_int == 204
        assert code(client.get("/nodes")) == (401, "invalid_token")
        assert rows(installation) == []
        assert ada.post("/service-accounts", {"login": "robot", "roles": ["reader"]}).status_int == 201
        with installation.registry.user_db.begin(read_only=True) as session:
            told = [entry.action for entry in reversed(list_entries(session, slug="acme"))]
            assert told[-2:] == ["service_account.create", "member.grant"]
            assert [action for action in told if action != "member.grant"][-4:] == [
                "service_account.create",
                "token.create",
                "service_account.remove",
                "service_account.create",
            ]

    def test_it_is_no_administrator_in_the_count(self, ada: Client, installation: Installation) -> None:
        ada.post("/service-accounts", {"login": "robot", "roles": ["admin"]})
        [member] = [each for each in ada.get("/members").json["items"] if (each["user"] or {}).get("login") == "ada"]
        assert code(ada.delete(f"/members/{member['grants'][0]['id']}")) == (409, "last_admin")

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"login": "x" * 242, "roles": ["reader"]}, 422),
            ({"login": "robot", "roles": ["operator"]}, 404),
            ({"login": "robot", "roles": []}, 422),
            ({"login": "robot"}, 422),
            ({"login": "@robot", "roles": ["reader"]}, 422),
            ({"login": "robot", "roles": ["reader"], "password": PASSWORD}, 422),
        ],
    )
    def test_bad_accounts(self, ada: Client, body: dict[str, Any], status: int) -> None:
        assert ada.post("/service-accounts", body).status_int == status
        assert ada.get("/service-accounts").json["items"] == []

    def test_no_tenant_learns_which_logins_others_have(
        self, ada: Client, robot: Any, installation: Installation
    ) -> None:
        gina, told = Client(installation.app).sign_in("gina"), []
        for login in ("bob", "nobody", "unknown", "robot", robot["login"]):
            answer = gina.post("/service-accounts", {"login": login, "roles": ["reader"]})
            told.append((answer.status_int, set(answer.json)))
        assert len({status for status, _ in told}) == 1
        again = ada.post("/service-accounts", {"login": "ROBOT", "roles": ["reader"]})
        assert code(again) == (409, "already_exists"), "in the own tenant there is one"

    def test_there_are_so_many_in_a_tenant(self, make_installation: Any) -> None:
        with make_installation(**{"service_accounts.most": "2", "tokens.most": "1"}) as installation:
            ada = Client(installation.app).sign_in("ada")
            made = at_once(ada, lambda n: ("/service-accounts", {"login": f"robot{n}", "roles": ["reader"]}))
            assert made == [201] * 2 + [409] * 4
            assert code(ada.post("/service-accounts", {"login": "x", "roles": ["reader"]}))[1] == (
                "too_many_service_accounts"
            )
            assert len(ada.get("/service-accounts").json["items"]) == 2
            # The same holds for the tokens of a person.
            made = at_once(ada, lambda n: ("/tokens", {"name": f"{n}", "permissions": [READ]}))
            assert made == [201] + [409] * 5

    def test_they_are_made_by_administrators(self, bob: Client, installation: Installation) -> None:
        assert code(bob.post("/service-accounts", {"login": "robot", "roles": ["reader"]})) == (
            403,
            "permission_denied",
        )
        answer = bob.post("/tokens", {"name": "x", "permissions": [READ], "service_account": "robot"})
        assert code(answer) == (403, "permission_denied")

    def test_they_go_with_their_tenant(self, ada: Client, robot: Any, installation: Installation) -> None:
        made(ada, READ, service_account="robot")
        made(ada, READ)
        with installation.registry.user_db.begin() as session:
            session.execute(delete(Tenant).where(Tenant.slug == "acme"))
            assert session.get(User, UUID(robot["id"])) is None
        assert rows(installation) == []


def test_expired_tokens_are_swept_after_a_while(bob: Client, installation: Installation) -> None:
    for days in (1, 2, 3):
        made(bob, READ, days=days)
    with installation.registry.user_db.begin() as session:
        for token in session.scalars(select(ApiToken)):
            token.expires_at -= timedelta(days=31, hours=12)
    assert len(bob.get("/tokens").json["items"]) == 3, "expired, and still in the list"
    with installation.registry.user_db.begin() as session:
        assert api_tokens.sweep_tokens(session) == 1
        assert api_tokens.sweep_tokens(session, timedelta(days=40)) == 0


def test_the_text_of_a_token_is_recognised_by_its_form_and_checksum() -> None:
    token = new_token()
    assert re.fullmatch(r"tapp_[0-9A-Za-z]{49}", token)
    assert is_token(token)
    assert len({new_token() for _ in range(100)}) == 100
    assert checksum("") == "000000"
    number = sum(ALPHABET.index(digit) * 62**place for place, digit in enumerate(reversed(token[-6:])))
    assert number == crc32(token[5:-6].encode())
    assert set(ALPHABET) == set(string.ascii_letters + string.digits)
    for place in (5, 20, 47, 48, 53):
        other = "a" if token[place] != "a" else "b"
        assert not is_token(f"{token[:place]}{other}{token[place + 1 :]}")
    assert not is_token(f"{token}\n")
