"""Answers that get lost, and answers that come too late. Requests are delayed and cut off, and never made up."""

from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop
from tests.installation import PASSWORD

Visit = Callable[..., Visitor]
OFFLINE = "The server cannot be reached."


class Network:
    """What goes wrong between a tab and the server. ``sent`` counts the requests by method and path."""

    def __init__(self, visitor: Visitor) -> None:
        self.sent: list[str] = []
        self.lost: list[str] = []  # those whose answers get lost, each once
        self.cut: list[str] = []  # those that do not get to the server, each once
        self.held: list[Route] = []
        self.holding = ""  # a part of addresses
        visitor.page.route("**/api/v1/**", self._on_route)

    def _on_route(self, route: Route) -> None:
        request = route.request
        called = f"{request.method} {request.url.split('/api/v1')[1]}"
        self.sent.append(called)
        if self.holding and self.holding in request.url:
            self.held.append(route)
        elif told := next((each for each in self.cut if called.startswith(each)), None):
            self.cut.remove(told)
            route.abort()
        elif told := next((each for each in self.lost if called.startswith(each)), None):
            self.lost.remove(told)
            route.fetch()
            route.abort()
        else:
            route.continue_()

    def release(self) -> None:
        """Let go on what was held."""
        self.holding = ""
        while self.held:
            self.held.pop().continue_()

    def count(self, called: str) -> int:
        return len([each for each in self.sent if each.startswith(called)])


def test_reads_are_repeated_and_changes_are_not(workshop: Workshop, visit: Visit) -> None:
    for slug in ("first", "second"):
        workshop.create_tenant(slug, both="admin")
    both = visit(workshop.site).signed_in("both", "/w/second/nodes", PASSWORD)
    page, network = both.page, Network(both)
    page.get_by_text("Nothing here yet").wait_for()
    node = both.api("POST", "/nodes", {"title": "Only one"}, **{"X-Tenant": "first"})
    network.cut += ["GET /nodes"] * 2
    both.open("/w/first/nodes")
    expect(both.link("Only one")).to_be_visible()

    both.link("Only one").click()
    network.lost.append("DELETE /nodes")
    both.button("Delete").click()
    expect(both.sheet().get_by_role("alert")).to_contain_text(OFFLINE)
    assert network.count("DELETE") == 1
    both.button("Delete").click()
    both.said("“Only one” is deleted.")
    page.keyboard.press("Control+k")
    page.get_by_label("Search workspaces").fill("second")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing here yet").wait_for()
    network.lost.append("PUT /nodes")
    both.button("Undo").click()
    both.said(OFFLINE)
    assert network.count("PUT") == 1
    both.button("Undo").click()
    both.said("“Only one” is back.")
    assert both.api("GET", f"/nodes/{node['id']}", **{"X-Tenant": "first"})["title"] == "Only one"
    assert both.api("GET", "/nodes", **{"X-Tenant": "second"})["items"] == []

    both.open("/w/first/manage/access")
    both.button("New service account").click()
    both.field("Login").fill("reporting")
    both.sheet().get_by_role("checkbox", name="reader").check()
    network.lost.append("POST /service-accounts")
    both.field("Login").press("Enter")
    expect(both.sheet().get_by_role("alert")).to_contain_text("The change may have been made all the same")
    assert network.count("POST /service-accounts") == 1
    page.keyboard.press("Escape")
    expect(page.get_by_role("row").filter(has_text="reporting@")).to_have_count(1)
    assert [text for text in both.unexpected() if "net::ERR" not in text] == []


def test_late_answers_do_not_show_what_nobody_asks_for_any_more(workshop: Workshop, visit: Visit) -> None:
    for slug in ("early", "late"):
        workshop.create_tenant(slug, both="author")
    both = visit(workshop.site).with_session("both", PASSWORD)
    for slug in ("early", "late"):
        nodes = [{"title": f"{slug} {word} {number}"} for number in range(3) for word in ("slow", "quick")]
        requests = [{"method": "POST", "path": "/nodes", "body": each} for each in nodes]
        both.api("POST", "/batch", {"requests": requests}, **{"X-Tenant": slug})
    page, network = both.page, Network(both)
    both.open("/w/late/nodes").page.locator("tbody tr").first.wait_for()
    rows = page.locator("tbody tr")
    network.holding = "q=slow"
    page.get_by_role("searchbox").fill("slow")
    expect(page).to_have_url(f"{both.url}/w/late/nodes?q=slow")
    page.get_by_role("searchbox").fill("quick")
    expect(rows.first).to_contain_text("quick")
    network.release()
    network.holding = "nodes?"
    page.get_by_role("link", name="Nodes").click()
    page.keyboard.press("Control+k")
    page.get_by_label("Search workspaces").fill("early")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{both.url}/w/early/nodes")
    network.release()
    expect(rows.first).to_contain_text("early")
    page.wait_for_load_state("networkidle")
    network.cut += ["GET /nodes"] * 3
    both.button("Export CSV").click()
    both.said(OFFLINE)
    assert network.cut == []
    assert [title for title in both.titles() if not title.startswith("early")] == []
    assert [text for text in both.unexpected() if "net::ERR" not in text] == []
