"""The members of a tenant."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from sqlalchemy import event

from tenantapp.credentials.models import AuthenticatorApp, Passkey
from tenantapp.identity import groups, members
from tenantapp.identity.audit import list_entries, local_requester, record
from tenantapp.identity.grants import add_grant
from tenantapp.identity.models import RolePermission
from tenantapp.identity.roles import add_role, allow, get_role
from tenantapp.identity.tenants import get_tenant, resume_tenant, suspend_tenant
from tenantapp.identity.users import create_user, get_user
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, Actor
from tests.installation import Client, Installation, StatementRecorder


@pytest.fixture
def ada(client: Client) -> Client:
    return client.sign_in("ada")


def member_of(client: Client, name: str) -> Any:
    for item in client.get("/members").json["items"]:
        if name in ((item["user"] or {}).get("login"), (item["group"] or {}).get("name")):
            return item
    raise AssertionError(name)


def grant_id(client: Client, name: str, role: str | None = None) -> str:
    """The id of this grant, or of that of the highest role."""
    return next(str(grant["id"]) for grant in member_of(client, name)["grants"] if role in (None, grant["role"]))


def told(installation: Installation) -> list[tuple[str, str, str | None, dict[str, Any]]]:
    """What the members of acme were given and lost after the making of the installation, the oldest first."""
    with installation.registry.user_db.begin(read_only=True) as session:
        entries = [each for each in reversed(list_entries(session, slug="acme")) if each.action.startswith("member.")]
        return [(each.actor, each.action, each.slug, each.detail) for each in entries[6:]]


def test_every_change_of_a_grant_is_in_the_audit_trail(ada: Client, installation: Installation) -> None:
    rights = ["members.manage", "content.read", "content.create"]
    token = ada.post("/tokens", {"name": "x", "permissions": rights}).json
    program = Client(installation.app).with_token(token["token"])
    grants = program.post("/members", {"login": "bob", "role": "reader"}).json["grants"]
    grant = next(each for each in grants if each["role"] == "reader")
    for role in ("editor", "editor"):  # the second changes nothing
        assert ada.patch(f"/members/{grant['id']}", {"role": role}).status_int == 200
    assert ada.delete(f"/members/{grant_id(ada, 'editors')}").status_int == 204
    last = f"/members/{grant_id(ada, 'ada')}"
    assert [ada.delete(last).status_int, ada.patch(last, {"role": "reader"}).status_int] == [409, 409]
    assert ada.post("/members", {"login": "bob", "role": "editor"}).status_int == 409
    assert told(installation) == [
        ("ada", "member.grant", "acme", {"login": "bob", "role": "reader", "api_token": token["id"]}),
        ("ada", "member.change", "acme", {"login": "bob", "role": "editor", "before": "reader"}),
        ("ada", "member.revoke", "acme", {"group": "editors", "role": "editor"}),
    ]


def test_members_are_people_and_groups(ada: Client) -> None:
    items = ada.get("/members").json["items"]
    shown = [(*item["roles"], (item["user"] or item["group"])["name"]) for item in items]
    assert shown == [
        ("editor", "editors"), ("admin", "Ada"), ("author", "Bob"), ("reader", "Rita"), ("author", "Gone"),
        ("author", "Both"),
    ]  # fmt: skip
    page = ada.get("/members?limit=4").json
    assert len(ada.get(f"/members?cursor={page['next']}").json["items"]) == 2


def names(answer: Any) -> list[str]:
    return [(item["user"] or item["group"])["name"] for item in answer.json["items"]]


def test_members_are_found_by_words_and_by_role(ada: Client, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        tenant = get_tenant(session, "acme")
        for login, name in (("zm", "Zoë MÜLLER"), ("zs", "Zoë Straße"), ("m%_x", "A 100% guest")):
            create_user(session, login, name=name)
            add_grant(session, tenant.id, "reader", login=login)
        add_grant(session, tenant.id, "author", login="zm")
    found = {
        "zoe": ["Zoë MÜLLER", "Zoë Straße"],
        "muller ZO": ["Zoë MÜLLER"],
        "strasse": ["Zoë Straße"],
        "zs": ["Zoë Straße"],
        "editors": ["editors"],
        "100%": ["A 100% guest"],
        "_": ["A 100% guest"],
        "zoe ada": [],
        "*": [],
    }
    for words, expected in found.items():
        assert names(ada.get(f"/members?q={quote(words)}")) == expected, words
    assert len(names(ada.get("/members?q=%20"))) == 9
    assert names(ada.get("/members?role=author&q=zoe")) == ["Zoë MÜLLER"]
    assert names(ada.get("/members?role=editor")) == ["editors"]
    assert names(ada.get("/members?role=nonsense")) == []
    [shown] = ada.get("/members?q=zm").json["items"]
    assert shown["roles"] == ["author", "reader"]  # all of them, whichever role was asked for
    assert ada.get("/members?role=reader&q=zm").json["items"] == [shown]


def test_found_members_come_in_pages(ada: Client, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        tenant = get_tenant(session, "acme")
        for number in range(9):
            create_user(session, f"p{number}", name="Odd" if number % 2 else "Even")
            add_grant(session, tenant.id, "reader", login=f"p{number}")
    pages, cursor = [], ""
    while cursor is not None:
        page = ada.get(f"/members?q=odd&limit=2&role=reader{cursor and '&cursor='}{cursor}").json
        pages.append([item["user"]["login"] for item in page["items"]])
        cursor = page["next"]
    assert pages == [["p1", "p3"], ["p5", "p7"]]


def test_administrators_see_who_has_no_second_factor(ada: Client, installation: Installation) -> None:
    def without() -> list[str]:
        listed, counted = ada.get("/members?without_second_factor=true"), ada.get("/members/second-factors").json
        every = ada.get("/members").json["items"]
        assert listed.json["items"] == [each for each in every if each["second_factor"] is False]
        return [*names(listed), f"{counted['without_second_factor']} of {counted['people']}"]

    ada.post("/service-accounts", {"login": "robot", "roles": ["reader"]}, status=201)
    assert ada.get("/members?q=robot").json["items"][0]["second_factor"] is None
    assert without() == ["editors", "Ada", "Bob", "Rita", "Gone", "Both", "6 of 6"]
    confirmed = {"ada": None, "bob": utcnow(), "rita": utcnow(), "ed": utcnow(), "gone": None}
    with installation.registry.user_db.begin() as session:
        people = {login: get_user(session, login).id for login in confirmed}
        session.add_all(
            AuthenticatorApp(user_id=people[login], secret="v0:x", confirmed_at=at) for login, at in confirmed.items()
        )
        key = {"name": "x", "rp_id": "localhost", "credential_id": b"x", "public_key": b"x", "sign_count": 0}
        session.add(Passkey(user_id=people["gone"], **key, aaguid=uuid4(), backed_up=False))
    assert without() == ["Ada", "Both", "2 of 6"]
    with installation.registry.user_db.begin() as session:
        groups.join_group(session, "nobody", "editors")
    assert without() == ["editors", "Ada", "Both", "3 of 7"]
    assert names(ada.get("/members?without_second_factor=true&q=bo")) == ["Both"]
    changed = ada.patch(f"/members/{grant_id(ada, 'bob')}", {"role": "reader"}, status=200).json
    assert changed["second_factor"] is True
    assert Client(installation.app).sign_in("both", "acme").get("/members/second-factors").status_int == 403


def test_a_page_of_members_takes_as_many_statements_as_one_of_them(ada: Client, installation: Installation) -> None:
    recorder = StatementRecorder(installation.registry.user_db.real)
    numbers = []
    for limit in (1, 6):
        before = len(recorder)
        with recorder:
            assert len(ada.get(f"/members?limit={limit}").json["items"]) == limit
        numbers.append(len(recorder) - before)
    assert numbers == [4, 4]  # access, the first grants, all grants of these members, and who lacks a second factor


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_members_are_found_however_many_are_looked_at_at_once(installation: Installation, at_once: int) -> None:
    with installation.registry.user_db.begin() as session:
        tenant = get_tenant(session, "acme")
        for number in range(6):
            create_user(session, f"p{number}", name="Odd" if number % 2 else "Even")
            add_grant(session, tenant.id, "reader", login=f"p{number}")
        found = members.list_members(session, tenant.id, words="odd", at_once=at_once, limit=2)
        rest = members.list_members(session, tenant.id, words="odd", at_once=at_once, limit=2, after=found[-1].first_id)
        logins = [member.user.login for member in (*found, *rest) if member.user]
    assert logins == ["p1", "p3", "p5"]


def test_the_grants_of_a_member_are_found_by_an_index(installation: Installation) -> None:
    """Else SQLite looks at all grants of the tenant for each: 10,000 members would take a minute."""
    asked = []
    with installation.registry.user_db.begin(read_only=True) as session:
        if session.get_bind().dialect.name != "sqlite":
            return  # PostgreSQL plans by statistics
        connection = session.connection()
        note: Any = lambda _, __, statement, values, *___: asked.append((statement, values))  # noqa: E731
        event.listen(connection, "before_cursor_execute", note)
        members.list_members(session, get_tenant(session, "acme").id, role="reader", limit=5)
        event.remove(connection, "before_cursor_execute", note)
        [(statement, values)] = [each for each in asked if "EXISTS" in each[0]]
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    for grantee in ("user_id", "group_id"):
        assert any(f"(tenant_id=? AND {grantee}=?" in step for step in plan), plan
    assert not [step for step in plan if step.endswith("(tenant_id=?)") and " grants_" in step], plan


def test_a_search_of_members_that_makes_no_sense_is_refused(ada: Client) -> None:
    for query in (f"q={'x' * 201}", "q=a&q=b", f"role={'x' * 51}", "q=%00", "login=x", "cursor=x"):
        assert ada.get(f"/members?{query}").json["code"] == "invalid_query", query


def test_a_new_member_is_in_from_the_next_request_and_out_again(ada: Client, installation: Installation) -> None:
    nobody = Client(installation.app).sign_in("nobody")
    assert nobody.switch("acme").json["code"] == "tenant_forbidden"
    invitation = ada.post("/invitations", {"login": "nobody", "role": "author"}).json
    assert nobody.switch("acme").status_int == 403
    assert nobody.post(f"/account/invitations/{invitation['id']}").status_int == 200
    member = member_of(ada, "nobody")
    assert nobody.switch("acme").status_int == 200
    assert nobody.post("/nodes", {"title": "x"}).status_int == 201
    [grant] = member["grants"]
    path = f"/members/{grant['id']}"
    assert ada.patch(path, {"role": "reader"}).json == {
        "user": member["user"],
        "group": None,
        "roles": ["reader"],
        "grants": [{"id": grant["id"], "role": "reader"}],
        "second_factor": False,
    }
    assert nobody.post("/nodes", {"title": "x"}).json["code"] == "permission_denied"
    assert ada.delete(path).status_int == 204
    assert nobody.get("/nodes").json["code"] == "tenant_forbidden"


def test_a_group_becomes_a_member(installation: Installation) -> None:
    gina = Client(installation.app).sign_in("gina")
    ed = Client(installation.app).sign_in("ed")
    assert ed.switch("globex").status_int == 403
    assert gina.post("/members", {"group": "editors", "role": "reader"}).status_int == 201
    assert ed.switch("globex").json["roles"] == ["reader"]


def test_a_member_has_several_roles_by_themselves_and_by_groups(ada: Client, installation: Installation) -> None:
    bob = Client(installation.app).sign_in("bob")
    node = ada.post("/nodes", {"title": "Ada's"}).json
    assert bob.patch(f"/nodes/{node['id']}", {"title": "Bob's"}).json["code"] == "not_owner"
    answer = ada.post("/members", {"login": "bob", "role": "editor"})
    assert (answer.status_int, answer.json["roles"]) == (201, ["editor", "author"])
    assert answer.json == member_of(ada, "bob")
    assert bob.patch(f"/nodes/{node['id']}", {"title": "Bob's"}).status_int == 200
    with installation.registry.user_db.begin() as session:
        groups.join_group(session, "bob", "editors")
    assert ada.post("/members", {"group": "editors", "role": "reader"}).json["roles"] == ["editor", "reader"]
    shown = bob.get("/session").json
    assert shown["roles"] == ["editor", "author", "reader"]
    held = ["editor", "author", "reader"]
    assert shown["tenants"] == [{"slug": "acme", "name": "Acme", "roles": held, "state": "active"}]
    assert ada.post("/members", {"login": "bob", "role": "editor"}).json["code"] == "already_exists"
    path = f"/members/{grant_id(ada, 'bob', 'author')}"
    assert ada.patch(path, {"role": "editor"}).json["code"] == "already_exists"
    assert ada.patch(path, {"role": "author"}).json["roles"] == ["editor", "author"], "as it was"
    assert ada.delete(path).status_int == 204
    assert member_of(ada, "bob")["roles"] == ["editor"]
    ada.delete(f"/members/{grant_id(ada, 'bob')}")
    ada.delete(f"/members/{grant_id(ada, 'editors', 'editor')}")
    assert bob.get("/session").json["roles"] == ["reader"]


def test_permissions_are_the_union_whatever_the_rank(ada: Client, installation: Installation) -> None:
    """A role of low rank may permit what none above it does."""
    with installation.registry.user_db.begin() as session:
        allow(session, "reader", "shop.open", known={"shop.open"})
    bob = Client(installation.app).sign_in("bob")
    assert "shop.open" not in bob.get("/session").json["permissions"]
    ada.post("/members", {"login": "bob", "role": "reader"})
    assert {"shop.open", "content.create"} < set(bob.get("/session").json["permissions"])


def test_pages_have_each_member_once(ada: Client) -> None:
    for login in ("bob", "rita", "both"):
        for role in ("editor", "admin"):
            assert ada.post("/members", {"login": login, "role": role}).status_int == 201
    whole, pages, cursor = ada.get("/members").json["items"], [], ""
    while cursor is not None:
        page = ada.get(f"/members?limit=2{cursor and '&cursor='}{cursor}").json
        pages += page["items"]
        cursor = page["next"]
    assert pages == whole
    assert [(item["user"] or item["group"])["name"] for item in whole] == [
        "editors", "Ada", "Bob", "Rita", "Gone", "Both",
    ]  # fmt: skip
    assert whole[2]["roles"] == ["admin", "editor", "author"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"login": "unknown", "role": "reader"}, 404),
        ({"group": "unknown", "role": "reader"}, 404),
        ({"login": "nobody", "role": "operator"}, 404),
        ({"login": "bob", "role": "author"}, 409),
        ({"role": "reader"}, 422),
        ({"login": "bob", "group": "editors", "role": "reader"}, 422),
        ({"login": "bob"}, 422),
    ],
)
def test_bad_members(ada: Client, body: dict[str, str], status: int) -> None:
    before = ada.get("/members").json
    assert ada.post("/members", body).status_int == status
    assert ada.get("/members").json == before


def test_the_last_administrator_stays(ada: Client, installation: Installation) -> None:
    path = f"/members/{grant_id(ada, 'ada')}"
    assert ada.delete(path).json["code"] == "last_admin"
    assert ada.patch(path, {"role": "reader"}).json["code"] == "last_admin"
    assert ada.get("/members").status_int == 200
    assert ada.post("/members", {"login": "ada", "role": "author"}).status_int == 201
    assert ada.delete(path).json["code"] == "last_admin", "another role does not help"
    assert ada.delete(f"/members/{grant_id(ada, 'ada', 'author')}").status_int == 204
    ada.patch(f"/members/{grant_id(ada, 'gone')}", {"role": "admin"})
    assert ada.delete(path).json["code"] == "last_admin", "a disabled person is no administrator"
    ada.patch(f"/members/{grant_id(ada, 'editors')}", {"role": "admin"})
    assert ada.delete(path).status_int == 204
    assert ada.get("/members").json["code"] == "tenant_forbidden"


def test_members_are_for_administrators_of_this_tenant(ada: Client, installation: Installation) -> None:
    for login in ("bob", "rita", "ed"):
        other = Client(installation.app).sign_in(login)
        assert other.get("/members").json["code"] == "permission_denied"
        assert other.post("/members", {"login": "nobody", "role": "admin"}).json["code"] == "permission_denied"
    gina = Client(installation.app).sign_in("gina")
    path = f"/members/{grant_id(ada, 'bob')}"
    assert gina.patch(path, {"role": "admin"}).status_int == 404
    assert gina.delete(path).status_int == 404
    assert ada.patch(f"/members/{uuid4()}", {"role": "reader"}).status_int == 404


def test_nobody_gives_or_takes_a_role_that_permits_more_than_theirs(ada: Client, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        for role, login, permissions in (
            ("usher", "rita", ["members.manage", "content.read"]),
            ("auditor", "gina", ["audits.sign"]),
        ):
            made = add_role(session, role)
            made.permissions = [RolePermission(permission=permission) for permission in permissions]
            add_grant(session, get_tenant(session, "acme").id, role, login=login)
    rita = Client(installation.app).sign_in("rita", tenant="acme")
    before = rita.get("/members").json
    refused = [
        rita.post("/members", {"login": "bob", "role": "admin"}),
        rita.post("/invitations", {"login": "nobody", "role": "admin"}),
        rita.post("/members", {"login": "rita", "role": "author"}),
        rita.post("/members", {"group": "editors", "role": "auditor"}),
        rita.patch(f"/members/{grant_id(ada, 'bob')}", {"role": "reader"}),
        rita.patch(f"/members/{grant_id(ada, 'rita')}", {"role": "admin"}),
        rita.delete(f"/members/{grant_id(ada, 'ada')}"),
        rita.post("/service-accounts", {"login": "robot", "roles": ["reader", "admin"]}),
    ]
    assert {(answer.status_int, answer.json["code"]) for answer in refused} == {(403, "beyond_your_rights")}
    assert rita.get("/members").json == before
    # What they have, they give; and an administrator decides on roles of work that is not theirs.
    assert rita.post("/members", {"login": "bob", "role": "reader"}).status_int == 201
    assert ada.post("/members", {"login": "bob", "role": "auditor"}).status_int == 201
    token = ada.post("/tokens", {"name": "x", "permissions": ["members.manage"]}).json["token"]
    answer = Client(installation.app).with_token(token).post("/members", {"login": "gina", "role": "reader"})
    assert answer.json["code"] == "beyond_your_rights"


def test_the_roles_are_told_to_those_who_give_them(ada: Client, installation: Installation) -> None:
    answer = ada.get("/roles").json
    assert [item["name"] for item in answer["items"]] == ["admin", "editor", "author", "reader"]
    assert answer["items"][-1]["permissions"] == ["content.read"]
    assert "members.manage" in answer["items"][0]["permissions"]
    assert answer["next"] is None
    refused = Client(installation.app).sign_in("bob").get("/roles")
    assert (refused.status_int, refused.json["code"]) == (403, "permission_denied")


class TestAudit:
    """What the administrators of a tenant see of the audit trail."""

    def test_the_changes_of_ones_own_tenant_newest_first(self, ada: Client, installation: Installation) -> None:
        gina = Client(installation.app).sign_in("gina")
        token = ada.post("/tokens", {"name": "x", "permissions": ["members.manage"]}).json
        ada.post("/members", {"login": "bob", "role": "reader"})
        gina.post("/members", {"group": "editors", "role": "reader"})
        items = ada.get("/tenant/audit?actor=ada").json["items"]
        assert [(each["action"], each["detail"].get("login")) for each in items] == [
            ("member.grant", "bob"),
            ("token.create", None),
            ("session.start", None),
        ]
        assert set(items[0]) == {"id", "at", "actor", "action", "detail", "impersonated"}
        page = ada.get("/tenant/audit?actor=ada&limit=1").json
        assert page["items"] == items[:1]
        assert ada.get(f"/tenant/audit?actor=ada&limit=1&cursor={page['next']}").json["items"] == items[1:2]
        assert ada.get("/tenant/audit?action=token.create").json["items"] == items[1:2]
        assert gina.get("/tenant/audit").json["items"][0]["actor"] == "gina"
        assert ada.get("/tenant/audit?actor=gina").json["items"] == []
        program = Client(installation.app).with_token(token["token"])
        assert program.get("/tenant/audit?actor=ada").json["items"] == items

    def test_operators_are_not_named_and_machines_not_told_of(self, ada: Client, installation: Installation) -> None:
        with installation.registry.user_db.begin() as session:
            acme = get_tenant(session, "acme").id
            session.info[ACTOR] = Actor("otto", uuid4(), "request", "192.0.2.1")
            suspend_tenant(session, "acme", "unpaid")
            resume_tenant(session, "acme")
            record(session, "move.request", tenant_id=acme, slug="acme", detail={"server": "db7"})
        with installation.registry.user_db.begin() as session:
            add_grant(session, acme, "reader", login="nobody")  # from the command line: local:NAME
            record(session, "fleet.query", slug="acme", detail={})  # of another tenant, which once had this slug
        items = ada.get("/tenant/audit?limit=4").json["items"]
        assert [(each["actor"], each["action"], each["detail"]) for each in items] == [
            (None, "member.grant", {"login": "nobody", "role": "reader"}),
            (None, "move.request", {}),
            (None, "tenant.resume", {}),
            (None, "tenant.suspend", {"reason": "unpaid"}),
        ]
        for actor in ("otto", local_requester()):
            assert ada.get(f"/tenant/audit?actor={actor}").json["items"] == []

    def test_needs_the_right_to_manage_members(self, installation: Installation) -> None:
        refused = Client(installation.app).sign_in("bob").get("/tenant/audit")
        assert (refused.status_int, refused.json["code"]) == (403, "permission_denied")


def test_an_empty_role_of_administrators_lets_nobody_decide_on_the_tenant(
    ada: Client, installation: Installation
) -> None:
    with installation.registry.user_db.begin() as session:
        made = add_role(session, "usher")
        made.permissions = [RolePermission(permission=each) for each in ("members.manage", "content.read")]
        add_grant(session, get_tenant(session, "acme").id, "usher", login="rita")
        get_role(session, "admin").permissions = []
    rita = Client(installation.app).sign_in("rita", "acme")
    answer = rita.patch("/tenant/settings", {"impersonation_forbidden": True})
    assert (answer.status_int, answer.json["code"]) == (403, "beyond_your_rights")
