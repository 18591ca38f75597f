"""The members of a tenant."""

from uuid import uuid4

import pytest

from tests.installation import Client, Installation


@pytest.fixture
def ada(client: Client) -> Client:
    return client.sign_in("ada")


def member_id(client: Client, name: str) -> str:
    for item in client.get("/members").json["items"]:
        if name in ((item["user"] or {}).get("login"), (item["group"] or {}).get("name")):
            return str(item["id"])
    raise AssertionError(name)


def test_members_are_people_and_groups(ada: Client) -> None:
    items = ada.get("/members").json["items"]
    shown = [(item["role"], (item["user"] or item["group"])["name"]) for item in items]
    assert shown == [
        ("editor", "editors"), ("admin", "Ada"), ("author", "Bob"), ("reader", "Rita"), ("author", "Gone"),
        ("author", "Both"),
    ]  # fmt: skip
    page = ada.get("/members?limit=4").json
    assert len(ada.get(f"/members?cursor={page['next']}").json["items"]) == 2


def test_a_new_member_is_in_from_the_next_request_and_out_again(ada: Client, installation: Installation) -> None:
    nobody = Client(installation.app).sign_in("nobody")
    assert nobody.switch("acme").json["code"] == "tenant_forbidden"
    answer = ada.post("/members", {"login": "nobody", "role": "author"})
    assert answer.status_int == 201
    assert nobody.switch("acme").status_int == 200
    assert nobody.post("/nodes", {"title": "x"}).status_int == 201
    path = f"/members/{answer.json['id']}"
    assert ada.patch(path, {"role": "reader"}).json["role"] == "reader"
    assert nobody.post("/nodes", {"title": "x"}).json["code"] == "permission_denied"
    assert ada.delete(path).status_int == 204
    assert nobody.get("/nodes").json["code"] == "tenant_forbidden"


def test_a_group_becomes_a_member(installation: Installation) -> None:
    gina = Client(installation.app).sign_in("gina")
    ed = Client(installation.app).sign_in("ed")
    assert ed.switch("globex").status_int == 403
    assert gina.post("/members", {"group": "editors", "role": "reader"}).status_int == 201
    assert ed.switch("globex").json["role"] == "reader"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"login": "unknown", "role": "reader"}, 404),
        ({"group": "unknown", "role": "reader"}, 404),
        ({"login": "nobody", "role": "operator"}, 404),
        ({"login": "bob", "role": "reader"}, 409),
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
    path = f"/members/{member_id(ada, 'ada')}"
    assert ada.delete(path).json["code"] == "last_admin"
    assert ada.patch(path, {"role": "reader"}).json["code"] == "last_admin"
    assert ada.get("/members").status_int == 200
    ada.patch(f"/members/{member_id(ada, 'gone')}", {"role": "admin"})
    assert ada.delete(path).json["code"] == "last_admin", "a disabled person is no administrator"
    ada.patch(f"/members/{member_id(ada, 'editors')}", {"role": "admin"})
    assert ada.delete(path).status_int == 204
    assert ada.get("/members").json["code"] == "tenant_forbidden"


def test_members_are_for_administrators_of_this_tenant(ada: Client, installation: Installation) -> None:
    for login in ("bob", "rita", "ed"):
        other = Client(installation.app).sign_in(login)
        assert other.get("/members").json["code"] == "permission_denied"
        assert other.post("/members", {"login": "nobody", "role": "admin"}).json["code"] == "permission_denied"
    gina = Client(installation.app).sign_in("gina")
    path = f"/members/{member_id(ada, 'bob')}"
    assert gina.patch(path, {"role": "admin"}).status_int == 404
    assert gina.delete(path).status_int == 404
    assert ada.patch(f"/members/{uuid4()}", {"role": "reader"}).status_int == 404
