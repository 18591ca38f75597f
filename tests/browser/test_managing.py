"""What the administrators of a workspace do at the page, in a real browser against a real server."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from sqlite3 import Connection, connect
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Locator, expect

from tests.browser.site import Site
from tests.browser.visitor import Visitor
from tests.dns_server import DnsServer

Visit = Callable[..., Visitor]
MANAGE = "/w/acme/manage"


def row(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("row").filter(has_text=name)


def status_with(site: Site, token: str) -> int:
    """The status of a call that a program makes with a token."""
    request = Request(f"{site.url}/api/v1/nodes?limit=1", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_an_administrator_invites_adds_changes_and_removes_a_member(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", MANAGE + "/members")
    page = ada.page
    expect(row(ada, "Ada Lovelace")).to_contain_text("you")
    page.keyboard.press("n")
    ada.field("Mail address").fill("dora")
    ada.button("Invite").click()
    expect(ada.sheet()).to_contain_text("Choose at least one role.")
    for role in ("author", "reader"):
        ada.sheet().get_by_role("checkbox", name=role).check()
    ada.field("Mail address").press("Enter")
    expect(ada.sheet()).to_contain_text("An email address is like ann@example.com.")
    found = {"member": ada.violations()}
    ada.field("Mail address").fill("dora@example.com")
    ada.field("Mail address").press("Enter")
    ada.said("dora@example.com is invited.")
    ada.button("Send again: dora@example.com as author").click()
    ada.said("The last mail was written less than a minute ago.")
    found["invitation"] = ada.page_violations()
    for role in ("author", "reader"):
        ada.button(f"Revoke the invitation of dora@example.com as {role}").click()
        ada.sheet().get_by_role("button", name="Revoke", exact=True).click()
        expect(ada.button(f"Revoke the invitation of dora@example.com as {role}")).to_have_count(0)
    expect(page.get_by_role("heading", name="Invited")).to_have_count(0)

    page.keyboard.press("n")
    ada.sheet().get_by_role("radio", name="By login").check()
    for role in ("author", "reader"):
        ada.sheet().get_by_role("checkbox", name=role).check()
    ada.field("Login").fill("carol")  # who is a member by a group
    ada.field("Login").press("Enter")
    ada.said("carol is a member now.")
    expect(row(ada, "Carol Shaw").locator(".chips .badge")).to_have_text(["author", "reader"])

    page.keyboard.press("/")
    page.keyboard.type("SHAW car")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("With the role").select_option("author")
    expect(page).to_have_url(re.compile(r"q=SHAW\+car&role=author"))
    ada.button("Change the roles of Carol Shaw").click()
    ada.sheet().get_by_role("checkbox", name="author").uncheck()
    ada.sheet().get_by_role("checkbox", name="editor").check()
    ada.button("Save").click()
    ada.said("The roles of Carol Shaw are changed.")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()  # no author any more
    page.go_back()
    expect(row(ada, "Carol Shaw").locator(".chips .badge")).to_have_text(["editor", "reader"])
    found["search"] = ada.violations()
    page.go_back()
    page.keyboard.press("n")
    ada.sheet().get_by_role("radio", name="By login").check()
    ada.field("Login").fill("carol")
    for role in ("author", "reader"):  # carol has one of them
        ada.sheet().get_by_role("checkbox", name=role).check()
    ada.field("Login").press("Enter")
    ada.said("carol was a member already, and now has the role author too.")
    ada.button("Change the roles of Carol Shaw").click()
    page.keyboard.press("Escape")
    expect(ada.button("Change the roles of Carol Shaw")).to_be_focused()

    ada.button("Remove Carol Shaw").click()
    expect(ada.sheet()).to_contain_text("They lose the roles editor, author, reader at once.")
    found["removing"] = ada.violations()
    ada.sheet().get_by_role("button", name="Remove", exact=True).click()
    ada.said("Carol Shaw is no member any more.")
    expect(row(ada, "Carol Shaw")).to_have_count(0)
    expect(page.locator("#content")).to_be_focused()  # the button that had the focus is gone

    ada.button("Remove Ada Lovelace").click()
    expect(ada.sheet()).to_contain_text("This is you.")
    ada.sheet().get_by_role("button", name="Remove", exact=True).click()
    expect(ada.sheet().get_by_role("alert")).to_contain_text("keeps at least one administrator")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)  # axe would look at what it covers
    expect(row(ada, "Ada Lovelace")).to_contain_text("admin")
    found["members"] = ada.page_violations()
    assert {name: each for name, each in found.items() if each} == {}
    assert ada.unexpected([409, 422]) == []


def test_a_token_of_a_service_account_works_until_it_is_revoked(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", MANAGE + "/access")
    ada.button("New service account").click()
    ada.field("Login").fill("reporting")
    ada.field("Name").fill("Nightly reports")
    ada.sheet().get_by_role("checkbox", name="reader").check()
    found = {"account": ada.violations()}
    ada.sheet().get_by_role("button", name="Create").click()
    ada.said("The service account Nightly reports is made.")

    expect(ada.sheet().get_by_role("heading", name="Make a token for Nightly reports")).to_be_visible()
    ada.field("Name").fill("cron")
    ada.field("Days that it works").fill("0")
    ada.sheet().get_by_role("checkbox", name="read content").check()
    expect(ada.sheet().get_by_role("checkbox")).to_have_count(1)  # what a reader may do
    ada.field("Name").press("Enter")
    expect(ada.sheet()).to_contain_text("Write a whole number of days")
    ada.field("Days that it works").fill("7")
    found["token"] = ada.violations()
    ada.field("Name").press("Enter")
    token = ada.field("Token").input_value()
    assert re.fullmatch("tapp_[0-9A-Za-z]{49}", token)
    ada.page.keyboard.press("Escape")  # the text would be lost
    expect(ada.field("Token")).to_have_value(token)
    ada.button("Copy: Token").click()
    expect(ada.sheet().get_by_role("status")).to_have_text("Copied.")
    found["shown once"] = ada.violations()
    ada.button("Done").click()
    assert status_with(site, token) == 200
    ada.page.reload()
    expect(row(ada, "cron")).to_contain_text("Nightly reports")
    expect(row(ada, "cron")).not_to_contain_text("never")
    found["access"] = ada.page_violations()
    ada.button("Revoke the token cron").click()
    expect(ada.sheet()).to_contain_text("Programs that use this token of Nightly reports are refused")
    ada.sheet().get_by_role("button", name="Revoke", exact=True).click()
    ada.said("The token cron is revoked.")
    assert status_with(site, token) == 401
    ada.button("Remove the service account Nightly reports").click()
    ada.sheet().get_by_role("button", name="Remove", exact=True).click()
    ada.said("The service account Nightly reports is removed.")
    expect(ada.page.get_by_text("There are no service accounts yet.")).to_be_visible()
    assert {name: each for name, each in found.items() if each} == {}
    assert ada.unexpected() == []


def test_an_export_is_watched_and_downloaded_and_the_audit_trail_has_it(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", MANAGE + "/export")
    page = ada.page
    ada.button("Export all data").click()
    ada.said("The export has begun.")
    ada.button("Export all data").click()
    expect(page.get_by_role("alert")).to_contain_text("An export is being written already")
    site.command("worker", "--until-idle")
    ada.said("The export is ready.")
    expect(page.get_by_role("alert")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the export of").click()
    assert re.fullmatch(r"acme-\d{8}\.bundle", download.value.suggested_filename)
    assert download.value.path().stat().st_size > 1000
    found = {"export": ada.page_violations()}

    ada.link("Audit trail").click()
    expect(page.locator("tbody tr").first).to_contain_text("downloaded an export")
    page.get_by_label("What").select_option("gave a role")
    page.get_by_label("Login").fill("nobody")
    page.get_by_label("Login").press("Enter")
    expect(page).to_have_url(re.compile(r"\?(action=member\.grant&actor=nobody|actor=nobody&action=member\.grant)$"))
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.go_back()
    expect(page.locator("tbody tr").last).to_contain_text("admin")
    expect(page.get_by_role("cell", name="downloaded an export")).to_have_count(0)
    found["audit"] = ada.page_violations()
    assert {name: each for name, each in found.items() if each} == {}
    assert ada.unexpected([409]) == []


def test_a_workspace_asks_more_of_its_people_and_says_what_to_do(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", MANAGE + "/security")
    page = ada.page
    lacking = re.compile(
        r"[2-9] of [2-9] members have no second factor yet\. Once it is required, they are asked for one"
    )
    expect(page.get_by_text(lacking)).to_be_visible()
    ada.button("Require a second factor").click()
    expect(ada.sheet()).to_contain_text("Who has none loses access at once")
    expect(ada.sheet().get_by_text(lacking)).to_be_visible()
    ada.sheet().get_by_role("button", name="Require a second factor").click()
    expect(ada.sheet().get_by_role("alert")).to_contain_text("You have signed in without a second factor")
    found = ada.violations()
    page.keyboard.press("Escape")
    ada.button("Forbid it to operators").click()
    ada.sheet().get_by_role("button", name="Forbid it to operators").click()
    ada.said("Operators may not work in the name of members.")
    found += ada.page_violations()
    ada.button("Allow it to operators").click()
    ada.sheet().get_by_role("button", name="Allow it to operators").click()
    ada.said("Operators may work in the name of members.")
    ada.link("Show who").click()
    expect(page.get_by_label("Without a second factor")).to_be_checked()
    expect(row(ada, "Ada Lovelace")).to_contain_text("no second factor")
    expect(row(ada, "editors")).to_contain_text("not all with a second factor")
    found += ada.page_violations()
    with tenant_asking(site, "globex", "second_factor_required"):
        ada.go("/w/globex/nodes")
        page.get_by_role("heading", name="Second factor required").wait_for()
        found += ada.violations()
        ada.link("Set one up in your account").click()
        expect(page).to_have_url(re.compile("/account$"))
    with tenant_asking(site, "globex", "single_sign_on_required"):
        ada.go("/w/globex/nodes")
        page.get_by_role("heading", name="Single sign-on required").wait_for()
        expect(ada.button("Sign in by the identity provider")).to_be_visible()
    assert found == []
    assert ada.unexpected([403, 404]) == []


def test_an_administrator_sets_up_single_sign_on(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", MANAGE + "/security")
    page = ada.page
    with published_provider() as issuer:
        ada.button("Set up an identity provider").click()
        ada.field("Name of the provider").fill("Directory")
        ada.field("Issuer").fill(f"{issuer}/other")
        ada.field("Client id").fill("tenantapp")
        ada.field("Client secret").fill("a secret")
        ada.button("Add a group").click()
        page.get_by_label("Group 1", exact=True).fill("staff")
        page.get_by_label("Role of group 1").select_option("author")
        ada.button("Save").click()
        expect(ada.field("Issuer")).to_be_focused()  # which calls itself otherwise
        found = ada.violations()
        ada.field("Issuer").fill(issuer)
        ada.field("Issuer").press("Enter")
        ada.said("The identity provider is set up.")
        expect(page.get_by_role("listitem").filter(has_text="staff gets author")).to_be_visible()
        keep_tokens_of_the_directory(ada)
        found += ada.page_violations()
        ada.button("Revoke the token Entra ID").click()
        ada.sheet().get_by_role("button", name="Revoke", exact=True).click()
        ada.said("The token Entra ID is revoked.")
        ada.button("Try it, and link your account").click()
        expect(page).to_have_url(re.compile(rf"^{issuer}/authorize\?.*client_id=tenantapp"))

        bob = visit(site).open("/?problem=single_sign_on_failed")
        expect(bob.page.get_by_role("alert")).to_contain_text("The sign-in at the identity provider did not work.")
        bob.open("/w/acme/nodes")
        bob.button("Sign in with your organisation").click()
        expect(bob.page.get_by_label("Workspace")).to_have_value("acme")
        bob.page.get_by_label("Workspace").fill("globex")
        bob.button("Go to the identity provider").click()
        expect(bob.page.get_by_role("alert")).to_contain_text("This workspace has no identity provider.")
        bob.page.get_by_label("Workspace or mail address").fill("bob@nowhere.example")
        bob.button("Go to the identity provider").click()
        expect(bob.page.get_by_role("alert")).to_contain_text("No workspace has an identity provider for this address.")
        found += bob.violations()
        bob.page.get_by_label("Workspace").fill("acme")
        bob.button("Go to the identity provider").click()
        expect(bob.page).to_have_url(re.compile(rf"^{issuer}/authorize"))
        has_vouched(site, "ada")
        ada.open(MANAGE + "/security")
        ada.button("Require single sign-on").click()
        expect(ada.sheet()).to_contain_text("sessions and API tokens of people in this workspace need the provider")
        ada.sheet().get_by_role("button", name="Require single sign-on").click()
        ada.said("Single sign-on is required.")
        ada.button("Require it no longer").click()
        ada.sheet().get_by_role("button", name="Require it no longer").click()
        ada.said("Single sign-on is not required any more.")
        ada.button("Let only people of the directory in").click()
        ada.sheet().get_by_role("button", name="Let only people of the directory in").click()
        ada.said("Only people of the directory come in by the provider.")
        ada.button("Let others in as well").click()
        ada.sheet().get_by_role("button", name="Let others in as well").click()
        ada.said("Others than the people of the directory come in as well.")
        ada.button("Remove the identity provider").click()
        ada.sheet().get_by_role("button", name="Remove the identity provider").click()
        ada.said("The identity provider is removed.")
    assert found == []
    assert ada.unexpected([404, 422]) == []
    assert bob.unexpected([404]) == []


def test_an_administrator_proves_a_domain(site: Site, visit: Visit, dns: DnsServer) -> None:
    ada = visit(site).signed_in("ada", MANAGE + "/security")
    ada.button("Claim a domain").click()
    ada.field("Domain").fill("ACME.example")
    ada.button("Show the record").click()
    record = ada.sheet().get_by_label("Name of the record").first
    expect(record).to_have_value("_tenantapp.acme.example")
    text = ada.sheet().get_by_label("Text of the record").first.input_value()
    dns.publish("_tenantapp.acme.example", "another text")
    ada.sheet().get_by_role("button", name="Verify", exact=True).click()
    expect(ada.page.get_by_role("alert")).to_contain_text("The DNS does not have this record yet.")
    expect(ada.page.get_by_role("alert")).to_contain_text("The DNS has: another text")
    found = ada.violations()
    dns.publish("_tenantapp.acme.example", "another text", text)
    ada.sheet().get_by_role("button", name="Verify", exact=True).click()
    ada.said("acme.example is verified.")
    ada.button("Show the record of acme.example").click()
    expect(ada.sheet().get_by_label("Text of the record").first).to_have_value(text)
    ada.button("Cancel").click()
    ada.button("Capture acme.example").click()
    expect(ada.sheet()).to_contain_text("make no account of their own any more")
    ada.sheet().get_by_role("button", name="Capture", exact=True).click()
    ada.said("The domain is captured.")
    row = ada.page.get_by_role("listitem").filter(has_text="acme.example")
    expect(row).to_contain_text("It is captured.")
    found += ada.page_violations()
    ada.button("Remove acme.example").click()
    ada.sheet().get_by_role("button", name="Remove", exact=True).click()
    ada.said("The domain is removed.")
    expect(row).to_have_count(0)
    assert found == []
    assert ada.unexpected([404, 409]) == []


def keep_tokens_of_the_directory(ada: Visitor) -> None:
    """Make a token for the directory, which works, and is in the list from then on."""
    ada.button("Make a token").click()
    ada.field("Name").fill("Entra ID")
    ada.field("Days that it works").fill("0")
    ada.field("Name").press("Enter")
    expect(ada.field("Days that it works")).to_be_focused()
    ada.field("Days that it works").fill("90")
    ada.field("Name").press("Enter")
    token, base = ada.field("Token").input_value(), ada.field("Address of the SCIM service").input_value()
    expect(ada.sheet()).to_contain_text("The address is the “Tenant URL”")
    assert ada.violations() == []
    ada.button("Done").click()
    told = ada.context.request.get(f"{base}/Users", headers={"Authorization": f"Bearer {token}"})
    assert (told.status, told.json()["totalResults"]) == (200, 0)
    expect(row(ada, "Entra ID")).to_contain_text("never")


def has_vouched(site: Site, login: str) -> None:
    """Have the sessions of a person begun by the one identity provider that there is."""
    with user_database(site) as database:
        provider, user = "SELECT id FROM identity_providers", "SELECT id FROM users WHERE login = ?"
        database.execute(
            f"UPDATE web_sessions SET identity_provider_id = ({provider}) WHERE user_id = ({user})", (login,)
        )


def user_database(site: Site) -> closing[Connection]:
    return closing(connect(site.directory / "var" / "user.sqlite", isolation_level=None))


@contextmanager
def published_provider() -> Iterator[str]:
    """Serve what an identity provider publishes, and a page where people would sign in. Yield its address."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize"}
            document |= {name: f"{issuer}/{name}" for name in ("token_endpoint", "jwks_uri")}
            is_document = self.path.endswith("openid-configuration")
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if is_document else "text/html")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode() if is_document else b"<link rel=icon href='data:,'>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("localhost", 0), Answers) as server:
        issuer = f"http://localhost:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield issuer
        server.shutdown()


