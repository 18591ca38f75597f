"""The names of people, for everybody who may enter the tenant to which they belong or belonged."""

from uuid import UUID, uuid4

import pytest

from tenantapp.identity import grants
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tests.installation import Client, Installation


@pytest.fixture
def ids(installation: Installation) -> dict[str, UUID]:
    """The ids of people by login."""
    logins = ("ada", "ed", "bob", "rita", "gina", "both", "nobody", "gone")
    with installation.registry.user_db.begin(read_only=True) as session:
        return {login: get_user(session, login).id for login in logins}


def names(client: Client, *ids: UUID) -> list[str]:
    answer = client.get(f"/people?ids={','.join(map(str, ids))}")
    assert answer.status_int == 200, answer.text
    assert answer.json["next"] is None
    assert all(item.keys() == {"id", "name"} for item in answer.json["items"])
    return [item["name"] for item in answer.json["items"]]


def test_a_reader_learns_the_names_of_their_tenant_and_no_others(client: Client, ids: dict[str, UUID]) -> None:
    rita = client.sign_in("rita")
    assert names(rita, *ids.values(), uuid4()) == ["Ada", "Ed", "Bob", "Rita", "Both", "Gone"]
    assert names(rita, ids["bob"], ids["ada"], ids["bob"]) == ["Bob", "Ada"]
    assert names(rita, ids["gina"], ids["nobody"]) == []
    gina = Client(client.http.app).sign_in("gina")
    assert names(gina, *ids.values()) == ["Gina", "Both"]


def test_who_was_a_member_keeps_their_name(client: Client, installation: Installation, ids: dict[str, UUID]) -> None:
    with installation.registry.user_db.begin() as session:
        acme = get_tenant(session, "acme").id
        grants.remove_grant(session, grants.find_grant(session, acme, "author", login="bob"))
    assert names(client.sign_in("rita"), ids["bob"], ids["gina"]) == ["Bob"]
    assert names(Client(client.http.app).sign_in("gina"), ids["bob"]) == []


def test_a_service_account_and_a_token_are_of_the_tenant(client: Client, ids: dict[str, UUID]) -> None:
    ada = client.sign_in("ada")
    account = ada.post("/service-accounts", {"login": "robot", "name": "Robot", "roles": ["reader"]}).json
    assert names(ada, UUID(account["id"])) == ["Robot"]
    assert names(Client(client.http.app).sign_in("gina"), UUID(account["id"])) == []
    token = ada.post("/tokens", {"name": "x", "permissions": ["content.read"]}).json["token"]
    assert names(Client(client.http.app).with_token(token), ids["bob"], ids["gina"]) == ["Bob"]


@pytest.mark.parametrize(
    "query", ["", "?ids=", "?ids=1", "?ids=" + ",".join(["0" * 8 + "-0000" * 3 + "-" + "0" * 12] * 101)]
)
def test_odd_ids_are_refused(client: Client, query: str) -> None:
    answer = client.sign_in("rita").get(f"/people{query}")
    assert (answer.status_int, answer.json["code"]) == (400, "invalid_query")
