"""How people come in, and what they prove who they are by, in a real browser against the bundled application."""

import re
from collections.abc import Callable
from datetime import timedelta
from time import time

import pyotp
from playwright.sync_api import expect
from sqlalchemy import update

from tenantapp.credentials.password_changes import send_first_link
from tenantapp.identity.models import WebSession
from tenantapp.identity.users import create_user, get_user
from tenantapp.sql.times import utcnow
from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop
from tests.installation import PASSWORD, Client

Visit = Callable[..., Visitor]
NEW = "three otters juggling"
AUTHENTICATOR = {  # of the telephone or computer itself, which knows its owner by a finger
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


def mailed_link(workshop: Workshop) -> str:
    """The path of the last link that was mailed, with its token."""
    mails = [mail.get_body(("plain",)).get_content() for mail in workshop.installation.deliver_mails()]  # type: ignore[union-attr]
    links = [link for content in mails for link in re.findall(r"/links/[\w-]+#[\w-]{43}", content)]
    return str(links[-1])


def test_somebody_registers_by_an_invitation_and_replaces_a_lost_password(workshop: Workshop, visit: Visit) -> None:
    workshop.create_tenant("invited", "Invited", ada="admin")
    ada = Client(workshop.installation.app).sign_in("ada", tenant="invited")
    assert ada.post("/invitations", {"address": "grace@example.com", "role": "author"}).status_int == 201
    found: dict[str, list[str]] = {}

    grace = visit(workshop.site).open(mailed_link(workshop))
    page = grace.page
    expect(page.get_by_text("Ada invites you to the workspace “Invited”, with the role author.")).to_be_visible()
    expect(page).to_have_url(f"{workshop.site.url}/links/invitation")  # the token is a secret
    found["invitation"] = grace.page_violations()
    grace.button("Create an account").click()
    page.get_by_label("Login required").fill("ada")
    page.get_by_label("New password required").fill("too short")
    grace.button("Create an account").click()
    expect(page.locator("#person-password-error")).to_contain_text("15")
    found["new person"] = grace.page_violations()
    page.get_by_label("New password required").fill(PASSWORD)
    grace.button("Create an account").click()
    expect(page.get_by_role("alert")).to_contain_text("There is an account with this login")
    page.get_by_label("Login required").fill("grace")
    grace.button("Create an account").click()
    expect(page).to_have_url(f"{workshop.site.url}/w/invited/nodes")
    page.get_by_role("button", name="Your menu").click()
    grace.button("Sign out").click()

    grace.button("Lost your password?").click()
    page.get_by_label("Login or mail address required").fill("grace")
    found["lost"] = grace.page_violations()
    grace.button("Send a link").click()
    expect(page.get_by_text("a link is on its way there")).to_be_visible()
    link = mailed_link(workshop)
    assert link.startswith("/links/reset-password")
    grace.open(link)
    page.get_by_label("New password required").fill(NEW)
    grace.button("Set the password").click()
    grace.link("Sign in").click()
    grace.give_password("grace", NEW)
    expect(page.get_by_role("button", name="Your menu")).to_contain_text("grace")
    grace.open("/links/reset-password").page.get_by_role("heading", name="This link is not complete").wait_for()
    grace.open(link)  # to the browser, the same document
    page.get_by_label("New password required").fill(PASSWORD)
    grace.button("Set the password").click()
    expect(page).to_have_url(f"{workshop.site.url}/links/reset-password")
    expect(page.get_by_role("alert")).to_contain_text("This link no longer works.")
    assert {name: each for name, each in found.items() if each} == {}
    assert grace.unexpected([409, 410, 422]) == []


def sign_out(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Your menu").click()
    visitor.button("Sign out").click()
    visitor.page.get_by_role("heading", name="Sign in").wait_for()


def test_a_person_sets_up_factors_and_signs_in_by_each(workshop: Workshop, visit: Visit) -> None:
    registry = workshop.installation.registry
    with registry.user_db.begin() as session:
        token = send_first_link(session, create_user(session, "hal", name="Hal"), None, None)
    found: dict[str, list[str]] = {}
    visitor = visit(workshop.site).open(f"/links/first-password#{token}")
    page = visitor.page
    devtools = visitor.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.get_by_label("New password required").fill(NEW)
    visitor.button("Set the password").click()
    visitor.link("Sign in").click()
    visitor.give_password("hal", NEW)
    expect(page.get_by_text("You are in no workspace yet")).to_be_visible()

    visitor.go("/account")
    visitor.button("Set up").click()
    app = pyotp.TOTP((page.locator("[data-secret]").text_content() or "").replace(" ", ""))
    found["app"] = visitor.violations()
    now = time()
    visitor.field("Code").fill(app.at(now))
    visitor.button("Confirm").click()
    visitor.said("The authenticator app is set up.")
    with registry.user_db.begin() as session:
        session.execute(update(WebSession).values(authenticated_at=utcnow() - timedelta(hours=1)))
    visitor.button("Make new codes").click()
    page.get_by_label("Password", exact=True).fill("wrong")
    visitor.button("Continue").click()
    expect(visitor.sheet().get_by_role("alert")).to_be_visible()
    found["proof"] = visitor.violations()
    page.get_by_label("Password", exact=True).fill(NEW)
    visitor.button("Continue").click()
    codes = visitor.sheet().get_by_role("list", name="Recovery codes").get_by_role("listitem")
    expect(codes).to_have_count(10)
    found["codes"] = visitor.violations()
    visitor.button("I have kept them").click()
    visitor.button("Add a passkey").click()
    visitor.field("Name of the passkey").fill("Laptop")
    visitor.button("Continue").click()
    visitor.said("The passkey is added.")
    found["account"] = visitor.page_violations()

    sign_out(visitor)
    visitor.page.get_by_label("Login").fill("hal")
    page.get_by_label("Password").fill(NEW)
    visitor.button("Sign in").click()
    visitor.button("Use the authenticator app instead").click()
    page.get_by_label("Code of your authenticator app").fill(app.at(now))  # it was used
    visitor.button("Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("was used before")
    found["second step"] = visitor.page_violations()
    page.get_by_label("Code of your authenticator app").fill(app.at(now + 30))
    visitor.button("Continue").click()
    page.get_by_text("You are in no workspace yet").wait_for()
    sign_out(visitor)
    visitor.button("Use a passkey").click()
    page.get_by_text("You are in no workspace yet").wait_for()
    visitor.go("/account")
    expect(page.get_by_text("10 codes are left")).to_be_visible()
    assert {name: each for name, each in found.items() if each} == {}
    assert visitor.unexpected([401, 403]) == []


def test_somebody_registers_accepts_an_invitation_and_leaves_for_good(workshop: Workshop, visit: Visit) -> None:
    workshop.create_tenant("joined", "Joined", ada="admin")
    registry = workshop.installation.registry
    visitor = visit(workshop.site).open("/account")
    page = visitor.page
    visitor.button("Create an account").click()
    page.get_by_label("Mail address required").fill("ivy@example.com")
    visitor.button("Send a link").click()
    expect(page.get_by_text("A mail is on its way")).to_be_visible()
    visitor.open(mailed_link(workshop))
    page.get_by_label("Login required").fill("ivy")
    page.get_by_label("Name", exact=True).fill("Ivy")
    page.get_by_label("New password required").fill(PASSWORD)
    visitor.button("Create an account").click()
    page.get_by_text("You are in no workspace yet").wait_for()
    ada = Client(workshop.installation.app).sign_in("ada", tenant="joined")
    assert ada.post("/invitations", {"login": "ivy", "role": "reader"}).status_int == 201

    visitor.go("/account")
    found = visitor.page_violations()
    visitor.button("Accept the invitation to Joined").click()
    visitor.said("You are a member of Joined now.")
    page.get_by_label("Name required").fill("Ivy Green")
    visitor.button("Save").click()
    visitor.said("Saved.")
    expect(page.get_by_role("button", name="Your menu")).to_contain_text("Ivy Green")
    expect(page.get_by_text("ivy@example.com")).to_be_visible()
    page.get_by_label("Present password required").fill("wrong")
    page.get_by_label("New password required").fill(NEW)
    visitor.button("Change the password").click()
    expect(page.get_by_text("This is not your present password.")).to_be_visible()
    page.get_by_label("Present password required").fill(PASSWORD)
    visitor.button("Change the password").click()
    visitor.said("Your password is changed.")
    page.get_by_label("New address required").fill("ivy@example.org")
    visitor.button("Send a link").click()
    expect(page.get_by_text("A link is on its way to ivy@example.org.")).to_be_visible()
    visitor.open(mailed_link(workshop))
    visitor.button("Confirm the address").click()
    expect(page.get_by_text("The address is confirmed.")).to_be_visible()
    with registry.user_db.begin(read_only=True) as session:
        assert get_user(session, "ivy").mail_address == "ivy@example.org"

    visitor.open("/account")
    visitor.button("Delete the account").click()
    visitor.sheet().get_by_role("button", name="Delete the account").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    assert found == []
    assert visitor.unexpected([401, 422]) == []
