"""The list of a resource: many rows, its keys, and changes of several rows at once."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.site import Site
from tests.browser.visitor import Visitor

Visit = Callable[..., Visitor]
Nodes = Callable[[Visitor, Sequence[dict[str, Any]]], list[str]]
LIST = "/w/acme/nodes"
ACME = {"X-Tenant": "acme"}
MOST_SHIFT = 0.02  # what a person does not see; https://web.dev/articles/cls calls 0.1 good
SHIFTS = """
window.shift = 0;
new PerformanceObserver(list => { for (const each of list.getEntries()) window.shift += each.value; })
  .observe({ type: "layout-shift", buffered: true });
"""
LONG = ("long " * 30, "x" * 200, "مرحبا שלום " * 9, "👩‍👩‍👧‍👦" * 18, "zero\u200dwidth" * 15)


@pytest.fixture
def nodes(visit: Visit) -> Iterator[Nodes]:
    """Makes nodes in one batch, and returns their ids. They go afterwards: other tests look at short lists."""
    made: list[tuple[Visitor, str]] = []

    def make(visitor: Visitor, contents: Sequence[dict[str, Any]]) -> list[str]:
        parts = [{"method": "POST", "path": "/nodes", "body": each} for each in contents]
        answers = visitor.api("POST", "/batch", {"requests": parts}, **ACME)["responses"]
        ids = [each["body"]["id"] for each in answers]
        made.extend((visitor, id_) for id_ in ids)
        return ids

    yield make
    for visitor, of_one in groupby(reversed(made), key=itemgetter(0)):
        parts = [{"method": "DELETE", "path": f"/nodes/{id_}"} for _, id_ in of_one]
        for start in range(0, len(parts), 100):
            visitor.api("POST", "/batch", {"requests": parts[start : start + 100]}, **ACME)


def test_nothing_moves_while_a_list_is_read_searched_and_paged(site: Site, visit: Visit, nodes: Nodes) -> None:
    carol = visit(site).with_session("carol")
    [parent] = nodes(carol, [{"title": "A parent whose title comes later than its rows"}])
    nodes(carol, [{"title": f"Shifted {each}", "parent_id": parent, "tags": ["a", "b"]} for each in range(60)])
    nodes(carol, [{"title": title} for title in LONG])
    ada = visit(site, viewport={"width": 1280, "height": 800})
    page = ada.page
    page.add_init_script(SHIFTS)
    ada.sign_in("ada", f"{LIST}?columns=title,status,parent_id,tags&_sort=-id")
    expect(page.get_by_text("A parent whose").first).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="rows")).to_be_visible()
    page.get_by_role("searchbox").fill("shifted 5")
    expect(page.locator("tbody tr")).to_have_count(11)
    page.get_by_role("searchbox").fill("")
    ada.button("Next page").click()
    expect(page).to_have_url(re.compile("cursor="))
    ada.button("First page").click()
    expect(ada.button("First page")).to_have_count(0)
    assert page.evaluate("() => window.shift") < MOST_SHIFT
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
        heights = "all => [...new Set(all.map(each => Math.round(each.getBoundingClientRect().height)))]"
        assert page.locator("tbody tr").evaluate_all(heights) == [42]

    page.get_by_label("Rows per page").select_option("100")
    expect(page).to_have_url(re.compile("limit=100"))
    expect(page.locator("tbody tr").nth(60)).to_be_attached()
    ada.open(LIST)  # remembered
    expect(page.locator("tbody tr").nth(60)).to_be_attached()
    assert ada.unexpected() == []


def test_every_key_of_the_help_does_what_it_says(site: Site, visit: Visit, nodes: Nodes) -> None:
    bob = visit(site).with_session("bob")
    nodes(bob, [{"title": f"Keys {each}"} for each in range(3)])
    page = bob.open(f"{LIST}?q=keys&_sort=id").page
    rows = page.locator(".row-link")
    expect(rows).to_have_text(["Keys 0", "Keys 1", "Keys 2"])
    for key, row in (("j", 0), ("j", 1), ("ArrowDown", 2), ("j", 2), ("k", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(rows.nth(row)).to_be_focused()
    page.keyboard.press("e")
    expect(bob.field("Title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(rows.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(bob.field("Title")).to_have_value("Keys 0")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(bob.field("Title")).to_have_value("")
    page.keyboard.press("Escape")
    for key, name in (("?", "Keyboard"), ("Control+k", "Switch workspace")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    for words, key, row in ((" 2", "Enter", "Keys 2"), ("", "ArrowDown", "Keys 2")):
        page.keyboard.press("/")
        page.keyboard.press("End")
        page.keyboard.type(words)
        page.keyboard.press(key)  # before the search has begun, and after it has ended
        expect(rows).to_have_text([row])
        expect(rows.first).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="Chosen rows")).to_be_visible()
    page.keyboard.press("b")
    expect(bob.button("Change")).to_be_focused()
    page.keyboard.press("Enter")
    expect(bob.sheet().locator("select").first).to_be_focused()
    page.keyboard.press("Escape")
    assert bob.unexpected() == []


def everything_in(visitor: Visitor, words: str) -> dict[str, Any]:
    """The nodes that have these words, by their titles."""
    return {each["title"]: each for each in visitor.api("GET", f"/nodes?limit=500&q={words}", **ACME)["items"]}


def test_an_author_changes_many_rows_and_none_of_others(site: Site, visit: Visit, nodes: Nodes) -> None:
    bob, carol = visit(site).with_session("bob"), visit(site).with_session("carol")
    for each in range(3):  # theirs are among his
        nodes(bob, [{"title": f"Bulk {each} own {some}", "tags": ["old"]} for some in range(20)])
        nodes(carol, [{"title": f"Bulk {each} other {some}", "tags": ["old"]} for some in range(5)])
    page = bob.open(f"{LIST}?q=bulk&_sort=id").page
    other = page.get_by_role("row", name="Bulk 0 other 0").get_by_role("checkbox")
    expect(other).to_have_accessible_name("“Bulk 0 other 0” belongs to somebody else, and you may not change it")
    expect(other).to_be_disabled()
    page.get_by_label("Choose all on this page").check()
    bar = page.get_by_role("region", name="Chosen rows")
    expect(bar).to_contain_text("40 rows are chosen")
    bob.button("Choose all 75 rows of the list").click()
    expect(bar).to_contain_text("60 rows are chosen")
    expect(bar).to_contain_text("15 rows belong to others and are not chosen.")

    choose_all_while_the_filters_change(bob)

    before = everything_in(bob, "bulk")
    carol.api("PATCH", f"/nodes/{before['Bulk 1 own 1']['id']}", {"body": "seen too late"}, **ACME)
    bob.button("Change").click()
    dialog = bob.sheet()
    expect(dialog).to_contain_text("“Bulk 1 own 1”: Somebody else has changed it since you chose it.")
    carol.api("PATCH", f"/nodes/{before['Bulk 2 own 2']['id']}", {"body": "later still"}, **ACME)
    dialog.get_by_role("combobox", name="Field", exact=True).select_option("Status")
    dialog.locator("#bulk-status").select_option("archived")
    bob.button("Change another field").click()
    dialog.get_by_role("combobox", name="Field", exact=True).last.select_option("Tags")
    dialog.locator("#bulk-tags").fill("new")
    bob.button("Change 59 rows").click()
    expect(dialog).to_contain_text("58 rows are changed.")
    expect(dialog).to_contain_text("1 row was refused:")
    expect(dialog).to_contain_text("“Bulk 2 own 2”: Somebody else changed this first.")
    dialog.get_by_text("Close", exact=True).click()
    expect(bar).to_contain_text("2 rows are chosen")

    after = everything_in(bob, "bulk")
    untouched = {title for title in before if "other" in title} | {"Bulk 1 own 1", "Bulk 2 own 2"}
    assert {title for title, each in after.items() if each["status"] != "archived"} == untouched
    assert all(each["tags"] == (["old"] if title in untouched else ["new", "old"]) for title, each in after.items())
    moved = {title: each["version"] - before[title]["version"] for title, each in after.items()}
    assert moved == {title: 0 if "other" in title else 1 for title in after}
    assert bob.unexpected([412]) == []


def choose_all_while_the_filters_change(bob: Visitor) -> None:
    """What is read for the former filters is not chosen. Afterwards all is as it was before."""
    page = bob.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    bar = page.get_by_role("region", name="Chosen rows")
    page.get_by_label("Choose all on this page").uncheck()
    bob.button("Choose none").click()
    page.get_by_label("Choose all on this page").check()
    page.route("**/api/v1/nodes?*limit=500*", hold)
    bob.button("Choose all 75 rows of the list").click()
    page.get_by_role("searchbox").fill("bulk other")
    expect(page.locator("tbody .row-link")).to_have_count(15)
    expect(bar).to_have_count(0)
    with page.expect_response("**/api/v1/nodes?*limit=500*") as answered:
        held[0].continue_()
    answered.value.finished()
    page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    expect(bar).to_have_count(0)
    page.unroute_all(behavior="wait")
    page.get_by_role("searchbox").fill("bulk")
    page.get_by_label("Choose all on this page").check()
    bob.button("Choose all 75 rows of the list").click()
    expect(bar).to_contain_text("60 rows are chosen")


def test_many_rows_are_deleted_after_a_question_and_come_back(site: Site, visit: Visit, nodes: Nodes) -> None:
    bob = visit(site, viewport={"width": 360, "height": 700}).with_session("bob")
    [top] = nodes(bob, [{"title": "Removed 0", "body": "# Kept", "tags": ["kept"]}])
    [middle] = nodes(bob, [{"title": "Removed 1", "parent_id": top}])
    nodes(bob, [{"title": "Removed 2", "parent_id": middle}, {"title": "Removed 3"}])
    before = everything_in(bob, "removed")
    page = bob.open(f"{LIST}?q=removed&_sort=id").page
    boxes = page.locator("tbody").get_by_role("checkbox")
    boxes.first.check()
    boxes.nth(2).click(modifiers=["Shift"])
    page.locator(".row-link").nth(3).focus()
    for _ in range(2):  # chosen, and given up
        page.keyboard.press("x")
    expect(page.get_by_role("region", name="Chosen rows")).to_contain_text("3 rows are chosen")
    found = {"chosen": bob.violations()}
    bob.button("Change").click()
    bob.button("Change 3 rows").wait_for()
    found["change"] = bob.violations()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    page.keyboard.press("Escape")
    page.get_by_role("region", name="Chosen rows").get_by_role("button", name="Delete").click()
    expect(bob.sheet()).to_contain_text("You delete “Removed 0”, “Removed 1”, “Removed 2”.")
    expect(bob.sheet()).to_contain_text("You can undo it for some seconds afterwards.")

    done: list[int] = []

    def lose(route: Route) -> None:
        """Let the child and its parent be deleted, one after the other, and lose the answer about the parent."""
        response = route.fetch()
        done.extend([response.status] * (response.status == 200))
        route.abort() if len(done) > 1 else route.fulfill(response=response)

    page.route("**/api/v1/batch", lose)
    page.route("**/api/v1/nodes?**", lambda route: route.abort())
    bob.button("Delete 3 rows").click()
    expect(bob.sheet()).to_contain_text("It stopped after 1 of 3 rows.")
    page.unroute_all()
    bob.button("Try again").click()
    bob.said("3 rows are deleted.")
    assert list(everything_in(bob, "removed")) == ["Removed 3"]
    bob.button("Undo").click()
    bob.said("3 rows are back.")
    expect(page.locator("tbody tr")).to_have_count(4)
    after = everything_in(bob, "removed")
    kept = ("id", "title", "body", "tags", "parent_id", "owner_id", "status")
    assert [{name: each.get(name) for name in kept} for each in after.values()] == [
        {name: each.get(name) for name in kept} for each in before.values()
    ]
    assert {name: each for name, each in found.items() if each} == {}
    assert [text for text in bob.unexpected([409]) if "net::ERR" not in text] == []
