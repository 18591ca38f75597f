"""What people do at the page, in a real browser against a real server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from uuid import uuid4

from playwright.sync_api import Locator, Request, Route, expect

from tests.browser.site import Site
from tests.browser.visitor import DEMO_PASSWORD, TOO_WIDE, Visitor, element_that
from tests.built_page import run_build
from tests.installation import PASSWORD
from tests.programs import needed

Visit = Callable[..., Visitor]
LIST = "/w/acme/nodes"
MOST_BYTES = 90 * 1024  # of all that the first page takes, compressed
Side = Literal["left", "right", "middle"]
PARTS: tuple[Literal["responseBodySize", "responseHeadersSize"], ...] = ("responseBodySize", "responseHeadersSize")
WIDTHS = (360, 768, 1600)
# By label, as the controls have it; and as it is stored, in UTC where there is a zone.
LARGE = "9007199254740993"  # 2^53 + 1
WRITTEN = {
    "Name": "Lamp", "Notes": "Two\nlines", "Amount": "13", "Serial": LARGE, "Share": "0.5", "Price": "9.90",
    "Due": "2026-02-28",
    "Opens": "09:30:15", "At": "2026-01-31T10:30:05", "Local": "2026-01-31T09:30:05",
    "Rates": '{"a": 1}',
}  # fmt: skip
STORED = {
    "name": "Lamp", "notes": "Two\nlines", "amount": 42, "serial": int(LARGE), "share": 0.5, "price": "9.90",
    "due": "2026-02-28",
    "opens": "09:30:15", "at": "2026-01-31T09:30:05.000000Z", "local": "2026-01-31T09:30:05",
    "rates": {"a": 1}, "active": False, "agreed": True, "kind": "service", "color": "blue", "size": 2,
    "labels": ["new", "fragile"],
}  # fmt: skip

BROKEN = {
    "": "This page cannot be shown",  # nothing is served
    "export default class extends HTMLElement {}": "This page cannot be shown",  # it is not defined
    element_that("throw Error('at once')"): "This page cannot be shown",
    element_that("this.append('words'); setTimeout(() => { throw Error('later') })"): "did not work",
    element_that("return this.page.call('GET', '/books/gone')"): "It is gone, or it was never here.",
    element_that("this.page.call('GET', 'books')"): "did not work",
}


def test_the_pieces_with_logic_pass_their_own_tests() -> None:
    needed(lambda: Path(run_build("--test")))


def test_a_person_signs_in_makes_a_node_finds_it_and_deletes_it(site: Site, visit: Visit) -> None:
    ada = visit(site).sign_in("ada")
    ada.link("Acme acme admin").click()
    page = ada.page
    page.get_by_role("table").wait_for()
    page.keyboard.press("n")
    ada.field("Title").fill("Giant magnet")
    ada.field("Status").select_option("published")
    ada.field("Tags").fill("iron")
    ada.field("Tags").press("Enter")
    ada.button("Create").click()
    ada.said("“Giant magnet” is created.")
    expect(ada.link("Giant magnet")).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("giant mag")
    expect(page).to_have_url(re.compile(r"\?q=giant"))
    expect(page.locator("tbody tr")).to_have_count(1)

    ada.link("Giant magnet").click()
    expect(ada.field("Status")).to_have_value("published")
    ada.button("Delete").click()
    ada.said("“Giant magnet” is deleted.")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(ada.button("Show all rows")).to_be_visible()
    ada.button("Undo").click()
    ada.said("“Giant magnet” is back.")
    expect(ada.link("Giant magnet")).to_be_visible()
    assert ada.unexpected() == []


def test_a_filter_is_a_chip_and_in_the_address(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", LIST)
    page = ada.page
    ada.button("Add a filter").click()
    page.get_by_label("Value").select_option("draft")
    ada.button("Apply").click()
    expect(page).to_have_url(re.compile(r"\?status=draft$"))
    expect(page.get_by_text("Status is draft")).to_be_visible()
    expect(page.locator("tbody .badge", has_text="published")).to_have_count(0)
    ada.button("Columns").click()
    page.get_by_role("checkbox", name="Tags").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("columnheader", name="Tags")).to_have_count(0)
    other = ada.tab().open(page.url.removeprefix(site.url))
    expect(other.page.get_by_text("Status is draft")).to_be_visible()
    expect(other.page.get_by_role("columnheader", name="Tags")).to_have_count(0)
    page.go_back()
    page.go_back()
    expect(page.locator("tbody .badge", has_text="published").first).to_be_visible()
    assert ada.unexpected() + other.unexpected() == []
    ada.open(f"{LIST}?q={'+'.join('abcdefghijklmnopq')}")  # more words than a search takes
    ada.button("Show all rows").click()
    expect(ada.link("Fuel")).to_be_visible()
    assert ada.unexpected([400]) == []


def test_what_cannot_be_undone_is_asked_first(site: Site, visit: Visit) -> None:
    ada = visit(site).with_session("ada")
    tag = ada.api("POST", "/tags", {"name": "obsolete"}, **{"X-Tenant": "acme"})
    ada.open(f"/w/acme/tags/{tag['id']}")
    ada.button("Delete").click()
    expect(ada.sheet()).to_contain_text("This cannot be undone. Delete “obsolete”?")
    ada.sheet().get_by_role("button", name="Delete").click()
    ada.said("“obsolete” is deleted.")
    expect(ada.button("Undo")).to_have_count(0)
    expect(ada.link("obsolete")).to_have_count(0)
    assert ada.unexpected() == []


def test_a_row_that_takes_others_along_is_asked_about_first(site: Site, visit: Visit) -> None:
    ada = visit(site).with_session("ada")
    of_acme = {"X-Tenant": "acme"}
    nodes = [ada.api("POST", "/nodes", {"title": f"Discussed {number}"}, **of_acme) for number in range(3)]
    for node in nodes[:2]:
        ada.api("POST", "/comments", {"node_id": node["id"], "text": "Why?"}, **of_acme)
    ada.page.route("**/comments?in_*", lambda route: route.fulfill(status=500, json={"code": "unknown"}))
    for number in (2, 0):  # as well if that cannot be asked
        ada.open(f"{LIST}/{nodes[number]['id']}")
        ada.button("Delete").first.click()
        expect(ada.sheet()).to_contain_text(f"This cannot be undone. Delete “Discussed {number}”?")
        ada.page.unroute_all()
    ada.sheet().get_by_role("button", name="Delete", exact=True).last.click()
    ada.said("“Discussed 0” is deleted.")
    expect(ada.button("Undo")).to_have_count(0)
    ada.go(f"{LIST}?q=discussed")
    for number in (1, 2):
        ada.page.get_by_role("checkbox", name=f"Discussed {number}").check()
    ada.page.get_by_role("region", name="Chosen rows").get_by_role("button", name="Delete").click()
    expect(ada.sheet()).to_contain_text("This cannot be undone.")
    ada.button("Delete 2 rows").click()
    ada.said("2 rows are deleted.")
    expect(ada.button("Undo")).to_have_count(0)
    assert ada.unexpected([500]) == []


def test_two_tabs_show_two_workspaces(site: Site, visit: Visit) -> None:
    one = visit(site).signed_in("carol", LIST)
    two = one.tab().open(LIST)
    two.page.get_by_role("table").wait_for()
    two.page.keyboard.press("Control+k")
    two.page.get_by_label("Search workspaces").fill("glob")
    two.page.keyboard.press("Enter")
    expect(two.page).to_have_url(f"{site.url}/w/globex/nodes")
    for visitor, title in ((two, "Only in globex"), (one, "Only in acme")):
        visitor.page.get_by_role("link", name="New node").click()
        visitor.field("Title").fill(title)
        visitor.button("Create").click()
        visitor.said(f"“{title}” is created.")
    for visitor, seen, unseen in ((one, "Only in acme", "Only in globex"), (two, "Only in globex", "Only in acme")):
        visitor.page.reload()
        expect(visitor.link(seen)).to_be_visible()
        expect(visitor.link(unseen)).to_have_count(0)
    assert one.unexpected() + two.unexpected() == []


def test_a_lost_race_shows_both_versions_and_the_person_chooses(site: Site, visit: Visit) -> None:
    ada = visit(site).with_session("ada")
    node = ada.api("POST", "/nodes", {"title": "Contested", "body": "first"}, **{"X-Tenant": "acme"})
    ada.open(f"{LIST}/{node['id']}")
    page = ada.page
    ada.field("Title").fill("Mine")
    ada.field("Status").select_option("archived")
    page.get_by_text("History").click()
    history = page.get_by_role("list", name="History").get_by_role("listitem")
    expect(history).to_have_text([re.compile("Ada Lovelace created it version 1")])
    theirs = {"title": "Theirs", "body": "second"}
    ada.api("PATCH", f"/nodes/{node['id']}", theirs, **{"X-Tenant": "acme"})
    expect(history).to_have_text([re.compile("Ada Lovelace changed it.*version 2"), re.compile("created")])
    expect(page.get_by_text("It has changed since you opened it.")).to_be_visible()
    ada.button("Save").click()
    expect(page.get_by_role("heading", name="Somebody else changed this first")).to_be_visible()
    title = page.get_by_role("group", name="Title")
    expect(title).to_contain_text("Mine")
    title.get_by_role("radio", name="Theirs").check()
    ada.button("Save the choice").click()
    ada.said("Saved.")
    saved = ada.api("GET", f"/nodes/{node['id']}", **{"X-Tenant": "acme"})
    assert (saved["title"], saved["body"], saved["status"]) == ("Theirs", "second", "archived")
    assert ada.unexpected([412]) == []


def test_what_the_server_refuses_is_shown_at_its_field(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", LIST)
    page = ada.page
    page.get_by_role("link", name="New node").click()
    ada.button("Create").click()
    expect(page.locator("#field-title-error")).to_have_text("This field is required.")
    expect(ada.field("Title")).to_be_focused()
    ada.field("Title").fill("Right\u202eleft")
    ada.button("Create").click()
    expect(page.locator("#field-title-error")).to_contain_text("U+202E")
    expect(page.get_by_role("alert")).to_have_text("One field needs a look.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="You have changes that are not saved.")).to_be_visible()
    ada.button("Discard the changes").click()
    expect(page.get_by_role("link", name="New node")).to_be_focused()  # where it was
    expect(page).to_have_url(site.url + LIST)
    assert ada.unexpected([422]) == []


def test_an_expired_session_asks_for_the_password_and_loses_no_word(site: Site, visit: Visit) -> None:
    bob = visit(site).signed_in("bob", f"{LIST}/new")
    bob.field("Title").fill("Written before")
    bob.page.reload()
    expect(bob.field("Title")).to_have_value("Written before")
    bob.context.clear_cookies()
    # Not by a click: another call may have noticed already, and its dialog would be in front.
    bob.page.locator("form.sheet-form").evaluate("form => form.requestSubmit()")
    dialog = bob.page.get_by_role("dialog", name="Your session has expired")
    expect(dialog.get_by_label("Login")).to_have_value("bob")
    dialog.get_by_label("Password").fill("purple teapot parade")
    dialog.get_by_role("button", name="Sign in").click()
    bob.said("“Written before” is created.")
    assert bob.unexpected([401]) == []


def test_nothing_private_comes_back_after_signing_out(site: Site, visit: Visit) -> None:
    ada = visit(site).sign_in("ada", LIST)
    ada.page.get_by_role("table").wait_for()
    ada.page.get_by_role("button", name="Your menu").click()
    ada.button("Sign out").click()
    expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    ada.page.go_back()
    ada.open(LIST)
    expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(ada.page.get_by_role("table")).to_have_count(0)
    assert ada.unexpected([401]) == []


def test_without_a_network_nothing_is_lost_and_nothing_is_done_twice(site: Site, visit: Visit) -> None:
    bob = visit(site).signed_in("bob", LIST)
    page = bob.page
    page.get_by_role("link", name="New node").click()
    bob.field("Title").fill("Sent once")
    answered = 0

    def lose(route: Route) -> None:
        """Let the change be made, and lose its answer once."""
        nonlocal answered
        answered += 1
        response = route.fetch()
        route.abort() if answered == 1 else route.fulfill(response=response)

    page.route("**/api/v1/nodes", lambda route: lose(route) if route.request.method == "POST" else route.continue_())
    bob.button("Create").click()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    bob.button("Create").click()
    bob.said("“Sent once” is created.")
    assert answered == 2
    expect(bob.link("Sent once")).to_have_count(1)
    bob.context.set_offline(True)
    page.keyboard.press("/")
    page.keyboard.type("sent")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    bob.context.set_offline(False)
    expect(page.locator("tbody tr")).to_have_count(1)  # by itself
    assert [text for text in bob.unexpected() if "net::ERR" not in text] == []


def test_a_suspended_workspace_is_explained(site: Site, visit: Visit) -> None:
    carol = visit(site).signed_in("carol", "/w/globex/nodes")
    carol.page.get_by_role("table").wait_for()
    site.command("tenants", "suspend", "globex", "--reason", "unpaid")
    try:
        carol.page.reload()
        expect(carol.page.get_by_role("alert")).to_contain_text(
            re.compile("The workspace is suspended.*: unpaid", re.S)
        )
        expect(carol.page.get_by_role("heading")).to_have_text("Workspace suspended")
        expect(carol.link("To your workspaces")).to_be_visible()
        carol.page.get_by_role("button", name="Your menu").click()
        expect(carol.button("Sign out")).to_be_visible()
        carol.page.keyboard.press("Escape")
        carol.page.keyboard.press("Control+k")
        options = carol.page.get_by_role("listbox").get_by_role("option")
        expect(options).to_have_text([re.compile("Globex.*suspended"), re.compile("Acme.*editor")])
        expect(options.nth(1)).to_have_attribute("aria-selected", "true")  # not where carol is
        carol.page.keyboard.press("Enter")
        expect(carol.page).to_have_url(f"{site.url}/w/acme/nodes")
        carol.open(f"/w/acme/nodes/{uuid4()}")
        expect(carol.sheet().get_by_role("heading")).to_have_text("Not found")
        again = carol.sheet().get_by_role("button", name="Try again").bounding_box()
        assert again is not None
        assert again["height"] < 50
        carol.page.keyboard.press("Escape")
        carol.page.keyboard.press("Control+k")
        carol.page.get_by_label("Search workspaces").fill("ÓBEX g")
        expect(options).to_have_count(1)
        carol.page.keyboard.press("Enter")
        expect(carol.page.get_by_role("alert")).to_contain_text("The workspace is suspended.")
    finally:
        site.command("tenants", "resume", "globex")
    carol.button("Try again").click()
    expect(carol.page.get_by_role("table")).to_be_visible()
    assert carol.unexpected([403, 404]) == []


def test_hostile_markdown_is_harmless(site: Site, visit: Visit) -> None:
    ada = visit(site).with_session("ada")
    body = (
        "# Title\n\n<script>window.hit = 1</script><img src=x onerror='window.hit = 2'>\n\n"
        "[bad](javascript:window.hit=3) [good](https://example.org) ![far](https://example.org/x.png)\n\n"
        '<a href="data:text/html,x" onclick="window.hit = 4">odd</a><style>* { display: none }</style>'
    )
    node = ada.api("POST", "/nodes", {"title": "Hostile", "body": body}, **{"X-Tenant": "acme"})
    page = ada.open(f"{LIST}/{node['id']}").page
    ada.button("Preview").click()
    shown = page.locator(".prose")
    expect(shown.get_by_role("heading", name="Title")).to_be_visible()
    links = shown.locator("a").evaluate_all("all => all.map(each => [each.textContent, each.getAttribute('href')])")
    assert ["good", "https://example.org"] in links
    assert ["far", "https://example.org/x.png"] in links
    assert {text for text, href in links if href is None} == {"bad"}
    expect(shown).to_contain_text("<script>window.hit = 1</script>")
    assert shown.locator("img, script, style").count() == 0
    assert page.evaluate("() => window.hit") is None
    assert ada.unexpected() == []


def test_a_reader_can_read_and_is_offered_nothing_else(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", "/w/globex/nodes")  # a reader there
    ada.page.locator("tbody tr").first.wait_for()
    expect(ada.page.get_by_role("link", name="New node")).to_have_count(0)
    ada.page.locator("tbody a").first.click()
    expect(ada.page.get_by_text("so you can read it, and not change it")).to_be_visible()
    expect(ada.button("Save")).to_have_count(0)
    expect(ada.button("Delete")).to_have_count(0)
    ada.open("/w/globex/nodes/new")
    expect(ada.page.get_by_text("You can read this, and not change it.")).to_be_visible()
    for slug in ("initech", "%zz", "日本"):
        ada.open(f"/w/{slug}/nodes")
        expect(ada.page.get_by_role("heading", name="You cannot enter this workspace")).to_be_visible()
    assert ada.unexpected([403]) == []


def test_a_list_is_exported_as_csv(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", f"{LIST}?columns=title,status,parent_id&status=published")
    expect(ada.page.get_by_role("row", name="Assembly")).to_contain_text("Rocket skates")
    with ada.page.expect_download() as download:
        ada.button("Export CSV").click()
    assert download.value.suggested_filename == "acme-nodes.csv"
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Title,Status,Parent"
    assert "Rocket skates,published," in lines
    assert not [line for line in lines if ",draft," in line]
    assert ada.unexpected() == []


def too_wide(visitor: Visitor) -> list[str]:
    """By how much the page is wider than windows of several widths."""
    before = visitor.page.viewport_size
    assert before is not None
    found = []
    for width in WIDTHS:
        visitor.page.set_viewport_size({"width": width, "height": 800})
        if excess := visitor.page.evaluate(TOO_WIDE):
            found.append(f"{excess} px too wide for {width}")
    visitor.page.set_viewport_size(before)
    return found


def test_axe_finds_nothing_on_any_page_and_none_is_wider_than_the_window(site: Site, visit: Visit) -> None:
    ada = visit(site)
    page = ada.open("/").page
    page.get_by_label("Login").wait_for()
    found = {"sign in": ada.violations()}
    ada.give_password("ada")  # the document stays the same, so axe is loaded once
    page.get_by_role("heading", name="Your workspaces").wait_for()
    found["workspaces"] = ada.violations()
    ada.go("/account").page.get_by_text("This device").wait_for()
    found["account"] = ada.violations()
    ada.go(f"{LIST}?status=published").page.get_by_role("table").wait_for()
    found["list"] = ada.violations() + too_wide(ada)
    ada.button("Add a filter").click()
    found["filter"] = ada.violations()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("listbox").wait_for()
    found["switcher"] = ada.violations()
    page.keyboard.press("Escape")
    ada.link("Rocket skates").click()
    page.get_by_role("button", name="Preview").wait_for()
    page.get_by_text("Details").click()
    page.get_by_text("History").click()
    page.get_by_role("list", name="History").wait_for()
    found["row"] = ada.violations() + too_wide(ada)
    ada.go("/w/acme/nowhere").page.get_by_role("heading", name="There is no such page").wait_for()
    found["no page"] = ada.violations()
    assert {name: each for name, each in found.items() if each} == {}
    assert ada.unexpected() == []


def test_the_first_page_is_small(site: Site, visit: Visit) -> None:
    ada = visit(site, locale="de-DE")  # which takes a file more than English
    sent: list[Request] = []
    ada.page.on("requestfinished", lambda request: sent.append(request))
    ada.signed_in("ada", LIST).page.get_by_role("table").wait_for()
    ada.page.wait_for_load_state("networkidle")
    rows = next(each.timing["startTime"] for each in sent if "/nodes?limit=50" in each.url)
    first = [each for each in sent if each.timing["startTime"] <= rows or each.resource_type != "script"]
    sizes = {each.url: sum(each.sizes()[part] for part in PARTS) for each in first}
    assert sum(sizes.values()) < MOST_BYTES, sizes
    assert len(sizes) <= 10, sizes
    # What is loaded ahead while the rows are read by the person: the late parts, and a line that makes modules of them.
    assert len(sent) - len(first) <= 2


def test_a_person_has_the_page_in_their_language(site: Site, visit: Visit) -> None:
    ada = visit(site, locale="de-DE").open(LIST)
    page = ada.page
    page.get_by_label("Anmeldename").fill("ada")
    page.get_by_label("Passwort").fill(DEMO_PASSWORD)
    ada.button("Anmelden").click()
    page.get_by_role("table").wait_for()
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["de", "ltr"]
    expect(page.get_by_role("columnheader").first).to_have_text("Titel")  # as the resource says
    page.get_by_role("link", name="Knoten anlegen").click()
    ada.sheet().get_by_role("button", name="Anlegen").click()
    expect(page.get_by_text("Dieses Feld ist erforderlich.")).to_be_visible()
    page.get_by_role("textbox", name="Titel").fill("Riesenmagnet")
    page.get_by_role("combobox", name="Status").select_option(label="veröffentlicht")
    ada.sheet().get_by_role("button", name="Anlegen").click()
    ada.said("„Riesenmagnet“ wurde angelegt.")
    page.get_by_role("row").filter(has=ada.link("Riesenmagnet")).get_by_text("gerade eben").wait_for()
    assert ada.violations_in_present_colors() == []
    ada.go("/w/acme/manage/members")
    page.get_by_role("heading", name="Mitglieder").wait_for()
    page.get_by_role("button", name="Einladen oder hinzufügen").wait_for()
    page.get_by_role("button", name="Ihr Menü").click()
    ada.button("English").click()
    page.get_by_role("heading", name="Members").wait_for()
    ada.open(LIST)
    page.get_by_role("link", name="New node").wait_for()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert ada.unexpected() == []


def test_the_page_can_be_written_from_right_to_left(site: Site, visit: Visit) -> None:
    ada, olga = visit(site).signed_in("ada", LIST), visit(site).signed_in("olga", "/operator/tenants")
    found: dict[str, list[str]] = {}

    def look(visitor: Visitor, name: str, mark: Locator, side: Side) -> None:
        """Look at one page: what axe finds, and what stands where."""
        mark.wait_for()
        visitor.page.evaluate("document.documentElement.dir = 'rtl'")
        found[name] = visitor.violations_in_present_colors()
        stands(visitor, name, mark, side)

    def stands(visitor: Visitor, name: str, mark: Locator, side: Side) -> None:
        """Look what stands at which side of the window, and that nothing is wider than it."""
        for width in (1280, 360):
            visitor.page.set_viewport_size({"width": width, "height": 800})
            box = mark.bounding_box()
            assert box
            wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            left, right = box["x"], width - box["x"] - box["width"]  # pixels to the edges of the window
            if wide or not {"left": left <= right, "right": right <= left, "middle": True}[side]:
                found[f"{name}, {width}"] = [f"wide by {wide}, at {box}"]

    page = ada.page
    look(ada, "list", page.get_by_role("columnheader").first, "right")
    page.set_viewport_size({"width": 1280, "height": 800})
    stands(ada, "menu", page.get_by_role("navigation", name="Content"), "right")
    ada.link("Tree").click()
    look(ada, "tree", page.locator(".tree-link").first, "right")
    page.set_viewport_size({"width": 1280, "height": 800})
    ada.link("List").click()
    ada.link("Rocket skates").click()
    look(ada, "row", ada.sheet().get_by_role("button", name="Close"), "left")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    look(ada, "switcher", ada.sheet().get_by_text("2 workspaces"), "middle")
    page.keyboard.press("Escape")
    ada.link("Members").click()
    page.get_by_role("heading", level=1, name="Members").wait_for()
    look(ada, "members", page.get_by_role("columnheader").first, "right")
    look(olga, "tenants", olga.page.get_by_role("columnheader").first, "right")
    olga.link("acme").click()
    olga.button("Suspend").wait_for()
    look(olga, "tenant", olga.page.get_by_role("heading", level=1), "right")
    assert {name: each for name, each in found.items() if each} == {}
    assert ada.unexpected() + olga.unexpected() == []


def test_a_domain_of_ones_own_has_its_pages_without_front_end_code(bookshop: Site, visit: Visit) -> None:
    ann = visit(bookshop).sign_in("ann", password=PASSWORD)
    page = ann.page
    expect(page).to_have_url(f"{bookshop.url}/w/north/books")  # the only workspace, its first resource
    ann.link("List").click()
    page.get_by_role("link", name="New book").click()
    ann.field("Title").fill("Emma")
    ann.field("Price cents").fill("12.5")
    ann.field("Stock").focus()
    expect(page.locator("#field-price_cents-error")).to_have_text("Write a whole number.")
    ann.field("Price cents").fill("1250")
    ann.field("Stock").fill("3")
    ann.button("Create").click()
    ann.said("“Emma” is created.")
    expect(page.get_by_role("columnheader")).to_have_text(["Title", "Price cents", "Stock", "Sold"])
    expect(page.locator("tbody td:not(.pick)")).to_have_text(["Emma", "1,250", "3", "0"])
    ann.button("Add a filter").click()
    ann.button("Apply").click()
    expect(page.get_by_text("Owner is me")).to_be_visible()
    expect(page.locator(".row-link")).to_have_text("Emma")
    ann.button("Columns").click()
    page.get_by_role("checkbox", name="Owner").check()
    expect(page.locator("tbody td:not(.pick)").last).to_have_text("Ann")  # by name, and not by id
    assert ann.unexpected() == []


def test_a_component_of_ones_own_is_in_the_place_of_the_list(bookshop: Site, visit: Visit) -> None:
    ann = visit(bookshop).signed_in("ann", "/w/north/books", PASSWORD)
    page = ann.page
    page.get_by_role("link", name="New book").click()
    ann.field("Title").fill("Persuasion")
    ann.field("Price cents").fill("1250")
    ann.field("Stock").fill("1")
    ann.button("Create").click()
    card = page.get_by_role("listitem").filter(has_text="Persuasion")  # the event has told it
    expect(card).to_contain_text("12.50")
    expect(card).to_contain_text("1 in stock")
    assert ann.violations() == []
    ann.button("Sell one copy of Persuasion").click()  # a call of its own, with the tenant and the proof of the page
    ann.said("One copy of “Persuasion” is sold.")
    expect(card).to_contain_text("Sold out")
    expect(card.get_by_role("button", name="Persuasion", exact=True)).to_be_focused()  # nothing else to press
    card.get_by_role("button", name="Persuasion", exact=True).click()
    expect(page).to_have_url(re.compile(r"/w/north/books/[0-9a-f-]{36}$"))
    expect(ann.field("Stock")).to_have_value("0")
    page.keyboard.press("Escape")
    ann.link("List").click()
    expect(page).to_have_url(f"{bookshop.url}/w/north/books?view=list")
    expect(page.get_by_role("row", name="Persuasion").locator("td")).to_have_text(["", "Persuasion", "1,250", "0", "1"])
    page.go_back()
    expect(card).to_be_visible()
    page.evaluate("() => document.querySelector('book-shelf').page.go('/w/south/books')")
    expect(page.get_by_role("heading", name="You cannot enter this workspace")).to_be_visible()
    assert ann.unexpected([403]) == []


def test_a_component_that_does_not_work_leaves_the_list(bookshop: Site, visit: Visit) -> None:
    ann = visit(bookshop).signed_in("ann", "/w/north/books?view=list", PASSWORD)
    page = ann.page
    module = ""
    page.route(
        "**/components/**",
        lambda route: route.fulfill(body=module, content_type="text/javascript") if module else route.abort(),
    )
    for module, said in BROKEN.items():
        ann.link("Page").click()
        expect(page.get_by_role("alert"), module).to_contain_text(said)
        ann.link("Show the list").click()
        expect(page).to_have_url(f"{bookshop.url}/w/north/books?view=list")
        expect(ann.button("Columns")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        page.reload()  # a browser keeps a module as long as its document
    assert not [text for text in ann.unexpected() if "Content Security Policy" in text]


def test_rows_that_stay_as_they_are_are_only_added(inventory: Site, visit: Visit) -> None:
    ann = visit(inventory).signed_in("ann", "/w/north/products/new", PASSWORD)
    page = ann.page
    ann.field("Sku").fill("A-1")
    ann.field("Name").fill("Anvil")
    ann.field("Picture").set_input_files({"name": "anvil.png", "mimeType": "image/png", "buffer": b"heavy"})
    expect(ann.link("anvil.png")).to_be_visible()
    ann.button("Create").click()
    ann.said("“Anvil” is created.")
    ann.link("Anvil").click()
    expect(ann.sheet().get_by_role("link", name="anvil.png")).to_have_attribute("href", re.compile("/content$"))
    page.keyboard.press("Escape")
    ann.link("Movements").click()
    page.get_by_role("link", name="New movement").click()
    ann.field("Product").fill("Anv")
    page.get_by_role("option", name="Anvil").click()
    ann.field("Quantity").fill("-1")
    ann.field("Reason").fill("Sold")
    ann.button("Create").click()
    expect(page.locator("#field-quantity-error")).to_have_text("Only 0 are in stock.")
    ann.field("Quantity").fill("5")
    ann.button("Create").click()
    ann.said("“Sold” is created.")
    expect(page.locator("tbody td")).to_contain_text(["Sold", "Anvil", "5"])
    expect(page.locator("td.pick")).to_have_count(0)  # nothing can be done with chosen ones
    ann.link("Sold").click()
    expect(ann.sheet()).to_contain_text("You can read this, and not change it.")
    expect(ann.button("Delete")).to_have_count(0)
    page.keyboard.press("Escape")
    ann.link("Suppliers").click()
    expect(ann.link("Our own workshop")).to_be_visible()  # of the hook
    north = {"X-Tenant": "north"}
    supplier = ann.api("GET", "/suppliers", **north)["items"][0]["id"]
    order = ann.api("POST", "/orders", {"number": "1", "supplier_id": supplier}, **north)["id"]
    ann.open(f"/w/north/orders/{order}")
    expect(ann.link("Order lines")).to_have_count(0)  # they are within their order
    ann.button("Add order line").click()
    ann.field("Product").fill("Anv")
    page.get_by_role("option", name="Anvil").click()
    ann.field("Quantity").fill("12")
    ann.button("Create").click()
    expect(page.get_by_role("region", name="Order lines").locator("li")).to_contain_text("Anvil12")
    page.keyboard.press("Escape")
    ann.link("Members").click()
    ann.button("Invite or add").click()
    warehouse = ann.sheet().locator("label", has_text="warehouse")
    expect(warehouse).to_contain_text("Permits: read content; Move products in and out of stock")
    assert ann.unexpected([422]) == []


def test_a_resource_with_every_type_of_field_needs_no_front_end_code(everything: Site, visit: Visit) -> None:
    bob = visit(everything, timezone_id="Europe/Berlin").signed_in("bob", "/w/acme/shelves/new", PASSWORD)
    page = bob.page
    bob.field("Name").fill("Top shelf")
    bob.button("Create").click()
    bob.said("“Top shelf” is created.")
    bob.link("All types").click()
    page.get_by_role("link", name="New thing").click()
    expect(bob.sheet().get_by_text("As it stands on the label.")).to_be_visible()
    for label, text in WRITTEN.items():
        bob.field(label).fill(text)
    bob.field("Active").uncheck()
    for label, choice in (("Agreed", "Yes"), ("Kind", "service"), ("Color", "blue"), ("Size", "2")):
        bob.field(label).select_option(choice)
    bob.field("Shelf").fill("top")
    page.get_by_role("option", name="Top shelf").click()
    for word in ("new", "fragile"):
        bob.field("Labels").fill(word)
        bob.field("Labels").press("Enter")
    bob.button("Create").click()
    expect(page.locator("#field-amount-error")).to_have_text("Thirteen brings bad luck.")
    bob.field("Amount").fill("42")
    bob.button("Create").click()
    bob.said("“Lamp” is created.")

    [row] = bob.api("GET", "/everything", **{"X-Tenant": "acme"})["items"]
    shelf = bob.api("GET", "/shelves", **{"X-Tenant": "acme"})["items"][0]["id"]
    assert {name: value for name, value in row.items() if name != "id"} == STORED | {"shelf_id": shelf, "version": 1}

    bob.link("Lamp").click()
    for label, text in WRITTEN.items():
        if label not in ("Amount", "Rates"):
            expect(bob.field(label)).to_have_value(text)
    expect(bob.field("Shelf")).to_have_value("Top shelf")
    for label in ("Price", "Due", "At", "Local", "Opens", "Share"):
        bob.field(label).fill("")
    bob.field("Agreed").select_option("Not set")
    bob.button("Save").click()
    bob.said("Saved.")
    [row] = bob.api("GET", "/everything", **{"X-Tenant": "acme"})["items"]
    emptied = dict.fromkeys(("price", "due", "at", "local", "opens", "share", "agreed"))
    assert {name: value for name, value in row.items() if name != "id"} == STORED | emptied | {
        "shelf_id": shelf,
        "version": 2,
    }

    for field, condition, chip in (
        ("Name", "is like", "Name is like La*"),
        ("Amount", "is at least", "Amount is at least 40"),
        ("Color", "is", "Color is blue"),
        ("Agreed", "is set", "Agreed is set No"),
        ("Shelf", "is", "Shelf is Top shelf"),
    ):
        bob.button("Add a filter").click()
        page.get_by_label("Field").select_option(field)
        page.get_by_label("Condition").select_option(condition)
        value = page.locator("#filter-value")
        if field == "Shelf":
            value.fill("top")
            page.get_by_role("option", name="Top shelf").click()
        elif field in ("Color", "Agreed"):
            value.select_option({"Color": "blue", "Agreed": "No"}[field])
        else:
            value.fill({"Name": "La*", "Amount": "40"}[field])
        bob.button("Apply").click()
        expect(page.get_by_text(chip)).to_be_visible()
    expect(bob.link("Lamp")).to_be_visible()
    bob.button("Amount").click()
    expect(page).to_have_url(re.compile("_sort=amount"))
    with page.expect_download() as download:
        bob.button("Export CSV").click()
    assert "Lamp" in download.value.path().read_text(encoding="utf-8-sig")
    bob.open("/w/acme/everything?columns=name,serial")
    expect(page.get_by_role("row", name="Lamp")).to_contain_text("9,007,199,254,740,993")
    bob.link("Lamp").click()
    bob.button("Delete").click()
    bob.button("Undo").click()
    bob.said("“Lamp” is back.")
    assert bob.api("GET", "/everything", **{"X-Tenant": "acme"})["items"][0]["serial"] == int(LARGE)
    bob.api("POST", "/shelves", {"name": "Empty shelf"}, **{"X-Tenant": "acme"})
    bob.open("/w/acme/shelves").link("Empty shelf").click()
    expect(page).to_have_url(re.compile(r"/shelves/\d+"))
    bob.button("Delete").click()
    page.get_by_role("dialog").last.get_by_role("button", name="Delete").click()  # it cannot be undone
    expect(bob.link("Empty shelf")).to_have_count(0)
    assert bob.unexpected([422]) == []
