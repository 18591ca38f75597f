"""The list of a resource: many rows, its keys, and changes of several rows at once."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.visitor import Visitor

Visit = Callable[..., Visitor]
LIST = "/w/acme/nodes"
ACME = {"X-Tenant": "acme"}
MOST_SHIFT = 0.02  # what a person does not see; https://web.dev/articles/cls calls 0.1 good
SHIFTS = """
window.shift = 0;
new PerformanceObserver(list => { for (const each of list.getEntries()) window.shift += each.value; })
  .observe({ type: "layout-shift", buffered: true });
"""
LONG = ("long " * 30, "x" * 200, "مرحبا שלום " * 9, "👩‍👩‍👧‍👦" * 18, "zero\u200dwidth" * 15)


def nodes(visitor: Visitor, contents: Sequence[dict[str, Any]]) -> list[str]:
    """Make nodes in one batch, and return their ids."""
    parts = [{"method": "POST", "path": "/nodes", "body": each} for each in contents]
    made = visitor.api("POST", "/batch", {"requests": parts}, **ACME)
    return [each["body"]["id"] for each in made["responses"]]


def test_nothing_moves_while_a_list_is_read_searched_and_paged(site: Site, visit: Visit) -> None:
    carol = visit(site).signed_in("carol", LIST)
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


def test_every_key_of_the_help_does_what_it_says(site: Site, visit: Visit) -> None:
    bob = visit(site).signed_in("bob", LIST)
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
    assert bob.unexpected() == []