@contextmanager
def tenant_asking(site: Site, slug: str, what: str) -> Iterator[None]:
    """Have a tenant require something of its people meanwhile."""
    with user_database(site) as database:
        database.execute(f"UPDATE tenants SET {what} = true WHERE slug = ?", (slug,))
        yield
        database.execute(f"UPDATE tenants SET {what} = false WHERE slug = ?", (slug,))


def test_an_operator_works_as_somebody_until_they_end_it(site: Site, visit: Visit) -> None:
    olga = visit(site).signed_in("olga", "/operator/tenants/acme")
    olga.button("Work as somebody").click()
    olga.field("Minutes").fill("90")
    olga.sheet().get_by_role("button", name="Work as this person").click()
    expect(olga.sheet()).to_contain_text("Write a whole number from 1 to 60.")
    olga.field("Minutes").fill("5")
    olga.field("Login of the person").fill("ada")
    olga.field("Reason").fill("Ticket 4711")
    found = olga.violations()
    olga.field("Reason").press("Enter")
    banner = olga.page.get_by_role("complementary", name="You work as somebody else")
    expect(banner).to_contain_text("You can only read. What manages the workspace you can only look at. You are olga.")
    expect(banner).to_contain_text("The reason given: Ticket 4711")
    olga.page.get_by_role("table").wait_for()
    found += olga.page_violations()
    expect(olga.link("Export")).to_have_count(0)
    olga.link("Members").click()
    row(olga, "Ada Lovelace").filter(has_text="admin").wait_for()
    expect(olga.page.locator("main button")).to_have_count(0)
    olga.page.keyboard.press("n")
    olga.link("Security").click()
    expect(olga.page.get_by_text("A second factor is not required.")).to_be_visible()
    expect(olga.page.locator("main button, dialog[open]")).to_have_count(0)
    banner.get_by_role("button", name="End it, and sign out").click()
    olga.page.get_by_role("heading", name="Sign in").wait_for()
    expect(banner).to_have_count(0)
    assert found == []
    assert olga.unexpected([401, 403, 404]) == []  # what the console was still reading is refused


def test_a_person_makes_a_token_of_their_own_with_what_they_may_do(site: Site, visit: Visit) -> None:
    bob = visit(site).signed_in("bob", "/account")
    bob.button("Make a token").click()
    expect(bob.sheet().get_by_role("checkbox")).to_have_count(2)  # what an author may do
    bob.field("Name").fill("notes")
    bob.sheet().get_by_role("checkbox", name="read content").check()
    bob.field("Name").press("Enter")
    token = bob.field("Token").input_value()
    bob.button("Done").click()
    expect(row(bob, "notes")).to_contain_text("never")
    assert status_with(site, token) == 200
    found = bob.page_violations()
    bob.button("Revoke the token notes").click()
    bob.sheet().get_by_role("button", name="Revoke", exact=True).click()
    bob.said("The token notes is revoked.")
    assert status_with(site, token) == 401
    for path in ("members", "export"):
        bob.go(f"{MANAGE}/{path}")
        expect(bob.page.get_by_role("alert")).to_contain_text("Your roles do not permit this.")
    expect(bob.link("Members")).to_have_count(0)
    assert found == []
    assert bob.unexpected([403]) == []
