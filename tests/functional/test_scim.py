"""The directory of a tenant says by SCIM who is there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_server.requests import ScimRequest
from scim2_tester import Status, check_server
from sqlalchemy import select, update
from webtest import TestApp

from tenantapp.audit.forgetting import leave
from tenantapp.credentials.post import Post
from tenantapp.federation import directory
from tenantapp.federation.directory import Bounds
from tenantapp.federation.errors import AccountDisabled, NoRole, RequestRefused, SingleSignOnFailed
from tenantapp.federation.models import FederatedIdentity, IdentityProvider, ProviderRole, ProvisionedPerson
from tenantapp.federation.people import make_person, vouched
from tenantapp.federation.scim_service import answer
from tenantapp.federation.signing_in import Proved, sign_in
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.grants import add_grant, find_grant, remove_grant
from tenantapp.identity.models import AuditEntry, Grant, Invitation, Tenant, User
from tenantapp.identity.roles import add_role, allow
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user, set_enabled
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, Person
from tests.installation import Client, Installation

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
CARLA = {"userName": "Carla@example.com", "externalId": "id-of-carla", "displayName": "Carla Müller"}


@dataclass
class Directory:
    """The directory of a tenant, with its token."""

    http: TestApp
    slug: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        call = getattr(self.http, f"{method}_json" if body is not None else method)
        arguments = {} if body is None else {"params": body, "content_type": "application/scim+json"}
        answer = call(f"/scim/v2/{self.slug}{path}", headers=sent, expect_errors=True, **arguments)
        assert answer.status_int == status, answer.text
        if status >= 400:
            assert answer.content_type == "application/scim+json"
            assert (answer.json["status"], answer.json["schemas"]) == (str(status), [scim_error])
        return answer.json if answer.body else None

    def add(self, person: dict[str, Any] = CARLA, **changed: Any) -> str:
        """Tell of a person, and return the id."""
        return str(self.ask("post", "/Users", {"schemas": [USER], **person, **changed}, 201)["id"])

    def group(self, name: str, *members: str, **changed: Any) -> str:
        """Tell of a group, and return the id."""
        listed = [{"value": member} for member in members]
        body = {"schemas": [GROUP], "displayName": name, "members": listed, **changed}
        return str(self.ask("post", "/Groups", body, 201)["id"])

    def patch(self, path: str, *operations: dict[str, Any], status: int = 204) -> Any:
        return self.ask("patch", path, {"schemas": [PATCH], "Operations": list(operations)}, status)

    def found(self, kind: str, **query: str) -> list[str]:
        answer = self.http.get(f"/scim/v2/{self.slug}/{kind}", query, headers={"Authorization": f"Bearer {self.token}"})
        return [each["id"] for each in answer.json.get("Resources", [])]


scim_error = "urn:ietf:params:scim:api:messages:2.0:Error"
Open = Callable[..., Directory]


@pytest.fixture
def opened(installation: Installation) -> Open:
    """Makes the provider of a tenant, and a token for its directory."""

    def opened(slug: str = "acme", admin: str = "ada", default_role: str | None = "reader") -> Directory:
        with installation.registry.user_db.begin() as session:
            tenant = get_tenant(session, slug)
            provider = IdentityProvider(
                tenant_id=tenant.id,
                name="Directory",
                issuer="https://login.example.com",
                client_id=slug,
                groups_claim="groups",
                default_role=default_role,
                factor_values="",
                roles=[ProviderRole(group="Staff", role="author"), ProviderRole(group="id-of-admins", role="admin")],
            )
            session.add(provider)
            session.flush()
            tenant.identity_provider_id = provider.id
        page = Client(installation.app).sign_in(admin, slug)
        made = page.post("/provisioning-tokens", {"name": "Entra ID"}, status=201).json
        return Directory(TestApp(installation.app), slug, made["token"])

    return opened


@pytest.fixture
def acme(opened: Open) -> Directory:
    return opened()


def come(installation: Installation, slug: str = "acme", link_to: UUID | None = None, **claims: Any) -> Client:
    """The page of a person whom the provider of the tenant has just vouched for."""
    with installation.registry.user_db.begin() as session:
        provider = session.scalars(select(IdentityProvider).where(IdentityProvider.client_id == slug)).one()
        who = Proved(vouched(claims, "groups"), second_factor=False)
        linking = None if link_to is None else Access(Person(link_to, "both", "Both"), authenticated_at=utcnow())
        lifetimes, post = installation.registry.lifetimes, Post("https://app.example.com")
        token, _ = sign_in(session, provider.id, who, lifetimes, None, linking=linking, post=post)
    page = Client(installation.app)
    page.http.extra_environ["HTTP_COOKIE"] = f"tenantapp={token}"
    page.csrf_token = page.get("/session", status=200).json["csrf_token"]
    return page


def active(acme: Directory, person_id: str, value: bool, status: int = 204) -> Any:
    """The directory lets a person in, or shuts them out."""
    return acme.patch(f"/Users/{person_id}", {"op": "replace", "path": "active", "value": value}, status=status)


def user_of(installation: Installation, person_id: str) -> User:
    with installation.registry.user_db.begin(read_only=True) as session:
        person = session.get_one(ProvisionedPerson, UUID(person_id))
        user = session.get_one(User, person.user_id)
        session.expunge_all()
    return user


def roles(installation: Installation, user: User) -> set[str]:
    with installation.registry.user_db.begin(read_only=True) as session:
        return set(session.scalars(select(Grant.role).where(Grant.user_id == user.id)))


class Checking(WSGISCIMClient):
    """Removes nothing twice: after each check, the checker removes all that it has made in those before."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gone: set[str] = set()

    def delete(self, model: Any, id: str | None = None, **options: Any) -> Any:
        if id in self.gone:
            return None
        answer = super().delete(model, id, **options)
        self.gone.add(str(id))
        return answer


