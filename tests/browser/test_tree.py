"""Rows that refer to each other are a tree, in a real browser against a real server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Locator, expect

from tests.browser.site import Site, demo_in_thread
from tests.browser.visitor import Visitor

Visit = Callable[..., Visitor]
TREE = "/w/acme/nodes?view=tree"
TENANT = {"X-Tenant": "acme"}


def made(visitor: Visitor, title: str, above: str | None = None) -> str:
    return str(visitor.api("POST", "/nodes", {"title": title, "parent_id": above}, **TENANT)["id"])


def below(visitor: Visitor, title: str) -> Locator:
    """The rows that are shown below one."""
    row = visitor.page.locator(".tree-row", has=visitor.page.get_by_role("link", name=title, exact=True))
    return row.locator("xpath=following-sibling::ul").locator("> li > .tree-row > a.tree-link")


def test_a_person_works_in_the_tree(site: Site, visit: Visit) -> None:
    ada = visit(site).signed_in("ada", "/w/acme/nodes")
    page = ada.page
    made(ada, "Forest")
    made(ada, "Meadow")
    ada.link("Tree").click()
    expect(page).to_have_url(site.url + TREE)
    ada.link("New node below “Forest”").click()
    expect(ada.field("Parent")).to_have_value("Forest")
    ada.field("Title").fill("Oak")
    ada.button("Create").click()
    ada.said("“Oak” is created.")
    expect(below(ada, "Forest")).to_have_text(["Oak"])  # it is opened
    expect(page).to_have_url(site.url + TREE)

    ada.link("Forest").focus()
    page.keyboard.press("ArrowLeft")
    expect(below(ada, "Forest")).to_have_count(0)
    expect(ada.button("Rows below “Forest”")).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(below(ada, "Forest")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(ada.link("Oak")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(ada.link("Forest")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    ada.field("Parent").fill("meadow")
    page.get_by_role("option", name="Meadow").click()
    ada.button("Save").click()
    ada.said("Saved.")
    expect(below(ada, "Meadow")).to_have_text(["Oak"])  # where it is now
    expect(ada.link("Oak")).to_be_focused()
    expect(ada.button("Rows below “Forest”")).to_have_count(0)
    page.keyboard.press("k")
    page.keyboard.press("e")
    expect(ada.field("Title")).to_have_value("Meadow")
    expect(ada.field("Title")).to_be_focused()
    page.keyboard.press("Escape")
    page.reload()
    expect(below(ada, "Meadow")).to_have_text(["Oak"])  # the tab remembers what was open
    assert ada.violations() == []

    ada.link("Meadow").click()
    ada.button("Delete").click()
    refusal = page.get_by_role("alert")
    expect(refusal).to_have_text("There are nodes below this one. Delete or move them first.")
    expect(refusal).to_be_focused()  # the disabled button has lost the focus
    for width, height in ((360, 500), (1280, 720)):
        page.set_viewport_size({"width": width, "height": height})
        expect(refusal).to_be_in_viewport(ratio=1)  # whatever the length of the form
    page.keyboard.press("Escape")
    ada.link("Oak").click()
    ada.button("Delete").click()
    ada.said("“Oak” is deleted.")
    expect(ada.button("Rows below “Meadow”")).to_have_count(0)
    ada.button("Undo").click()
    expect(below(ada, "Meadow")).to_have_text(["Oak"])

    page.get_by_role("searchbox").fill("oak")
    expect(page.get_by_role("table").get_by_role("link")).to_have_text(["Oak"])  # what is found is a list
    page.get_by_role("searchbox").fill("")
    expect(ada.link("Meadow")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    page.get_by_label("Sorted by").select_option("Title, descending")
    expect(page).to_have_url(re.compile("_sort=-title"))
    titles = page.locator(".tree > .branch > li > .tree-row > .tree-link")
    expect(titles.first).to_have_text(sorted(titles.all_inner_texts())[-1])
    assert ada.unexpected([409]) == []


def test_a_tree_may_be_wide_and_deep(site: Site, visit: Visit) -> None:
    ada = visit(site, viewport={"width": 360, "height": 700}).with_session("ada")
    page = ada.page
    wide = made(ada, "Wide")
    chain = [str(uuid4()) for _ in range(20)]
    parts: list[dict[str, Any]] = [
        {"method": "POST", "path": "/nodes", "body": {"title": f"Sibling {number}", "parent_id": wide}}
        for number in range(60)
    ]
    for above, node in zip([None, *chain[:-1]], chain, strict=True):
        level = chain.index(node) + 1
        content = {"title": f"Level {level} of a rather deep chain", "parent_id": above}
        new = {"If-None-Match": "*"}
        parts.append({"method": "PUT", "path": f"/nodes/{node}", "body": content, "headers": new})
    siblings = [each["body"]["id"] for each in ada.api("POST", "/batch", {"requests": parts}, **TENANT)["responses"]]

    ada.open(f"/w/acme/nodes/{chain[-1]}?view=tree")
    expect(ada.field("Title")).to_have_value("Level 20 of a rather deep chain")
    page.keyboard.press("Escape")
    deepest = ada.link("Level 20 of a rather deep chain")
    expect(deepest).to_be_focused()  # what is above it is open
    assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    box = deepest.bounding_box()
    assert box is not None
    assert box["width"] > 120

    ada.button("Rows below “Wide”").click()
    expect(below(ada, "Wide")).to_have_count(50)
    ada.button("Show more").click()
    expect(below(ada, "Wide")).to_have_count(60)

    # What was above is moved below by somebody else.
    first = made(ada, "First")
    second = made(ada, "Second", first)
    third = made(ada, "Third", second)
    ada.open(TREE)
    ada.button("Rows below “First”").click()
    expect(below(ada, "First")).to_have_text(["Second"])
    for node, above in ((second, None), (first, second)):
        ada.api("PATCH", f"/nodes/{node}", {"parent_id": above}, **TENANT)
    ada.button("Rows below “Second”").click()
    expect(below(ada, "Second")).to_have_text(["First", "Third"])
    expect(ada.link("Second")).to_have_count(1)
    assert ada.unexpected() == []
    # Other tests look at short lists.
    leaves_first = (*siblings[:60], wide, *reversed(chain), third, first, second)
    deletes = [{"method": "DELETE", "path": f"/nodes/{node}"} for node in leaves_first]
    assert "responses" in ada.api("POST", "/batch", {"requests": deletes}, **TENANT)


def test_what_is_too_much_for_one_answer_is_read_in_halves(visit: Visit, tmp_path: Path) -> None:
    with demo_in_thread(tmp_path, "api.batch = 2") as site:
        ada = visit(site).with_session("ada")
        tops = [f"Top {number}" for number in range(3)]
        for top in tops:
            made(ada, f"Below {top}", made(ada, top))
        ada.open(TREE)
        for top in tops:
            ada.button(f"Rows below “{top}”").click()
            expect(below(ada, top)).to_have_text([f"Below {top}"])
        ada.page.reload()  # all that is open is read at once
        for top in tops:
            expect(below(ada, top)).to_have_text([f"Below {top}"])
        assert ada.unexpected([413]) == []
