"""How people come in, and what they prove who they are by, in a real browser against the bundled application."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop
from tests.installation import PASSWORD, Client

Visit = Callable[..., Visitor]
NEW = "three otters juggling"


def mailed_link(workshop: Workshop) -> str:
    """The path of the link in the last mail that was sent, with its token."""
    content = workshop.installation.deliver_mails()[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    found = re.search(r"/links/[\w-]+#[\w-]{43}", content)
    assert found, content
    return found[0]


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
    grace.open(link)
    page.get_by_label("New password required").fill(PASSWORD)
    grace.button("Set the password").click()
    expect(page.get_by_role("alert")).to_contain_text("This link no longer works.")
    assert {name: each for name, each in found.items() if each} == {}
    assert grace.unexpected([409, 410, 422]) == []