def test_a_checker_of_servers_is_content(acme: Directory, installation: Installation) -> None:
    client = Checking(
        installation.app, base_url="http://localhost/scim/v2/acme", headers={"Authorization": f"Bearer {acme.token}"}
    )
    results = check_server(client)
    bad = [each for each in results if each.status in (Status.ERROR, Status.CRITICAL, Status.DEVIATION)]
    assert [(each.title, each.reason) for each in bad] == []
    assert len([each for each in results if each.status in (Status.SUCCESS, Status.COMPLIANT)]) > 50


def test_a_person_is_provisioned_and_signs_in(acme: Directory, installation: Installation) -> None:
    carla = acme.add()
    user = user_of(installation, carla)
    assert user.login.startswith("carla@example.com@")
    assert (user.name, user.password_hash, user.mail_address) == ("Carla Müller", None, None)
    assert roles(installation, user) == {"reader"}
    staff = acme.group("staff of another case", carla)
    acme.patch(f"/Groups/{staff}", {"op": "replace", "path": "displayName", "value": "Staff"})
    assert roles(installation, user) == {"reader", "author"}
    page = come(installation, sub="id-of-carla", name="Whoever", groups=["Staff", "others"])
    assert page.get("/session").json["user"]["id"] == str(user.id)
    assert set(page.get("/session").json["roles"]) == {"reader", "author"}
    # From here on the groups of the directory count, and no others.
    acme.patch(f"/Groups/{staff}", {"op": "remove", "path": f'members[value eq "{carla}"]'})
    assert page.get("/session").json["roles"] == ["reader"]
    assert come(installation, sub="id-of-carla", groups=["Staff"]).get("/session").json["roles"] == ["reader"]
    acme.patch(f"/Users/{carla}", {"op": "replace", "path": "displayName", "value": "Carla Schmidt"})
    assert page.get("/session").json["user"]["name"] == "Carla Schmidt"


