"""Texts and names that are long, odd or hostile: shown or refused, and never run."""

import csv
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop
from tests.installation import PASSWORD

Visit = Callable[..., Visitor]
TITLES = [
    "W" * 200,
    "שלום עולם, 123 (abc)",
    "مرحبا 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "\u00e9\u0302\u0303\u0304" * 30,
    "ab\u200dcd\u200cef",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>'",
    "{{constructor.constructor('alert(1)')()}}",
    "javascript:alert(1)",
    "../../etc/passwd",
    "CON",
    "=HYPERLINK(\"https://example.org\",\"x\")",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\uff1d1+1",
]  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>\"'&quot;"
FORMULA = ("=", "+", "-", "@", "\uff1d", "\t", "\r")
BODIES = {
    "brackets": "[" * 10_000,
    "pictures": "![" * 5_000,
    "both ways": "[" * 10_000 + "]" * 10_000,
    "quotes": ">" * 10_000,
    "lists": "\n".join("  " * depth + "- a" for depth in range(200)),
    "columns": "|a" * 1_000 + "\n" + "|-" * 1_000,
    "an address": "a" * 90_000 + "@",
}
PASTE = "(field, codes) => { field.value = String.fromCodePoint(...codes); field.dispatchEvent(new Event('input')) }"
INTRICATE = ("quotes", "an address")  # one is too deep, and the other takes more than a minute
LINKS = """
<a href="https://example.org" target="x">html</a> <form id="app"><input name="getElementById"></form>
[one](javascript:alert(1)) [two](JaVaScRiPt:alert(1)) [three](&#106;avascript:alert(1)) [four](data:text/html,x)
[five](vbscript:x) [six](//example.org/x) [seven](blob:x) ![eight](https://example.org/huge.png) [nine](/w/acme/nodes)
"""


def test_odd_texts_are_shown_or_refused_at_their_field(workshop: Workshop, visit: Visit) -> None:
    workshop.create_tenant("odd", HOSTILE, both="author")
    both = visit(workshop.site).with_session("both", PASSWORD)
    page = both.page
    tenant = {"X-Tenant": "odd"}
    tags = [f"{HOSTILE[:28]} {number:04}" for number in range(1_000)]
    nodes = [{"title": title, "tags": []} for title in TITLES]
    nodes += [{"title": f"tagged {start}", "tags": tags[start : start + 50]} for start in range(0, len(tags), 50)]
    requests = [{"method": "POST", "path": "/nodes", "body": each} for each in nodes]
    both.api("POST", "/batch", {"requests": requests}, **tenant)
    both.open("/w/odd/nodes")
    expect(page.locator("tbody tr")).to_have_count(len(nodes))
    assert both.titles()[: len(TITLES)] == TITLES
    assert page.title() == f"Nodes · {HOSTILE}"
    page.set_viewport_size({"width": 360, "height": 740})
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    found = {"list": page.evaluate(wide)}
    with page.expect_download() as download:
        both.button("Export CSV").click()
    assert download.value.suggested_filename == "odd-nodes.csv"
    rows = list(csv.reader(download.value.path().read_text(encoding="utf-8-sig").splitlines()))
    assert [cell for row in rows for cell in row if cell.startswith(FORMULA)] == []
    assert len(rows) == len(nodes) + 1

    both.link("tagged 50").click()
    expect(both.sheet().locator(".chip")).to_have_count(50)
    expect(page.locator("#field-tags-known option")).to_have_count(1_000, timeout=10_000)
    found["row"] = page.evaluate(wide)
    both.field("Tags").fill("the fifty-first")
    both.field("Title").fill("x")
    both.button("Save").click()
    expect(page.locator("#field-tags-error")).to_have_text("There may be at most 50.")
    page.keyboard.press("Escape")
    both.button("Discard the changes").click()
    page.get_by_role("link", name="New node").click()
    for text in ("a\x00b", "a\ud800b", "a\u202eb", "\ufdd0", "x" * 201):
        page.locator("#field-title").evaluate(PASTE, [ord(letter) for letter in text])
        both.button("Create").click()
        expect(page.locator("#field-title-error")).to_be_visible()
    both.field("Tags").fill("日本")
    both.field("Tags").dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # it ends a character
    expect(both.sheet().locator(".chip")).to_have_count(0)
    both.field("Tags").press("Enter")
    expect(both.sheet().locator(".chip")).to_have_text("日本")
    page.set_viewport_size({"width": 1280, "height": 740})
    for path in ("nodes?q=%00", "nodes?cursor=%00", "nodes?_sort=%00&status=%00"):
        both.open(f"/w/odd/{path}")
        expect(page.get_by_role("alert").or_(page.get_by_text("Nothing found"))).to_be_visible()
    assert found == {"list": 0, "row": 0}
    assert both.unexpected([400, 422]) == []


def test_an_address_leads_to_no_other_call_than_that_of_a_row(workshop: Workshop, visit: Visit) -> None:
    both = visit(workshop.site).with_session("both", PASSWORD)
    called: list[str] = []
    both.page.on("request", lambda request: called.append(request.url))
    for odd in ("..%2Ftags", "..%2F..%2Fv1%2Fsession", "x%3Flimit=1", "x%23", "%00"):
        called.clear()
        both.open(f"/w/acme/nodes/{odd}")
        expect(both.sheet().get_by_role("alert")).to_be_visible()
        paths = [url.removeprefix(both.url).split("?")[0] for url in called]
        known = ("/api/v1/nodes", "/api/v1/session", "/api/v1/openapi.json", "/w/", "/assets/", "/api/v1/changes")
        assert [path for path in paths if not path.startswith(known) or "session/" in path] == []
    assert both.unexpected([400, 404, 405, 422]) == []


def test_hostile_markdown_neither_runs_nor_freezes_the_tab(workshop: Workshop, visit: Visit) -> None:
    both = visit(workshop.site).signed_in("both", "/w/acme/nodes/new", PASSWORD)
    page = both.page
    both.button("Preview").click()
    shown, body = page.locator(".prose"), page.locator("#field-body")
    for name, text in {**BODIES, "links": LINKS}.items():
        body.evaluate("(field, text) => { field.value = text; field.dispatchEvent(new Event('input')) }", text)
        assert page.evaluate("() => new Promise((done) => setTimeout(() => done(true), 50))")
        if name in INTRICATE:
            expect(page.get_by_text("too intricate to be formatted")).to_be_visible()
        else:
            expect(page.get_by_text("too intricate to be formatted")).to_have_count(0)
        expect(shown).not_to_be_empty()
    expect(shown).to_contain_text('<form id="app">')
    links = shown.locator("a")
    assert links.evaluate_all("all => all.map((each) => [each.textContent, each.getAttribute('href')])") == [
        *([name, None] for name in ("one", "two", "three", "four", "five", "six", "seven")),
        ["eight", "https://example.org/huge.png"],
        ["nine", "/w/acme/nodes"],
    ]
    assert set(links.evaluate_all("all => all.map((each) => each.rel)")) == {"noopener noreferrer nofollow"}
    assert both.unexpected() == []
