"""People sign in by the identity provider of their tenant, which is a real one."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import select

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.credentials.devices import MOST_NOTICES
from tenantapp.credentials.models import AuthenticatorApp
from tenantapp.credentials.throttling import FREE, LONGEST_WAIT
from tenantapp.federation import signing_in
from tenantapp.federation.issuers import Issuers
from tenantapp.federation.models import FederatedIdentity, IdentityProvider, TenantDomain
from tenantapp.federation.providers import client_of
from tenantapp.federation.signing_in import read_begun
from tenantapp.fleet.rotating.stored_secrets import rotate_stored_secrets
from tenantapp.identity.encrypted import decrypt, encrypt
from tenantapp.identity.errors import AlreadyExists
from tenantapp.identity.grants import add_grant, find_grant, remove_grant
from tenantapp.identity.models import AuditEntry, Tenant, User
from tenantapp.identity.roles import add_role, allow
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.outgoing.addresses import Addresses
from tenantapp.sql.errors import TransactionConflict
from tenantapp.sql.times import utcnow
from tenantapp.testing.clock import Clock
from tests.functional.conftest import Command
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.installation import PASSWORD, Client, Installation
from tests.ports import free_port

HERE = Addresses(allow_http=True, allow_private=True)
CARLA = {"sub": "id-of-carla", "name": "Carla Müller", "email": "carla@example.com", "groups": ["staff"]}
ADMIN = {"sub": "id-of-ada", "name": "Ada", "groups": ["admins"]}


@pytest.fixture
def issuers(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Issuers:
    """The providers may be on this machine."""
    here = Issuers(HERE, seconds=5, most=2)
    monkeypatch.setattr(installation.registry, "issuers", here)
    return here


@pytest.fixture
def acme(issuers: Issuers, client: Client, identity_provider: Provider) -> Client:
    """The page of Ada, who has configured the provider of acme."""
    ada = client.sign_in("ada", "acme")
    ada.put("/identity-provider", settings(identity_provider.issuer), status=200)
    return ada


def settings(issuer: str, **changed: Any) -> dict[str, Any]:
    """What Ada says of the provider."""
    roles = [{"group": "staff", "role": "author"}, {"group": "admins", "role": "admin"}]
    named = {"name": "Directory", "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return {**named, "roles": roles, **changed}


def begin(page: Client, slug: str = "acme", to: str = "/w/acme") -> str:
    """Begin in the browser of this page, and return the address at the provider."""
    answer = page.http.get(f"/sso/{slug}/start", {"to": to})
    assert answer.status_int == 302
    return str(answer.headers["Location"])


def come_back(page: Client, address: str, cookie: str | None = None) -> Any:
    """Come back to the application in the browser of this page, or in one with this cookie of a sign-in alone."""
    path = urlsplit(address)._replace(scheme="", netloc="").geturl()
    sent = {} if cookie is None else {"Cookie": f"tenantapp-sso={cookie}"}
    answer = page.http.get(path, headers=sent, expect_errors=True)
    if answer.status_int == 303:
        page.csrf_token = page.get("/session", status=200).json["csrf_token"]
    return answer


def signed_in(installation: Installation, provider: Provider, person: dict[str, Any], slug: str = "acme") -> Client:
    """A page of this person, signed in by the provider."""
    page = Client(installation.app)
    answer = come_back(page, provider.visit(begin(page, slug), person))
    assert answer.status_int == 303, answer.text
    return page


def refused(answer: Any, status: int = 403, code: str = "single_sign_on_failed") -> str:
    """The sentence of a refusal."""
    assert (answer.status_int, answer.json["code"]) == (status, code), answer.text
    return str(answer.json["detail"])


def with_query(address: str, **changed: str | None) -> str:
    """The address with other parameters; None leaves one out."""
    query = dict(parse_qsl(urlsplit(address).query)) | changed
    return urlsplit(address)._replace(query=urlencode({k: v for k, v in query.items() if v is not None})).geturl()


def test_a_person_comes_for_the_first_time_and_again(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    page = Client(installation.app)
    answer = come_back(page, identity_provider.visit(begin(page, to="/w/acme/nodes"), CARLA))
    assert (answer.status_int, answer.headers["Location"]) == (303, "http://localhost/w/acme/nodes")
    session = page.get("/session").json
    assert (session["tenant"]["slug"], session["roles"], session["factors"]) == ("acme", ["author"], ["sso"])
    assert session["user"]["name"] == "Carla Müller"
    assert session["user"]["login"].startswith("carla@example.com@")
    page.post("/nodes", {"title": "By Carla"}, status=201)
    # The groups decide anew at each sign-in: what the provider gave, it takes.
    again = signed_in(installation, identity_provider, {**CARLA, "groups": ["admins"]})
    session = again.get("/session").json
    assert (session["user"]["login"], session["roles"]) == (page.get("/session").json["user"]["login"], ["admin"])
    assert sorted(member["roles"] for member in acme.get("/members?q=carla").json["items"]) == [["admin"]]
    with installation.registry.user_db.begin() as found:
        entries = found.scalars(select(AuditEntry).where(AuditEntry.action == "session.start")).all()
        carla = found.scalars(select(User).where(User.name == "Carla Müller")).one()
        assert (carla.password_hash, carla.mail_address) == (None, None)
        assert {entry.actor for entry in entries if "sso" in entry.detail["factors"]} == {carla.login}


def test_a_sign_in_that_conflicts_is_tried_again_with_the_same_code(
    acme: Client, installation: Installation, identity_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider takes a code once, so what it has said is kept."""
    in_the_way = [TransactionConflict(), AlreadyExists("user", "carla")]
    real = signing_in.sign_in

    def sign_in(*arguments: Any, **options: Any) -> Any:
        signed_in = real(*arguments, **options)
        if in_the_way:
            raise in_the_way.pop()
        return signed_in

    monkeypatch.setattr(signing_in, "sign_in", sign_in)
    signed_in(installation, identity_provider, CARLA).get("/nodes", status=200)
    with installation.registry.user_db.begin(read_only=True) as session:
        assert session.scalars(select(User.name).where(User.name == CARLA["name"])).all() == [CARLA["name"]]