def test_who_is_removed_is_out_from_the_next_request(acme: Directory, installation: Installation) -> None:
    """By a session and by an API token, and they do not come back before the directory says so."""
    carla = acme.add()
    acme.add(userName="dora@example.com", externalId="id-of-dora")
    for number, remove in enumerate(
        (
            lambda: acme.patch(f"/Users/{carla}", {"op": "Replace", "path": "active", "value": "False"}),
            lambda: acme.ask("delete", f"/Users/{carla}", status=204),
        )
    ):
        page = come(installation, sub="id-of-carla")
        made = page.post("/tokens", {"name": "mine", "permissions": ["content.read"]}, status=201).json["token"]
        program = Client(installation.app).with_token(made)
        page.get("/nodes", status=200)
        program.get("/nodes", status=200)
        remove()
        assert (page.get("/nodes").status_int, program.get("/nodes").status_int) == (401, 401)
        with pytest.raises((SingleSignOnFailed, NoRole)):
            come(installation, sub="id-of-carla")
        if number == 0:
            acme.patch(f"/Users/{carla}", {"op": "Replace", "path": "active", "value": "True"})
            assert program.get("/nodes").status_int == 401
    acme.ask("get", f"/Users/{carla}", status=404)
    # Told of again, they are who they were.
    again = acme.add()
    assert again != carla
    with installation.registry.user_db.begin(read_only=True) as session:
        identity = session.scalars(select(FederatedIdentity)).one()
        assert session.get_one(ProvisionedPerson, UUID(again)).user_id == identity.user_id
        actions = set(session.scalars(select(AuditEntry.action).where(AuditEntry.actor == "scim Entra ID")))
    assert {"scim.person_add", "scim.person_deactivate", "scim.person_remove", "token.revoke", "user.disable"} < actions
    come(installation, sub="id-of-carla").get("/nodes", status=200)


def test_a_directory_enables_again_only_whom_it_has_shut_out(acme: Directory, installation: Installation) -> None:
    """Not whom an operator has disabled, before it or after it, and not who is about to be forgotten."""

    def disabled(login: str) -> None:
        with installation.registry.user_db.begin() as session:
            set_enabled(session, login, False)

    def left(login: str) -> None:
        with installation.registry.user_db.begin() as session:
            leave(session, get_user(session, login).id)

    for number, (shut_out_first, by_others) in enumerate(((False, disabled), (True, disabled), (True, left))):
        person = acme.add(userName=f"p{number}", externalId=f"id-of-{number}")
        come(installation, sub=f"id-of-{number}")
        login = user_of(installation, person).login
        if shut_out_first:
            active(acme, person, False)
        by_others(login)
        if not shut_out_first:
            active(acme, person, False)
        assert "Only an operator" in active(acme, person, True, 403)["detail"]
        assert not user_of(installation, person).enabled
        # Nor by telling of them anew, nor by their own sign-in.
        acme.ask("delete", f"/Users/{person}", status=204)
        again = {"schemas": [USER], "userName": "again", "externalId": f"id-of-{number}"}
        assert "Only an operator" in acme.ask("post", "/Users", again, 403)["detail"]
        acme.add(userName=f"p{number}", externalId=f"object-of-{number}")
        with pytest.raises(AccountDisabled):
            come(installation, sub=f"id-of-{number}", oid=f"object-of-{number}")


def test_who_alone_decides_who_comes_in_goes_on_doing_so(acme: Directory, installation: Installation) -> None:
    """A directory that tells of nobody any more does not open the tenant. An administrator does."""
    before = come(installation, sub="before")
    acme.ask("delete", f"/Users/{acme.add()}", status=204)
    assert acme.found("Users") == []
    for subject in ("stranger", "before"):
        with pytest.raises(NoRole):
            come(installation, sub=subject)
    ada = Client(installation.app).sign_in("ada", "acme")
    path = "/identity-provider"
    assert ada.get(path, status=200).json["only_provisioned"] is True
    assert ada.patch(path, {"only_provisioned": False}, status=200).json["only_provisioned"] is False
    assert come(installation, sub="before").get("/session").json["user"] == before.get("/session").json["user"]
    # Whom the directory has shut out is still out, and nobody whom it tells of closes the tenant again.
    dora = acme.add(userName="dora", externalId="id-of-dora")
    assert ada.get(path, status=200).json["only_provisioned"] is False
    active(acme, dora, False)
    with pytest.raises(SingleSignOnFailed):
        come(installation, sub="id-of-dora")
    come(installation, sub="stranger")
    assert ada.patch(path, {"only_provisioned": True}, status=200).json["required"] is False
    with pytest.raises(NoRole):
        come(installation, sub="another stranger")
    with installation.registry.user_db.begin(read_only=True) as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        told = [(each.action.partition(".")[2], each.actor.partition(" ")[0]) for each in entries]
    assert [each for each in told if each[0] in ("close", "open")] == [
        ("close", "scim"),
        ("open", "ada"),
        ("close", "ada"),
    ]


