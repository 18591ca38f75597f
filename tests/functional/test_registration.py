"""People register by themselves: with a confirmed address, and where the setting says so with a tenant of their own."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tenantapp.identity.users import get_user
from tests.installation import PASSWORD, Client, Installation

ADDRESS = "grace@example.com"
GRACE = {"login": "grace", "password": PASSWORD, "name": "Grace"}


@pytest.fixture
def opened(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Client]:
    """An installation in which people register in this way."""

    def made(how: str) -> Client:
        registry = installation.registry
        monkeypatch.setattr(registry, "app_settings", replace(registry.app_settings, identity_registration=how))
        return Client(installation.app)

    return made


def token_for(client: Client, installation: Installation, address: str = ADDRESS) -> str:
    """The token of the link that is mailed to an address."""
    assert client.post("/users", {"address": address}).status_int == 202
    content = installation.deliver_mails()[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    found = re.search(r"https?://[\w.]+/links/registration#([\w-]{43})", content)
    assert found, content
    return found[1]


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_int, answer.json["code"]


def test_it_is_closed_by_default(client: Client, installation: Installation) -> None:
    assert problem(client.post("/users", {"address": ADDRESS})) == (403, "registration_closed")
    answer = client.post("/links/registration", {**GRACE, "token": "x"})
    assert problem(answer) == (403, "registration_closed")


def test_who_reads_the_mail_of_an_address_registers(
    opened: Callable[[str], Client], installation: Installation
) -> None:
    client = opened("open")
    token = token_for(client, installation)
    for wrong, expected in (
        ({"login": "R00t"}, (422, "invalid")),
        ({"login": "a\u0501a"}, (422, "invalid")),
        ({"login": "bob"}, (409, "already_exists")),
        ({"login": "b0b"}, (409, "already_exists")),  # it looks like bob
        ({"password": "short"}, (422, "invalid")),
        ({"password": "grace@example.com"}, (422, "invalid")),
        ({"tenant": {"slug": "own", "name": "Own"}}, (422, "invalid")),
        ({"login": "other@example.com"}, (422, "invalid")),  # not the address of the link
        ({"login": "forgotten:x"}, (422, "invalid")),
        ({"token": "x" * 43}, (410, "link_not_valid")),
    ):
        installation.registry.throttle.forget(token)
        assert problem(client.post("/links/registration", {**GRACE, "token": token, **wrong})) == expected, wrong
    installation.registry.throttle.forget(token)
    made = client.post("/links/registration", {**GRACE, "token": token})
    assert (made.status_int, made.json["login"], made.json["name"]) == (201, "grace", "Grace")
    assert client.get("/session").status_int == 401, "a link signs nobody in"
    assert client.sign_in("grace").get("/session").json["tenants"] == []
    assert client.get("/account").json["address"] == ADDRESS
    again = client.post("/links/registration", {**GRACE, "login": "eve", "token": token})
    assert problem(again) == (410, "link_not_valid")


def test_the_answer_does_not_tell_who_has_an_account(
    opened: Callable[[str], Client], installation: Installation
) -> None:
    client = opened("open")
    with installation.registry.user_db.begin() as session:
        get_user(session, "bob").mail_address = "bob@example.com"
    answers = [client.post("/users", {"address": address}) for address in (ADDRESS, "bob@EXAMPLE.com")]
    assert answers[0].json == answers[1].json
    mails = {mail["To"]: mail for mail in installation.deliver_mails()}
    assert mails["bob@example.com"]["Subject"] == "You have an account already"
    assert "#" not in mails["bob@example.com"].get_body(("plain",)).get_content()
    assert mails[ADDRESS]["Subject"] == "Make your account"


def test_an_address_is_not_flooded_with_mail(opened: Callable[[str], Client], installation: Installation) -> None:
    client = opened("open")
    answers = [client.post("/users", {"address": ADDRESS}) for _ in range(7)]
    assert problem(answers[-1]) == (429, "too_many_attempts")
    assert 0 < len(installation.deliver_mails()) < 7
    assert problem(client.post("/users", {"address": "no address"})) == (422, "invalid")


def test_a_link_does_not_tell_again_and_again_which_logins_are_taken(
    opened: Callable[[str], Client], installation: Installation
) -> None:
    client = opened("open")
    body = {**GRACE, "token": token_for(client, installation)}
    answers = [problem(client.post("/links/registration", {**body, "login": "bob"})) for _ in range(7)]
    assert (answers[0], answers[-1]) == ((409, "already_exists"), (429, "too_many_attempts"))


def test_who_asks_for_mail_to_an_address_does_not_keep_its_owner_from_the_link(
    opened: Callable[[str], Client], installation: Installation
) -> None:
    client = opened("open")
    token = token_for(client, installation)
    stranger = Client(installation.app)
    assert [stranger.post("/users", {"address": ADDRESS}).status_int for _ in range(6)][-1] == 429
    assert client.post("/links/registration", {**GRACE, "token": token}).status_int == 201


def test_people_begin_with_a_tenant_of_their_own(opened: Callable[[str], Client], installation: Installation) -> None:
    client = opened("tenant")
    token = token_for(client, installation)
    body = {**GRACE, "token": token}
    for tenant, expected in (
        (None, (422, "invalid")),
        ({"slug": "acme", "name": "Acme"}, (409, "already_exists")),
        ({"slug": "adm-in/", "name": "x"}, (422, "invalid")),
        ({"slug": "r00t", "name": "x"}, (422, "invalid")),
        ({"slug": "own", "name": ""}, (422, "invalid")),
        ({"slug": PASSWORD.split()[0], "name": "x"}, (422, "invalid")),  # it is in the password
    ):
        installation.registry.throttle.forget(token)
        assert problem(client.post("/links/registration", {**body, "tenant": tenant})) == expected, tenant
    installation.registry.throttle.forget(token)
    made = client.post("/links/registration", {**body, "tenant": {"slug": "graces", "name": "Grace's"}})
    assert made.status_int == 201
    otto = Client(installation.app)
    with installation.registry.user_db.begin() as session:
        get_user(session, "nobody").operator = True
    [operation] = otto.sign_in("nobody").get("/fleet/operations?slug=graces").json["items"]
    assert (operation["kind"], operation["requested_by"]) == ("create", "grace")