def test_nobody_is_taken_over_by_what_a_provider_says(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    """A login and an address are words of the provider, which belongs to the administrators of one tenant."""
    with installation.registry.user_db.begin() as session:
        gina = session.scalars(select(User).where(User.login == "gina")).one()
        gina.mail_address, gina_id = "gina@example.com", str(gina.id)
    for number, claims in enumerate(({"email": "gina@example.com", "email_verified": True}, {"name": "gina"})):
        page = signed_in(installation, identity_provider, {"sub": f"x{number}", "groups": ["staff"], **claims})
        told = page.get("/session").json
        assert told["user"]["id"] != gina_id
        assert [tenant["slug"] for tenant in told["tenants"]] == ["acme"]


def test_a_member_with_an_address_of_a_captured_domain_is_linked(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    """The tenant reads the mail of the domain. But it makes nobody a member, and is nobody elsewhere."""
    registry, everybody = installation.registry, ("both", "gina", "bob", "rita")
    with registry.user_db.begin() as session:
        ids = {}
        for login in everybody:
            user = get_user(session, login)
            user.mail_address, ids[login] = f"{login}@acme.example", str(user.id)
        get_user(session, "bob").operator = True
        domain = TenantDomain(tenant_id=get_tenant(session, "acme").id, name="acme.example", challenge="x")
        domain.verified_at = utcnow()
        session.add(domain)

    def who_comes(login: str, number: int, **claims: Any) -> tuple[str, Client]:
        address = {"email": f"{login}@acme.example", "email_verified": True}
        person = {"sub": f"{login} {number}", "groups": ["staff"], **address, **claims}
        page = signed_in(installation, identity_provider, person)
        return str(page.get("/session").json["user"]["id"]), page

    assert who_comes("both", 1)[0] not in ids.values(), "nothing is captured"
    with registry.user_db.begin() as session:
        session.scalars(select(TenantDomain)).one().capture = True
    assert who_comes("both", 2, email_verified=False)[0] not in ids.values()
    assert who_comes("both", 3, email="both@www.acme.example")[0] not in ids.values()
    assert who_comes("gina", 1)[0] not in ids.values(), "no member"
    assert who_comes("bob", 1)[0] not in ids.values(), "an operator"
    with registry.user_db.begin() as session:
        assert session.scalars(select(OutgoingMail)).all() == []
    user_id, page = who_comes("both", 4)
    assert user_id == ids["both"]
    assert [tenant["slug"] for tenant in page.get("/session").json["tenants"]] == ["acme"]
    refused(page.get("/nodes", X_Tenant="globex"), 403, "own_sign_in_required")
    refused(page.get("/account"), 403, "own_sign_in_required")
    with registry.user_db.begin() as session:
        [notice] = session.scalars(select(OutgoingMail.message)).all()
        assert notice["recipient"] == "both@acme.example"
        assert notice["subject"] == "Single sign-on was linked with your account"
    assert who_comes("both", 4)[0] == ids["both"]
    assert who_comes("both", 5)[0] not in ids.values(), "the provider knows them by another subject"
    with registry.user_db.begin() as session:
        told = [each["subject"] for each in session.scalars(select(OutgoingMail.message))]
        assert sorted(told) == ["A sign-in in a new browser", notice["subject"]], "linked once"
        session.scalars(select(TenantDomain)).one().missing_since = utcnow()
    assert who_comes("rita", 1)[0] not in ids.values(), "the record is missing"
    # Who is disabled gets no second account either.
    with registry.user_db.begin() as session:
        session.scalars(select(TenantDomain)).one().missing_since = None
        get_user(session, "rita").enabled = False
    page = Client(installation.app)
    rita = {"sub": "rita 2", "groups": ["staff"], "email": "rita@acme.example", "email_verified": True}
    refused(come_back(page, identity_provider.visit(begin(page), rita)))


def test_a_provider_counts_in_its_own_tenant_alone(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    """Whoever rules the provider of acme can be any of its people. So they are nobody elsewhere, and no operator."""
    with installation.registry.user_db.begin() as session:
        session.scalars(select(User).where(User.login == "both")).one().operator = True
    both = Client(installation.app).sign_in("both", "acme")
    location = both.post("/session/single-sign-on", {"tenant": "acme"}, status=200).json["location"]
    answer = come_back(both, identity_provider.visit(location, {**CARLA, "sub": "id-of-both"}))
    assert answer.status_int == 303
    session = both.get("/session").json
    assert (session["user"]["login"], session["operator"]) == ("both", False)
    assert [tenant["slug"] for tenant in session["tenants"]] == ["acme"]
    both.get("/nodes", status=200)
    refused(both.get("/nodes", X_Tenant="globex"), 403, "own_sign_in_required")
    refused(both.get("/sessions"), 403, "own_sign_in_required")
    refused(both.get("/fleet/tenants"), 403, "operator_required")
    assert both.get("/session", X_Tenant="globex").json["tenant"] is None
    # By a password they are who they were; and the next time, the provider finds them.
    own = Client(installation.app).sign_in("both", "globex")
    own.get("/nodes", status=200)
    assert (
        signed_in(installation, identity_provider, {**CARLA, "sub": "id-of-both"}).get("/session").json["user"]["login"]
        == "both"
    )


def test_a_provider_makes_no_browser_in_which_guesses_are_free(
    acme: Client, installation: Installation, identity_provider: Provider, clock: Clock
) -> None:
    """Whoever rules the provider can sign in as a person who is linked, in as many browsers as they like."""
    with installation.registry.user_db.begin() as session:
        get_user(session, "both").mail_address = "both@example.com"
    own = Client(installation.app).sign_in("both", "acme")
    location = own.post("/session/single-sign-on", {"tenant": "acme"}, status=200).json["location"]
    both = {**CARLA, "sub": "id-of-both"}
    assert come_back(own, identity_provider.visit(location, both)).status_int == 303

    def told() -> int:
        """How many sign-ins in a new browser are told of."""
        with installation.registry.user_db.begin(read_only=True) as session:
            subjects = [each["subject"] for each in session.scalars(select(OutgoingMail.message))]
        return subjects.count("A sign-in in a new browser")

    def guess(page: Client, password: str = "wrong") -> int:
        page.http.cookies.pop("tenantapp", None)
        page.csrf_token = ""
        return int(page.post("/session", {"login": "both", "password": password}).status_int)

    assert told() == 0
    pages = [signed_in(installation, identity_provider, both) for _ in range(MOST_NOTICES + 1)]
    assert told() == MOST_NOTICES, "nobody is flooded"
    again = come_back(pages[0], identity_provider.visit(begin(pages[0]), both))
    assert (again.status_int, told()) == (303, MOST_NOTICES), "the same browser"
    assert [guess(pages[0]) for _ in range(FREE)] == [401] * FREE
    assert guess(pages[1], PASSWORD) == 429, "all of them share the counters of strangers"
    assert guess(own, PASSWORD) == 201, "and their own browser is not among them"
    clock.advance(seconds=LONGEST_WAIT)
    assert (guess(pages[1], PASSWORD), told()) == (201, MOST_NOTICES + 1)
    assert [guess(pages[0]) for _ in range(FREE + 1)][-1] == 429
    assert guess(pages[1], PASSWORD) == 201, "since they have signed in there themselves"


def test_to_link_is_asked_in_the_page_and_ends_in_the_same_session(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    bob = Client(installation.app).sign_in("bob", "acme")
    without_token = bob.copy()
    without_token.csrf_token = ""
    refused(without_token.post("/session/single-sign-on", {"tenant": "acme"}), 403, "csrf_failed")
    location = bob.post("/session/single-sign-on", {"tenant": "acme"}).json["location"]
    back = identity_provider.visit(location, CARLA)
    bob.delete("/session", status=204)
    assert "no longer signed in" in refused(come_back(bob, back))
    with installation.registry.user_db.begin() as session:
        assert session.scalars(select(FederatedIdentity)).all() == []


def test_to_link_needs_a_fresh_sign_in_and_makes_none(
    acme: Client, installation: Installation, identity_provider: Provider, clock: Clock
) -> None:
    """Who has taken an old session adds no way to sign in, not even with a cookie that says they began in time."""
    with installation.registry.user_db.begin() as session:
        get_user(session, "bob").mail_address = "bob@example.com"
    bob = Client(installation.app).sign_in("bob", "acme")
    since = bob.get("/session").json["authenticated_at"]
    clock.advance(seconds=500)
    location = bob.post("/session/single-sign-on", {"tenant": "acme"}, status=200).json["location"]
    clock.advance(seconds=200)
    refused(bob.post("/session/single-sign-on", {"tenant": "acme"}), 403, "reauthentication_required")
    assert come_back(bob, identity_provider.visit(location, CARLA)).status_int == 303
    assert bob.get("/session").json["authenticated_at"] == since
    with installation.registry.user_db.begin() as session:
        [notice] = session.scalars(select(OutgoingMail.message)).all()
    assert notice["recipient"] == "bob@example.com"
    assert notice["subject"] == "Single sign-on was linked with your account"
    # From then on the provider does prove who the person is.
    again = signed_in(installation, identity_provider, CARLA).get("/session").json
    assert again["user"]["login"] == "bob"
    assert again["authenticated_at"] > since
    # That was in a browser in which he had not been. In one that he knows, he is told of nothing.
    come_back(bob, identity_provider.visit(begin(bob), CARLA))
    with installation.registry.user_db.begin() as session:
        subjects = session.scalars(select(OutgoingMail.message).order_by(OutgoingMail.id)).all()
    assert [each["subject"] for each in subjects] == [notice["subject"], "A sign-in in a new browser"]
    # Whoever has a session writes that cookie themselves: the age of the session counts.
    rita = Client(installation.app).sign_in("rita", "acme")
    location = rita.post("/session/single-sign-on", {"tenant": "acme"}, status=200).json["location"]
    forged = replace(read_begun(rita.http.cookies["tenantapp-sso"]), until=2**40).written()
    clock.advance(seconds=1201)
    others = [f"{name}={value}" for name, value in rita.http.cookies.items() if name != "tenantapp-sso"]
    back = identity_provider.visit(location, ADMIN)
    assert "too long ago" in refused(come_back(rita, back, "; ".join([forged, *others])))
    with installation.registry.user_db.begin() as session:
        assert [each.user.login for each in session.scalars(select(FederatedIdentity))] == ["bob"]


def test_what_is_tampered_with_is_refused(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    page = Client(installation.app)
    good = identity_provider.visit(begin(page), CARLA)
    before = page.http.cookies["tenantapp-sso"]
    for changed in ({"state": "x" * 43}, {"state": None}, {"iss": "https://evil.example.com"}, {"iss": None}):
        refused(come_back(page, with_query(good, **changed)))
    assert "did not sign you in" in refused(come_back(page, with_query(good, code=None, error="access_denied")))
    # Another browser has not begun it, with a cookie of its own or without.
    other = Client(installation.app)
    assert "did not begin in this browser" in refused(come_back(other, good))
    begin(other)
    assert "did not begin in this browser" in refused(come_back(other, good))
    for nonsense in ("", "e30", "AAAA", "x" * 5000, before[:-10]):
        refused(come_back(Client(installation.app), good, nonsense))
    # A code that another browser has got is bound to the verifier of that one; and each is used once.
    thief = Client(installation.app)
    theirs = dict(parse_qsl(urlsplit(identity_provider.visit(begin(thief), CARLA)).query))
    refused(come_back(thief, with_query(good, state=theirs["state"])))
    nonce = identity_provider.visit(begin(page), CARLA, nonce="another")
    assert "nonce" in refused(come_back(page, nonce))
    good = identity_provider.visit(begin(page), CARLA)
    cookie = page.http.cookies["tenantapp-sso"]
    assert come_back(page, good).status_int == 303
    assert "tenantapp-sso" not in page.http.cookies
    assert "refused the sign-in" in refused(come_back(Client(installation.app), good, cookie))


def test_a_browser_is_sent_nowhere_else(acme: Client, installation: Installation, identity_provider: Provider) -> None:
    page = Client(installation.app)
    for to in ("https://evil.example.com", "//evil.example.com", "/\\evil.example.com", "w/acme", "/a\nb"):
        begin(page, to=to)
        assert read_begun(page.http.cookies["tenantapp-sso"]).to == "/"
    forged = replace(read_begun(page.http.cookies["tenantapp-sso"]), to="//evil.example.com").written()
    refused(come_back(Client(installation.app), identity_provider.visit(begin(page), CARLA), forged))


def test_who_has_no_role_does_not_come_in(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    page = Client(installation.app)
    stranger = {"sub": "stranger", "name": "Stranger", "groups": ["others"]}
    refused(come_back(page, identity_provider.visit(begin(page), stranger)), 403, "single_sign_on_no_role")
    assert page.get("/session").status_int == 401
    with installation.registry.user_db.begin() as session:
        assert session.scalars(select(User).where(User.name == "Stranger")).all() == []
    body = settings(identity_provider.issuer, default_role="reader", client_secret=None)
    acme.put("/identity-provider", body, status=200)
    page = signed_in(installation, identity_provider, stranger)
    assert page.get("/session").json["roles"] == ["reader"]


def test_the_last_administrator_stays_one(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    carla = {**CARLA, "groups": ["admins"]}
    assert signed_in(installation, identity_provider, carla).get("/session").json["roles"] == ["admin"]
    with installation.registry.user_db.begin() as session:
        remove_grant(session, find_grant(session, get_tenant(session, "acme").id, "admin", login="ada"))
    kept = signed_in(installation, identity_provider, CARLA)
    assert kept.get("/session").json["roles"] == ["admin", "author"]
    # Once there is another, the provider takes what it gave.
    with installation.registry.user_db.begin() as session:
        add_grant(session, get_tenant(session, "acme").id, "admin", login="ada")
    assert signed_in(installation, identity_provider, CARLA).get("/session").json["roles"] == ["author"]


def test_it_is_required_from_the_next_request_on(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    rita = Client(installation.app).sign_in("rita", "acme")
    token = {"name": "mine", "permissions": ["content.read"]}
    mine = Client(installation.app).with_token(rita.post("/tokens", token, status=201).json["token"])
    acme.post("/service-accounts", {"login": "robot", "roles": ["reader"]}, status=201)
    of_robot = acme.post("/tokens", {**token, "service_account": "robot"}, status=201).json["token"]
    robot = Client(installation.app).with_token(of_robot)
    # Whoever requires it has to have tried it.
    refused(acme.patch("/identity-provider", {"required": True}), 409, "single_sign_on_untried")
    location = acme.post("/session/single-sign-on", {"tenant": "acme"}).json["location"]
    come_back(acme, identity_provider.visit(location, ADMIN))
    assert acme.patch("/identity-provider", {"required": True}, status=200).json["required"] is True
    for page in (rita, mine):
        answer = page.get("/nodes")
        refused(answer, 403, "single_sign_on_required")
        assert answer.json["start"] == "/sso/acme/start"
    assert rita.get("/session", status=200).json["permissions"] == []
    robot.get("/nodes", status=200)
    acme.get("/nodes", status=200)
    by_provider = signed_in(installation, identity_provider, CARLA)
    made = by_provider.post("/tokens", token, status=201).json["token"]
    Client(installation.app).with_token(made).get("/nodes", status=200)
    another = settings(identity_provider.issuer, client_id="x")
    # Its own sessions and tokens go with it; and nothing is exchanged while it is required.
    for change in (
        acme.delete("/identity-provider"),
        acme.put("/identity-provider", another),
    ):
        refused(change, 409, "single_sign_on_in_use")
    acme.patch("/identity-provider", {"required": False}, status=200)
    rita.get("/nodes", status=200)
    acme.delete("/identity-provider", status=204)
    assert by_provider.get("/session").status_int == 401
    assert Client(installation.app).with_token(made).get("/nodes").status_int == 401


def test_a_second_factor_of_the_provider_counts_if_the_administrator_says_so(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    with installation.registry.user_db.begin() as session:
        session.scalars(select(Tenant).where(Tenant.slug == "acme")).one().second_factor_required = True
    strong = {**CARLA, "amr": ["pwd", "mfa"]}
    refused(signed_in(installation, identity_provider, strong).get("/nodes"), 403, "second_factor_required")
    with installation.registry.user_db.begin() as session:
        session.scalars(select(IdentityProvider)).one().factor_values = "mfa"
    signed_in(installation, identity_provider, strong).get("/nodes", status=200)
    weak = signed_in(installation, identity_provider, {**CARLA, "amr": ["pwd"]})
    refused(weak.get("/nodes"), 403, "second_factor_required")


def test_nobody_lets_a_provider_give_more_than_they_have(
    acme: Client, installation: Installation, identity_provider: Provider
) -> None:
    with installation.registry.user_db.begin() as session:
        add_role(session, "steward")
        allow(session, "steward", "members.manage", known={"members.manage"})
        add_grant(session, get_tenant(session, "acme").id, "steward", login="rita")
    rita = Client(installation.app).sign_in("rita", "acme")
    issuer = identity_provider.issuer
    for change in (
        rita.put("/identity-provider", settings(issuer, roles=[])),
        rita.patch("/identity-provider", {"required": False}),
        rita.delete("/identity-provider"),
    ):
        refused(change, 403, "beyond_your_rights")
    unknown = acme.put("/identity-provider", settings(issuer, roles=[], default_role="nothing"))
    assert unknown.json["errors"][0]["pointer"] == "/default_role"
    author = Client(installation.app).sign_in("bob", "acme")
    refused(author.get("/identity-provider"), 403, "permission_denied")


def test_the_secret_is_stored_encrypted_and_never_shown(
    acme: Client, installation: Installation, engine_name: str
) -> None:
    with installation.registry.user_db.begin() as session:
        stored = session.scalars(select(IdentityProvider.client_secret)).one() or ""
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "identity_provider.set")).one()
        told = str(entry.detail)
    # The installation on SQLite has no tenancy.secret, and so nothing to encrypt it with.
    assert stored.startswith("v1:" if engine_name == "postgresql" else "v0:")
    assert (CLIENT_SECRET in stored) == (engine_name == "sqlite")
    shown = acme.get("/identity-provider", status=200)
    assert CLIENT_SECRET not in shown.text + told
    assert (shown.json["has_secret"], shown.json["callback"]) == (True, "http://localhost/sso/callback")


def test_the_secret_is_encrypted_again_under_a_new_one(acme: Client, installation: Installation) -> None:
    present = installation.registry.app_settings.tenancy_secret
    settings = replace(
        installation.registry.app_settings, tenancy_secret="a new secret, long enough", tenancy_former_secret=present
    )
    fleet = replace(installation.registry.fleet, user_db=installation.registry.user_db, settings=settings)
    (rotated,) = rotate_stored_secrets(fleet, lambda: None)
    assert (rotated.changed, rotated.error) == (1, None)
    with installation.registry.user_db.begin() as session:
        provider = session.scalars(select(IdentityProvider)).one()
        assert client_of(provider, ["a new secret, long enough"]).secret == CLIENT_SECRET
        assert CLIENT_SECRET not in (provider.client_secret or "")
        # What was stored under a third secret is named, left as it is, and keeps nothing else from its turn.
        provider.client_secret = encrypt("x", "a third secret", "identity provider", str(provider.id))
        for login, secret in (("ada", "a third secret"), ("bob", present), ("rita", "a new secret, long enough")):
            person = get_user(session, login).id
            session.add(AuthenticatorApp(user_id=person, secret=encrypt(login, secret, "totp", str(person))))
    apps, client_secrets = rotate_stored_secrets(fleet, lambda: None)
    assert (apps.changed, apps.where, str(apps.error).partition(". ")[0]) == (
        1,
        "the user database",
        "Those of ada cannot be read",
    )
    assert (client_secrets.changed, client_secrets.error) == (
        0,
        "Those of acme cannot be read. Their administrators enter them again",
    )
    with installation.registry.user_db.begin(read_only=True) as session:
        stored = session.get_one(AuthenticatorApp, get_user(session, "bob").id)
        assert decrypt(stored.secret, "a new secret, long enough", "totp", str(stored.user_id)) == "bob"


def test_a_provider_that_is_down_is_told_and_holds_up_nobody(
    acme: Client, installation: Installation, issuers: Issuers
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    told = acme.put("/identity-provider", settings(nowhere))
    assert (told.status_int, told.json["errors"][0]["pointer"]) == (422, "/issuer")
    with installation.registry.user_db.begin() as session:
        session.scalars(select(IdentityProvider)).one().issuer = nowhere
    for _ in range(2):
        answer = Client(installation.app).http.get("/sso/acme/start", expect_errors=True)
        assert "cannot be reached" in refused(answer, 503, "identity_provider_unavailable")
        assert answer.headers["Retry-After"]
    acme.get("/nodes", status=200)
    assert installation.checkedout() == 0


def test_an_issuer_is_asked_only_at_public_addresses(client: Client, installation: Installation) -> None:
    ada = client.sign_in("ada", "acme")
    for issuer in ("https://127.0.0.1", "https://169.254.169.254/a", "http://example.com", "https://localhost", "x"):
        told = ada.put("/identity-provider", settings(issuer))
        assert (told.status_int, told.json["errors"][0]["pointer"]) == (422, "/issuer")
    with_query = ada.put("/identity-provider", settings("https://example.com/?a=b"))
    assert with_query.json["errors"][0]["pointer"] == "/issuer"


def test_strangers_learn_where_to_sign_in_and_out(
    acme: Client, client: Client, installation: Installation, identity_provider: Provider
) -> None:
    nobody = Client(installation.app)
    found = nobody.get("/single-sign-on?tenant=acme", status=200).json
    assert found == {"tenant": "acme", "name": "Directory", "start": "/sso/acme/start", "required": False}
    for slug in ("globex", "unknown", "%20"):
        refused(nobody.get(f"/single-sign-on?tenant={slug}"), 404, "not_found")
    assert nobody.http.get("/sso/globex/start", expect_errors=True).status_int == 404
    answer = nobody.http.get("/sso/acme/sign-out")
    there = f"{identity_provider.issuer}/session/end?client_id=tenantapp&post_logout_redirect_uri=http"
    assert answer.headers["Location"].startswith(there)


def test_an_operator_lets_people_in_whose_provider_is_lost(
    ini: Path, done: Command, failed: Callable[..., str]
) -> None:
    done("tenants", "create", "acme")
    with closing(CommandsInstallation(ini)) as commands, commands.user_session() as session:
        tenant = get_tenant(session, "acme")
        provider = IdentityProvider(
            tenant_id=tenant.id,
            name="Lost",
            issuer="https://gone.example.com",
            client_id="us",
            groups_claim="groups",
            factor_values="",
        )
        session.add(provider)
        tenant.single_sign_on_required = True
    (listed,) = done("sso", "list", "--json").json["items"]
    assert (listed["tenant"], listed["issuer"], listed["required"]) == ("acme", "https://gone.example.com", True)
    said = done("sso", "disable", "acme", "--reason", "The provider is gone").out
    assert said == "The tenant acme no longer requires single sign-on.\n"
    assert done("sso", "list", "--json").json["items"][0]["required"] is False
    assert "does not require" in done("sso", "disable", "acme", "--reason", "Once more").out
    trail = done("fleet", "audit", "--tenant", "acme", "--json").json["items"]
    assert [each["detail"] for each in trail if each["action"] == "identity_provider.break_glass"] == [
        {"reason": "The provider is gone"}
    ]
    assert failed("sso", "disable", "nobody", "--reason", "x") == "There is no tenant nobody"