def test_what_an_administrator_has_decided_before_stands(acme: Directory, installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    for _ in range(2):
        ada.patch("/identity-provider", {"only_provisioned": False}, status=200)
    acme.add()
    come(installation, sub="stranger")
    with installation.registry.user_db.begin(read_only=True) as session:
        decided = select(AuditEntry.action).where(
            AuditEntry.action.in_(("identity_provider.open", "identity_provider.close"))
        )
        assert session.scalars(decided).all() == ["identity_provider.open"]


def test_what_a_provider_gave_ends_with_it(acme: Directory, installation: Installation) -> None:
    both = Client(installation.app).sign_in("both", "acme")
    linked = come(installation, link_to=UUID(both.get("/session").json["user"]["id"]), sub="id-of-both")
    acme.add(userName="both", externalId="id-of-both")
    carla, dora, eve = (acme.add(userName=name, externalId=name) for name in ("carla", "dora", "eve"))
    acme.group("Staff", carla, dora)
    acme.group("Admins", eve, externalId="id-of-admins")
    page, by_eve = come(installation, sub="carla"), come(installation, sub="eve")
    with installation.registry.user_db.begin() as session:
        tenant_id = get_tenant(session, "acme").id
        users = {name: user_of(installation, each) for name, each in (("carla", carla), ("dora", dora), ("eve", eve))}
        add_grant(session, tenant_id, "editor", login=users["dora"].login)
        remove_grant(session, find_grant(session, tenant_id, "admin", login="ada"))
    assert set(linked.get("/session").json["roles"]) == {"author", "reader"}
    by_eve.delete("/identity-provider", status=204)
    for ended in (page, linked, by_eve):
        assert ended.get("/session").status_int == 401
    # Own roles stay, and whom nothing is left is disabled. The last administrator stays one.
    assert both.get("/session").json["roles"] == ["author"]
    assert {name: roles(installation, user) for name, user in users.items()} == {
        "carla": set(),
        "dora": {"editor"},
        "eve": {"admin"},
    }
    with installation.registry.user_db.begin(read_only=True) as session:
        found = {name: session.get_one(User, user.id) for name, user in users.items()}
        assert {name: user.enabled for name, user in found.items()} == {"carla": False, "dora": True, "eve": True}
        assert {user.identity_provider_id for user in found.values()} == {None}
        trail = {(each.action, each.detail.get("role")) for each in session.scalars(select(AuditEntry))}
    assert {("member.revoke", "reader"), ("member.revoke", "author"), ("user.disable", None)} <= trail
    assert ("member.revoke", "editor") not in trail


def test_who_has_an_account_of_their_own_keeps_it(opened: Open, acme: Directory, installation: Installation) -> None:
    """They are linked with the provider, and lose what they are in its tenant."""
    with installation.registry.user_db.begin(read_only=True) as session:
        both_id = session.scalars(select(User.id).where(User.login == "both")).one()
    own = Client(installation.app).sign_in("both", "acme")
    made = own.post("/tokens", {"name": "mine", "permissions": ["content.read"]}, status=201).json["token"]
    program = Client(installation.app).with_token(made)
    linked = come(installation, link_to=both_id, sub="id-of-both")
    both = acme.add(userName="both@example.com", externalId="id-of-both")
    assert user_of(installation, both).login == "both"
    with installation.registry.user_db.begin() as session:
        get_user(session, "both").mail_address = "both@example.com"
        for slug, whom in (
            ("acme", {"login": "both"}),
            ("acme", {"mail_address": "both@example.com"}),
            ("globex", {"login": "both"}),
        ):
            invitation = Invitation(tenant_id=get_tenant(session, slug).id, role="admin", expires_at=utcnow(), **whom)
            session.add(invitation)
    acme.ask("delete", f"/Users/{both}", status=204)
    assert linked.get("/session").status_int == 401
    assert program.get("/nodes").status_int == 401
    assert own.get("/nodes").json["code"] == "tenant_forbidden"
    with installation.registry.user_db.begin(read_only=True) as session:
        assert [each.tenant.slug for each in session.scalars(select(Invitation))] == ["globex"]
    own.switch("globex")
    own.get("/nodes", status=200)
    # In a tenant that lets others in, they come in again only if the directory tells of them again.
    ada = Client(installation.app).sign_in("ada", "acme")
    ada.patch("/identity-provider", {"only_provisioned": False}, status=200)
    for link_to in (None, both_id):
        with pytest.raises(SingleSignOnFailed):
            come(installation, sub="id-of-both", link_to=link_to)
    again = acme.add(userName="both@example.com", externalId="id-of-both")
    come(installation, sub="id-of-both").get("/nodes", status=200)
    acme.ask("delete", f"/Users/{again}", status=204)
    acme.add(userName="both", externalId="object-of-both")
    come(installation, sub="id-of-both", oid="object-of-both").get("/nodes", status=200)


def test_nobody_is_taken_over(acme: Directory, installation: Installation) -> None:
    """A directory makes people of its own, whatever it calls them; and nobody becomes them by what they are called."""
    with installation.registry.user_db.begin() as session:
        session.execute(update(User).where(User.login == "gina").values(mail_address="gina@example.com"))
        gina_id = session.scalars(select(User.id).where(User.login == "gina")).one()
    for name in ("gina", "gina@example.com", "GINA"):
        body = {"schemas": [USER], "userName": name, "emails": [{"value": "gina@example.com"}]}
        answer = acme.ask("post", "/Users", body, 409 if name == "GINA" else 201)
        if name != "GINA":
            assert user_of(installation, answer["id"]).id != gina_id
    assert answer["scimType"] == "uniqueness"
    # A name and an address that is not confirmed are words of the one who signs in.
    for claims in ({"preferred_username": "gina@example.com"}, {"email": "gina@example.com", "name": "gina"}):
        with pytest.raises(NoRole):
            come(installation, sub="stranger", **claims)
    page = come(installation, sub="x", email="Gina@Example.com", email_verified=True)
    assert page.get("/session").json["user"]["login"].startswith("gina@example.com@")
    # Who has signed in is known by the subject alone.
    with pytest.raises(NoRole):
        come(installation, sub="y", email="gina@example.com", email_verified=True)


def test_who_is_exchanged_often_has_a_login_of_their_own(acme: Directory, installation: Installation) -> None:
    """Another client is another provider, which makes the same person anew. The earlier accounts keep their logins."""
    with installation.registry.user_db.begin() as session:
        tenant = get_tenant(session, "acme")
        provider = session.scalars(select(IdentityProvider)).one()
        made = [make_person(session, tenant.id, provider, "dora@example.com", "Dora", "id-of-dora") for _ in range(4)]
        marks = {user.login.rpartition("@")[2] for user in made}
        begin = [user.login.partition("@")[0] for user in made]
        assert (begin[:2], [text[:7] for text in begin[2:]]) == (["dora", "dora"], ["person."] * 2)
    assert len(marks) == 1


def test_who_came_before_is_found_by_the_directory(acme: Directory, installation: Installation) -> None:
    """Entra knows them by another id than the subject: the sign-in tells that both are one."""
    before = come(installation, sub="pairwise", oid="object-of-carla", email="carla@example.com")
    carla = acme.add(externalId="object-of-carla")
    made = user_of(installation, carla)
    with pytest.raises(NoRole):
        come(installation, sub="nobody has told of me")
    again = come(installation, sub="pairwise", oid="object-of-carla")
    assert again.get("/session").json["user"]["id"] == before.get("/session").json["user"]["id"]
    assert user_of(installation, carla).login == before.get("/session").json["user"]["login"]
    with installation.registry.user_db.begin(read_only=True) as session:
        assert session.get(User, made.id) is None
    acme.ask("delete", f"/Users/{carla}", status=204)
    assert before.get("/session").status_int == 401


def test_operators_are_not_touched(acme: Directory, installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        both = session.scalars(select(User).where(User.login == "both")).one()
        both.operator, both_id = True, both.id
    page = come(installation, link_to=both_id, sub="id-of-both")
    person = acme.add(userName="both", externalId="id-of-both")
    assert user_of(installation, person).id != both_id
    acme.ask("delete", f"/Users/{person}", status=204)
    page.get("/nodes", status=200)
    carla = acme.add()
    with installation.registry.user_db.begin() as session:
        session.execute(update(User).where(User.name == "Carla Müller").values(operator=True))
    acme.ask("delete", f"/Users/{carla}", status=404)
    assert acme.found("Users") == []


def test_a_directory_sees_nobody_elses_people(opened: Open, acme: Directory, installation: Installation) -> None:
    globex = opened("globex", "gina")
    carla, staff = acme.add(), acme.group("Staff")
    for path, body in (
        (f"/Users/{carla}", {"schemas": [USER], **CARLA}),
        (f"/Groups/{staff}", {"schemas": [GROUP], "displayName": "x"}),
    ):
        globex.ask("get", path, status=404)
        globex.ask("put", path, body, 404)
        globex.patch(path, {"op": "replace", "path": "displayName", "value": "x"}, status=404)
        globex.ask("delete", path, status=404)
    for text in ('userName eq "carla@example.com"', "userName pr", 'externalId eq "id-of-carla"', f'id eq "{carla}"'):
        assert globex.found("Users", filter=text) == []
    assert globex.found("Users") == globex.found("Groups") == []
    # Members of the tenant who came by themselves are not the directory's.
    assert acme.found("Users", filter='userName sw ""') == [carla]
    stranger = globex.ask(
        "post", "/Groups", {"schemas": [GROUP], "displayName": "x", "members": [{"value": carla}]}, 400
    )
    assert stranger["scimType"] == "invalidValue"
    # The same names are free there, and the answer does not tell that they are not elsewhere.
    theirs = globex.add()
    assert user_of(installation, theirs).id != user_of(installation, carla).id
    globex.ask("delete", f"/Users/{theirs}", status=204)
    assert acme.ask("get", f"/Users/{carla}")["userName"] == "Carla@example.com"
    for slug, token in (("globex", acme.token), ("initech", acme.token), ("acme", "tapp_x"), ("acme", "")):
        Directory(acme.http, slug, token).ask("get", "/Users", status=401)


def test_the_odd_patches_of_entra(acme: Directory, installation: Installation) -> None:
    carla, dora = acme.add(), acme.add(userName="dora@example.com", externalId="id-of-dora")
    path = f"/Users/{carla}"
    acme.patch(
        path,
        {"op": "Replace", "value": {"displayName": "C. Müller", "name.givenName": "Carla", "active": "True"}},
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": "carla@corp.local"},
        {"op": "Add", "path": 'addresses[type eq "work"].formatted', "value": "dropped"},
        {
            "op": "Replace",
            "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            "value": "x",
        },
        {"op": "Replace", "path": "userName", "value": "carla@example.org"},
    )
    shown = acme.ask("get", path)
    assert (shown["displayName"], shown["name"], shown["active"]) == ("C. Müller", {"givenName": "Carla"}, True)
    assert shown["emails"] == [{"type": "work", "value": "carla@corp.local"}]
    assert "addresses" not in shown
    acme.patch(path, {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "c@corp.local"})
    assert acme.ask("get", path)["emails"][0]["value"] == "c@corp.local"
    acme.patch(path, {"op": "Remove", "path": 'emails[type eq "work"].value'})
    for text in ('userName eq "CARLA@EXAMPLE.ORG"', 'externalId eq "id-of-carla"', 'displayName co "c. müll"'):
        assert acme.found("Users", filter=text) == [carla]
    assert acme.found("Users", filter='externalId eq "ID-OF-CARLA"') == []
    staff = acme.group("Staff")
    acme.patch(f"/Groups/{staff}", {"op": "Add", "path": "members", "value": [{"value": carla}, {"value": dora}]})
    for text in ('displayName eq "staff"', f'id eq "{staff}" and members eq "{dora}"', f'members[value eq "{dora}"]'):
        assert acme.found("Groups", filter=text, excludedAttributes="members") == [staff]
    acme.patch(f"/Groups/{staff}", {"op": "Remove", "path": "members", "value": [{"value": carla}]})
    assert [each["value"] for each in acme.ask("get", f"/Groups/{staff}")["members"]] == [dora]
    assert roles(installation, user_of(installation, carla)) == {"reader"}
    assert roles(installation, user_of(installation, dora)) == {"reader", "author"}
    acme.patch(path, {"op": "Replace", "value": {"active": "False"}})
    assert acme.ask("get", path)["active"] is False
    # By its own id the group is mapped too: Entra's claims have it.
    acme.group("Whatever", dora, externalId="id-of-admins")
    assert "admin" in roles(installation, user_of(installation, dora))
    acme.ask("delete", f"/Groups/{staff}", status=204)
    assert roles(installation, user_of(installation, dora)) == {"reader", "admin"}


def test_pages_and_versions(acme: Directory) -> None:
    people = [acme.add(userName=f"p{number}", externalId=None) for number in range(5)]
    assert acme.found("Users", startIndex="2", count="2") == people[1:3]
    assert acme.found("Users", filter='userName sw "p"', startIndex="5", count="2") == people[4:]
    listed = acme.ask("get", "/Users?count=0")
    assert (listed["totalResults"], listed["itemsPerPage"]) == (5, 0)
    version = acme.ask("get", f"/Users/{people[0]}")["meta"]["version"]
    acme.ask("get", f"/Users/{people[0]}", status=304, If_None_Match=version)
    acme.patch(f"/Users/{people[0]}", {"op": "add", "path": "displayName", "value": "P"})
    acme.ask("delete", f"/Users/{people[0]}", status=412, If_Match=version)


def test_a_page_of_groups_has_not_too_many_members(acme: Directory, installation: Installation) -> None:
    """Without their members, and one by one, all groups are there."""
    people = [acme.add(userName=f"p{number}", externalId=None) for number in range(3)]
    groups = [acme.group(name, *people[:number]) for name, number in (("A", 3), ("B", 1), ("C", 1), ("D", 0))]
    page = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
    with installation.registry.user_db.begin(read_only=True) as session:
        provider = session.scalars(select(IdentityProvider)).one()
        tenant = installation.local_access("acme").require_tenant()
        small = directory.Directory(session, tenant, provider, Bounds(members=2))

        def listed(**query: str) -> list[tuple[str, int]]:
            found = answer(small, ScimRequest("GET", "http://localhost", "/Groups", query)).body or {}
            assert (found["schemas"], found["totalResults"]) == ([page], 4 if "filter" not in query else 1)
            return [(each["displayName"], len(each.get("members", ()))) for each in found["Resources"]]

        assert listed() == [("A", 3)]
        assert listed(startIndex="2") == [("B", 1), ("C", 1), ("D", 0)]
        for query in ({"excludedAttributes": "members"}, {"attributes": "displayName"}):
            assert listed(**query) == [(name, 0) for name in "ABCD"]
        assert listed(filter=f'displayName eq "a" and members eq "{people[2]}"') == [("A", 3)]
        with pytest.raises(RequestRefused, match="of a group as well"):
            listed(filter=f'members eq "{people[0]}"')
    assert "members" not in acme.ask("get", f"/Groups/{groups[0]}?excludedAttributes=members")


def test_the_last_administrator_stays_one(acme: Directory, installation: Installation) -> None:
    carla = acme.add()
    acme.group("Admins", carla, externalId="id-of-admins")
    with installation.registry.user_db.begin() as session:
        remove_grant(session, find_grant(session, get_tenant(session, "acme").id, "admin", login="ada"))
    for refused in (
        acme.patch(f"/Users/{carla}", {"op": "replace", "path": "active", "value": False}, status=409),
        acme.ask("delete", f"/Users/{carla}", status=409),
    ):
        assert refused["detail"].startswith("A tenant needs at least one administrator")
    assert acme.ask("get", f"/Users/{carla}")["active"] is True
    assert user_of(installation, carla).enabled
    with installation.registry.user_db.begin() as session:
        add_grant(session, get_tenant(session, "acme").id, "admin", login="ada")
    acme.ask("delete", f"/Users/{carla}", status=204)


def test_what_is_too_much_is_refused(acme: Directory) -> None:
    carla = acme.add()
    acme.ask("post", "/Users", {"schemas": [USER], "userName": "x", "title": "x" * 300_000}, 413)
    acme.ask("post", "/Users", {"schemas": [USER], "userName": "x", "displayName": "x" * 9000}, 400)
    acme.ask("post", "/Users", {"schemas": [USER], "userName": "x" * 255}, 400)
    acme.ask("post", "/Users", {"schemas": [USER], "userName": "x\0"}, 400)
    acme.ask("post", "/Users", {"schemas": [USER], "userName": "x", "externalId": "x" * 256}, 400)
    assert acme.found("Users", filter="(" * 240 + 'userName eq "x"' + ")" * 240) == []
    acme.ask("get", f'/Users?filter=userName eq "{"x" * 500}"', status=400)
    deep = "not (" * 5000 + 'value eq "x"' + ")" * 5000
    acme.patch(f"/Users/{carla}", {"op": "remove", "path": f"emails[{deep}]"}, status=400)
    acme.patch(f"/Users/{carla}", *[{"op": "add", "path": "displayName", "value": "x"}] * 501, status=400)
    assert acme.found("Users", filter='userName eq "\\u0000"') == acme.found("Users", filter='id eq "\\ud800"') == []
    acme.ask("post", "/Bulk", {"schemas": []}, 501)
    acme.ask("post", "/Users", {"schemas": [USER]}, 400)
    acme.ask("get", "/Nothing", status=404)
    acme.ask("put", "/Users", {}, 405)


def test_a_directory_is_bounded(acme: Directory, installation: Installation) -> None:
    carla = acme.add()
    with installation.registry.user_db.begin() as session:
        provider = session.scalars(select(IdentityProvider)).one()
        tenant = installation.local_access("acme").require_tenant()
        small = directory.Directory(session, tenant, provider, Bounds(people=1, groups=0, changed=0, looked_at=0))
        dora = directory.PersonContent("dora", None, "Dora", True, {})
        with pytest.raises(InvalidValue, match="more than 1 people"):
            directory.add_person(small, dora)
        with pytest.raises(InvalidValue, match="more than 0 groups"):
            directory.add_group(small, "Staff", None, [])
        more = replace(small, bounds=replace(small.bounds, groups=1))
        with pytest.raises(InvalidValue, match="at most 0 members"):
            directory.add_group(more, "Staff", None, [UUID(carla)])
        asked = ScimRequest("GET", "http://localhost", "/Users", {"filter": 'displayName sw "C"'})
        with pytest.raises(RequestRefused) as refused:
            answer(small, asked)
        assert refused.value.body["scimType"] == "tooMany"
        one = replace(small, bounds=Bounds(looked_at=1))
        assert (answer(one, asked).body or {})["totalResults"] == 1
        session.rollback()


def test_wrong_tokens_are_throttled_and_the_right_one_is_not(acme: Directory) -> None:
    wrong = Directory(acme.http, "acme", "tapp_wrong")
    for _ in range(5):
        wrong.ask("get", "/Users", status=401)
    refused = acme.http.get("/scim/v2/acme/Users", headers={"Authorization": "Bearer tapp_wrong"}, expect_errors=True)
    assert (refused.status_int, refused.json["status"]) == (429, "429")
    assert int(refused.headers["Retry-After"]) >= 1
    acme.ask("get", "/Users")


def test_the_tokens_of_a_directory(acme: Directory, installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    listed = ada.get("/provisioning-tokens", status=200).json
    assert listed["base"] == "http://localhost/scim/v2/acme"
    assert [(each["name"], each["last_used_at"]) for each in listed["items"]] == [("Entra ID", None)]
    acme.ask("get", "/Users")
    assert ada.get("/provisioning-tokens").json["items"][0]["last_used_at"] is not None
    assert acme.token not in ada.get("/provisioning-tokens").text
    # It is no API token, and no API token is one of these.
    assert Client(installation.app).with_token(acme.token).get("/nodes").json["code"] == "invalid_token"
    api = ada.post("/tokens", {"name": "x", "permissions": ["members.manage"]}, status=201).json["token"]
    Directory(acme.http, "acme", api).ask("get", "/Users", status=401)
    for _ in range(4):
        ada.post("/provisioning-tokens", {"name": "another", "days": 1}, status=201)
    assert ada.post("/provisioning-tokens", {"name": "one more"}, status=409).json["code"] == "too_many_tokens"
    assert ada.post("/provisioning-tokens", {"name": "x", "days": 4000}).status_int in (409, 422)
    gina = Client(installation.app).sign_in("gina", "globex")
    assert gina.delete(f"/provisioning-tokens/{listed['items'][0]['id']}").status_int == 404
    assert gina.post("/provisioning-tokens", {"name": "x"}).status_int == 404
    with installation.registry.user_db.begin() as session:
        add_role(session, "steward")
        allow(session, "steward", "members.manage", known={"members.manage"})
        add_grant(session, get_tenant(session, "acme").id, "steward", login="rita")
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(state="suspended"))
    # A suspended tenant goes on hearing who has left.
    acme.ask("get", "/Users")
    with installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(state="active"))
    rita = Client(installation.app).sign_in("rita", "acme")
    assert rita.post("/provisioning-tokens", {"name": "x"}).json["code"] == "beyond_your_rights"
    ada.delete(f"/provisioning-tokens/{listed['items'][0]['id']}", status=204)
    acme.ask("get", "/Users", status=401)
