"""What breaks into the work of people: a server that stops or is updated, roles that are taken away, a sign-out.

At the real thing: ``pserve production.ini`` on PostgreSQL behind nginx with TLS.
"""

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Route, expect
from sqlalchemy.engine import URL

from tenantapp.identity import grants
from tenantapp.identity.tenants import get_tenant
from tests.browser.deployment import Deployment, deployment
from tests.browser.visitor import Visitor
from tests.built_page import DIST
from tests.installation import PASSWORD, postgres_installation

Visit = Callable[..., Visitor]
NEW = "/w/acme/nodes/new"
OFFLINE = "The server cannot be reached."


@pytest.fixture(scope="module")
def deployed(browser: Browser, postgres_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with (
        postgres_installation(postgres_server, **{"web.directory": str(DIST)}) as installation,
        deployment(tmp_path_factory.mktemp("deployed"), installation) as running,
    ):
        yield running


def set_role(deployed: Deployment, login: str, role: str | None, slug: str = "acme") -> None:
    """Give a person this role and no other, as an administrator elsewhere does."""
    with deployed.installation.registry.user_db.begin() as session:
        tenant_id = get_tenant(session, slug).id
        for grant in grants.list_grants(session, tenant_id):
            if grant.user is not None and grant.user.login == login:
                grants.remove_grant(session, grant)
        if role is not None:
            grants.add_grant(session, tenant_id, role, login=login)


def visitor(deployed: Deployment, visit: Visit) -> Visitor:
    return visit(deployed.site, ignore_https_errors=True)


def alert(visitor: Visitor) -> Locator:
    return visitor.sheet().get_by_role("alert")


def kept_words(visitor: Visitor) -> list[str]:
    """What the tab keeps of forms that are not saved."""
    kept = visitor.page.evaluate("() => Object.entries(sessionStorage).filter(([name]) => name.includes('.draft.'))")
    return [title for _, text in kept for title in json.loads(text)["drafts"].values()]


def test_a_person_works_at_what_is_deployed(deployed: Deployment, visit: Visit) -> None:
    set_role(deployed, "ada", "reader", "globex")
    ada = visitor(deployed, visit).sign_in("ada", password=PASSWORD)
    page = ada.page
    ada.link("Acme acme admin").click()
    page.get_by_text("Nothing here yet").wait_for()
    page.keyboard.press("n")
    ada.field("Title").fill("On PostgreSQL")
    ada.button("Create").click()
    ada.said("“On PostgreSQL” is created.")
    expect(ada.link("On PostgreSQL")).to_be_visible()
    ada.link("Members").click()
    expect(page.get_by_role("row").filter(has_text="Ada")).to_contain_text("admin")
    page.keyboard.press("Control+k")
    page.get_by_label("Search workspaces").fill("glob")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{deployed.site.url}/w/globex/nodes")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    expect(ada.link("Members")).to_have_count(0)
    cookies = {(cookie["name"], cookie["secure"], cookie["httpOnly"]) for cookie in ada.context.cookies()}
    assert cookies == {("__Host-tenantapp", True, True), ("__Host-tenantapp-device", True, True)}
    page.get_by_role("button", name="Your menu").click()
    ada.button("Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert ada.unexpected() == []


def test_a_change_is_made_once_though_the_server_stops_in_the_middle_and_comes_back_with_another_page(
    deployed: Deployment, visit: Visit
) -> None:
    bob = visitor(deployed, visit).signed_in("bob", NEW, PASSWORD)
    ada = visitor(deployed, visit).signed_in("ada", "/w/acme/nodes", PASSWORD)
    ada.link("Members").wait_for()
    other = bob.tab().open(NEW)
    for tab, title in ((bob, "Not sent"), (other, "Answer lost")):
        tab.field("Title").fill(title)
    other.page.route("**/api/v1/nodes", lose_answer)
    other.button("Create").click()
    expect(alert(other)).to_contain_text(OFFLINE)
    other.page.unroute("**/api/v1/nodes")
    deployed.kill()
    bob.button("Create").click()
    expect(alert(bob)).to_contain_text(OFFLINE)
    expect(bob.field("Title")).to_have_value("Not sent")

    deployed.start_with_another_page()
    bob.button("Create").click()
    bob.said("“Not sent” is created.")
    other.page.reload()
    expect(other.field("Title")).to_have_value("Answer lost")
    other.button("Create").click()
    other.said("“Answer lost” is created.")
    titles = [row["title"] for row in bob.api("GET", "/nodes", **{"X-Tenant": "acme"})["items"]]
    assert [titles.count(title) for title in ("Not sent", "Answer lost")] == [1, 1]

    ada.page.route("**/assets/managing-*.js", late)
    ada.link("Members").click()  # its part has another name now, and so have its texts, which are missed later
    expect(ada.page.get_by_role("row").filter(has_text="Bob")).to_contain_text("author")
    assert "-new" in ada.page.evaluate("() => document.querySelector('script[src]').src")
    assert [text for text in bob.unexpected([502]) + other.unexpected() if "net::ERR" not in text] == []
    assert ada.unexpected([404]) == []


def late(route: Route) -> None:
    time.sleep(1.5)  # longer than it takes to load the page again
    route.continue_()


def lose_answer(route: Route) -> None:
    """Let a change be made, and lose its answer."""
    if route.request.method == "POST":
        route.fetch()
        route.abort()
    else:
        route.continue_()


def test_who_loses_a_role_keeps_the_words_and_who_is_removed_sees_nothing_more(
    deployed: Deployment, visit: Visit
) -> None:
    both = visitor(deployed, visit).signed_in("both", "/w/acme/nodes", PASSWORD)
    page = both.page
    page.get_by_role("link", name="New node").click()
    both.field("Title").fill("Long thought about")
    set_role(deployed, "both", "reader")
    both.button("Create").click()
    expect(alert(both)).to_contain_text("Your roles do not permit this.")
    expect(both.field("Title")).to_have_value("Long thought about")
    expect(both.button("Create")).to_have_count(0)
    expect(page.get_by_role("link", name="New node", include_hidden=True)).to_have_count(0)
    set_role(deployed, "both", "author")
    page.reload()
    expect(both.field("Title")).to_have_value("Long thought about")

    page.wait_for_load_state("networkidle")  # or the list that is read tells before anything is saved
    set_role(deployed, "both", None)
    both.button("Create").click()
    expect(page.get_by_role("heading", name="You cannot enter this workspace")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("/w/acme/nodes$"))
    expect(page.get_by_role("heading", name="You cannot enter this workspace")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    both.link("To your workspaces").click()
    expect(page).to_have_url(f"{deployed.site.url}/w/globex/nodes")  # the only one that is left
    set_role(deployed, "both", "author")
    both.open(NEW)
    expect(both.field("Title")).to_have_value("Long thought about")
    assert both.unexpected([403]) == []


def test_a_sign_out_holds_for_all_tabs_and_nobody_goes_on_in_the_name_of_another(
    deployed: Deployment, visit: Visit
) -> None:
    bob = visitor(deployed, visit).sign_in("bob", "/w/acme/nodes", PASSWORD)
    bob.api("POST", "/nodes", {"title": "Seen by members"}, **{"X-Tenant": "acme"})
    other = bob.tab().open(NEW)
    other.field("Title").fill("Private")
    expect(other.page.get_by_role("table", include_hidden=True)).to_have_count(1)
    bob.page.get_by_role("button", name="Your menu").click()
    bob.button("Sign out").click()
    expect(other.page.get_by_role("heading", name="Sign in")).to_be_visible()  # without a look at it
    assert kept_words(other) == []
    other.page.go_back()
    for tab in (bob, other):
        expect(tab.page.get_by_role("table")).to_have_count(0)

    bob.sign_in("bob", NEW, PASSWORD)
    bob.field("Title").fill("By Bob")
    bob.context.clear_cookies()  # the session ends elsewhere, and Ada takes the same browser
    other.open("/")
    other.sign_in("ada", "/", PASSWORD)
    expect(bob.page.get_by_role("button", name="Your menu", include_hidden=True)).to_contain_text("Ada")
    expect(bob.field("Title")).to_have_value("")
    assert kept_words(bob) == ["By Bob"]  # until he signs in here again
    assert bob.unexpected([401]) + other.unexpected([401]) == []
