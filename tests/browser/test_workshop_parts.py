"""Webhooks, jobs and files at the page, in a real browser against the bundled application."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from playwright.sync_api import Route, expect
from sqlalchemy import select, update

from tenantapp.identity.local_access import local_access
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import TenantDelivery, TenantWebhook
from tests.browser.visitor import Visitor
from tests.browser.workshop import Workshop
from tests.functional.operators import add_operator
from tests.installation import PASSWORD
from tests.jobs import Desk

Visit = Callable[..., Visitor]
# Presses "Stop" as soon as the page has this text.
STOP_WHEN = """
text => new MutationObserver((_, observer) => {
  const stop = [...document.querySelectorAll("dialog button")].find(each => each.textContent.trim() === "Stop");
  if (!stop || !document.body.textContent.includes(text)) return;
  observer.disconnect();
  stop.click();
}).observe(document.body, { subtree: true, childList: true, characterData: true })
"""
DROP = """([name, type, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type }));
  const at = document.querySelector("dialog[open] .drop") ?? document.querySelector("table") ?? document.body;
  for (const kind of ["dragover", "drop"])
    at.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""
ROW = "01900000-0000-7000-8000-000000000001"


def add_deliveries(workshop: Workshop) -> None:
    """Note two messages of the only webhook: one that was delivered, and one that was given up."""
    registry = workshop.installation.registry
    with registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with registry.tenant_dbs.begin(access) as session:
        webhook = session.scalars(select(TenantWebhook)).one()
        session.execute(update(TenantWebhook).values(failures=2, failing_since=utcnow()))
        for position, (kind, state, answer, error) in enumerate(
            (("created", "delivered", 204, None), ("changed", "failed", 503, "The receiver answered 503."))
        ):
            data = {"resource": "nodes", "id": ROW, "kind": kind}
            session.add(
                TenantDelivery(
                    webhook_id=webhook.id,
                    position=position,
                    body=json.dumps({"type": f"nodes.{kind}", "data": data}),
                    state=state,
                    due_at=utcnow(),
                    attempts=12,
                    answer=answer,
                    error=error,
                )
            )


@contextmanager
def writing(workshop: Workshop, slug: str) -> Iterator[None]:
    """Be the one who writes to the tenant, so that others who would write wait."""
    registry = workshop.installation.registry
    with registry.user_db.begin(read_only=True) as session:
        access = local_access(session, slug)
    with registry.tenant_dbs.begin(access):
        yield


def fail(job: Any) -> None:
    raise ValueError("no such shelf")


def test_an_administrator_keeps_webhooks(workshop: Workshop, visit: Visit) -> None:
    ada = visit(workshop.site, permissions=["clipboard-write"]).signed_in("ada", "/w/acme/manage/webhooks", PASSWORD)
    page = ada.page
    expect(page.get_by_text("There are no webhooks yet.")).to_be_visible()
    page.keyboard.press("n")
    ada.field("Name").fill("Search index")
    ada.field("Address").fill("https://127.0.0.1/hooks")
    ada.field("Name").press("Enter")
    expect(ada.sheet()).to_contain_text("Choose at least one.")
    ada.sheet().get_by_role("checkbox", name="Nodes").check()
    ada.field("Name").press("Enter")
    expect(ada.field("Address")).to_be_focused()
    expect(ada.sheet()).to_contain_text("not a public one")
    found = {"adding": ada.violations()}
    ada.field("Address").fill("https://1.1.1.1/hooks")
    ada.field("Address").press("Enter")
    secret = ada.field("Secret").input_value()
    assert secret.startswith("whsec_")
    page.keyboard.press("Escape")  # the secret would be lost
    found["secret"] = ada.violations()
    ada.button("Done").click()
    expect(page.get_by_role("row").filter(has_text="Search index")).to_contain_text("on")
    add_deliveries(workshop)
    ada.link("Search index").click()
    expect(page.get_by_text("failed 2 times in a row")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("link", name="Nodes: changed")).to_have_attribute("href", f"/w/acme/nodes/{ROW}")
    found["one"] = ada.page_violations()
    page.get_by_label("State").select_option("given up")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("The receiver answered 503.")
    page.get_by_role("button", name="Send again: Nodes: changed").click()
    ada.said("The message is sent again, under the same id.")
    expect(page.get_by_text("No message is in this state.")).to_be_visible()
    page.get_by_label("State").select_option("Any state")
    expect(page.locator("tbody tr").first).to_contain_text("waits")

    ada.button("Change").click()
    ada.field("Name").fill("Index")
    page.route("**/webhooks/*", partial(Route.fulfill, status=500, json={"code": "server_error"}))
    ada.field("Name").press("Enter")
    expect(ada.sheet().get_by_role("alert")).to_be_visible()
    expect(ada.field("Name")).to_have_value("Index")  # though it cannot be read again
    page.unroute("**/webhooks/*")
    ada.sheet().get_by_role("checkbox", name="Tags").check()
    ada.field("Name").press("Enter")
    ada.said("The webhook Index is changed.")
    ada.button("Switch off").click()
    ada.said("The webhook Index is off.")
    page.get_by_role("button", name="Send again: Nodes: changed").click()
    expect(page.get_by_role("alert")).to_contain_text("The webhook is switched off.")
    ada.button("New secret").click()
    ada.sheet().get_by_role("button", name="New secret", exact=True).click()
    expect(ada.field("Secret")).not_to_have_value(secret)
    ada.button("Done").click()
    ada.button("Delete").click()
    ada.sheet().get_by_role("button", name="Delete", exact=True).click()
    ada.said("The webhook Index is deleted.")
    expect(page.get_by_text("There are no webhooks yet.")).to_be_visible()
    assert {name: each for name, each in found.items() if each} == {}
    assert ada.unexpected([409, 422, 500]) == []


def test_rows_come_from_a_csv_file_or_the_page_says_which_lines_are_wrong(workshop: Workshop, visit: Visit) -> None:
    workshop.create_tenant("parts", both="author")
    both = visit(workshop.site).signed_in("both", "/w/parts/nodes", PASSWORD)
    page = both.page
    both.button("Import CSV").click()
    chosen = page.get_by_label("CSV file", exact=True)
    expect(chosen).to_be_focused()
    chosen.set_input_files({"name": "old.csv", "mimeType": "text/csv", "buffer": "title\nMünze".encode("latin-1")})
    expect(both.sheet().get_by_role("alert")).to_contain_text("The file is not in UTF-8")
    expect(both.button("Import")).to_be_disabled()
    page.evaluate(DROP, ["own.csv", "text/csv", "Title,Owner\nOne,Both\n"])
    expect(both.sheet().get_by_role("alert")).to_have_text(
        "These columns cannot be imported: Owner. Remove or rename them, and choose the file again."
    )
    begin = ["Title,Status", "One,draft", ",draft", "<b>Three</b>,odd"]
    lines = begin + [f"Row {at},published" for at in range(3, 120)]
    page.evaluate(DROP, ["<b>rows</b>.csv", "text/csv", "\n".join(lines)])
    expect(both.sheet()).to_contain_text("<b>rows</b>.csv")
    expect(page.locator(".sample tbody tr")).to_have_count(5)
    both.button("Import").click()
    expect(both.sheet().get_by_role("alert")).to_contain_text("2 lines are wrong, so no row was added.")
    expect(page.locator(".faults tbody tr")).to_have_count(2)
    expect(page.locator(".faults tbody tr").nth(1)).to_contain_text("4Status")
    found = both.page_violations()
    both.button("Cancel").click()
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()

    lines[2:4] = ["Two,draft", "<b>Three</b>,archived"]
    page.evaluate(DROP, ["rows.csv", "text/csv", "\n".join(lines)])
    both.button("Check only").click()
    expect(both.sheet()).to_contain_text("All is well: 120 rows can be added.")
    with writing(workshop, "parts"):  # the import waits for this transaction
        page.evaluate(STOP_WHEN, "The rows are being added.")  # in the page, for the server does not wait long
        both.button("Import").click()
        expect(both.sheet()).to_contain_text("the rows may have been added")
    both.button("Import").click()
    both.said("120 rows are added.")  # once
    expect(page.get_by_text("120 rows", exact=True)).to_be_visible()
    expect(both.button("Import CSV")).to_be_focused()
    assert found == []
    assert both.unexpected([422]) == []


def test_a_node_has_comments_and_files(workshop: Workshop, visit: Visit) -> None:
    workshop.create_tenant("talk", both="author", ada="admin")
    both = visit(workshop.site).with_session("both", PASSWORD)
    page, tenant = both.page, {"X-Tenant": "talk"}
    node = both.api("POST", "/nodes", {"title": "Plan"}, **tenant)["id"]
    both.open(f"/w/talk/nodes/{node}")
    comments, files = (both.sheet().get_by_role("region", name=name) for name in ("Comments", "Attachments"))
    expect(comments).to_contain_text("Nothing here yet.")
    text = comments.get_by_role("textbox", name="Text")
    text.fill("First <b>line</b>\nsecond")
    page.reload()
    expect(text).to_have_value("First <b>line</b>\nsecond")  # nothing that is written is lost
    held: list[Route] = []
    page.route("**/comments", lambda route: held.append(route))
    text.press("Control+Enter")
    expect(comments.get_by_role("button", name="Add comment")).to_be_disabled()
    text.press_sequentially(", third")
    held[0].continue_()
    page.unroute("**/comments")
    expect(comments.get_by_role("status")).to_have_text("The comment is added.")
    expect(text).to_have_value("First <b>line</b>\nsecond, third")  # what was typed meanwhile stays
    text.fill("")
    expect(comments.locator("li")).to_contain_text("First <b>line</b>")
    expect(text).to_be_focused()
    files.get_by_label("Add attachment").dispatch_event("cancel", {"bubbles": True})  # no file is chosen

    page.evaluate(DROP, ["<b>a&amp;.txt", "text/plain", "Hello"])
    link = files.get_by_role("link", name="<b>a&amp;.txt", exact=True)
    expect(files.locator("li")).to_contain_text("5 byte")
    with page.expect_download() as download:
        link.click()
    assert download.value.path().read_text() == "Hello"
    picked = [{"name": name, "mimeType": "text/plain", "buffer": b"x"} for name in ("a\u202eb.txt", "b.txt")]
    files.get_by_label("Add attachment").set_input_files(picked)  # type: ignore[arg-type]
    expect(files.get_by_role("alert")).to_contain_text("The name of the file is too long, or has characters")
    expect(files.locator("li")).to_have_count(2)
    found = both.page_violations()

    ada = visit(workshop.site).with_session("ada", PASSWORD)
    ada.api("POST", "/comments", {"node_id": node, "text": "Of Ada"}, **tenant)
    expect(comments.locator("li")).to_have_count(2)  # without a reload
    expect(comments.get_by_role("button", name="Delete “Of Ada”")).to_have_count(0)
    comments.get_by_role("button", name="Change “First <b>line</b> second”").click()
    expect(page.locator("#comments-field-text")).to_have_value("First <b>line</b>\nsecond")  # an id of its own
    both.field("Text").fill("Changed")
    both.sheet().get_by_role("button", name="Save", exact=True).click()
    expect(comments.locator("li").last).to_contain_text("Changed")
    comments.get_by_role("button", name="Delete “Changed”").click()
    both.sheet().get_by_role("button", name="Delete", exact=True).click()
    expect(comments.locator("li")).to_have_count(1)
    expect(comments.get_by_role("heading")).to_be_focused()
    assert found == []
    assert both.unexpected([400]) == []


def test_a_file_is_a_field_of_a_form_and_a_link_in_a_list(workshop: Workshop, visit: Visit) -> None:
    workshop.create_tenant("files", both="author")
    both = visit(workshop.site).with_session("both", PASSWORD)
    page, tenant = both.page, {"X-Tenant": "files"}
    both.api("POST", "/nodes", {"title": "Plan"}, **tenant)
    both.open("/w/files/attachments/new?columns=name,file_id")
    both.field("Node").fill("Pl")
    page.get_by_role("option", name="Plan").click()
    for code, sentence in (
        ("body_too_large", "larger than"),
        ("unsupported_media_type", "keeps no files of this type"),
    ):
        page.route("**/files?name=*", partial(Route.fulfill, status=413, json={"code": code}))
        page.evaluate(DROP, ["a.pdf", "application/pdf", "x"])
        expect(both.sheet().get_by_role("alert")).to_contain_text(sentence)
        page.unroute("**/files?name=*")
    page.evaluate(DROP, ["old.pdf", "application/pdf", "old"])
    both.button("Remove old.pdf").click()
    expect(both.sheet().locator("input[type=file]")).to_be_focused()
    page.evaluate(DROP, ["new.pdf", "application/pdf", "newer"])
    expect(both.sheet().get_by_role("link", name="new.pdf")).to_be_visible()
    expect(both.sheet()).to_contain_text("5 byte")
    found = both.page_violations()
    both.button("Create").click()
    both.said("“new.pdf” is created.")
    expect(page.locator("tbody td:not(.pick)")).to_have_text(["new.pdf", "new.pdf"])
    with page.expect_download():
        page.locator("tbody td:not(.pick)").last.get_by_role("link").click()
    assert [each["name"] for each in both.api("GET", "/files", **tenant)["items"]] == ["new.pdf"]  # the old one is gone
    assert found == []
    assert both.unexpected([413]) == []


def test_administrators_and_operators_watch_jobs(workshop: Workshop, visit: Visit) -> None:
    registry = workshop.installation.registry
    add_operator(workshop.installation)
    desk = Desk(replace(registry.fleet, user_db=registry.user_db), registry.tenant_dbs)
    desk.declared.declare("count_shelves", fail, retries=0)
    desk.enqueue("count_shelves", {"shelf": "<b>13</b>"})
    desk.work()
    ada = visit(workshop.site).signed_in("ada", "/w/acme/manage/jobs", PASSWORD)
    page = ada.page
    job = page.locator("tbody tr", has_text="count_shelves")
    expect(job).to_contain_text("ValueError: no such shelf")
    job.get_by_text("With what").click()
    expect(job).to_contain_text("<b>13</b>")
    found = ada.page_violations()
    ada.button("Try again: count_shelves").click()
    ada.said("count_shelves is to be done as soon as a worker is free.")
    expect(job).to_contain_text("due now")
    desk.work()
    expect(job).to_contain_text("failed")  # without a reload
    ada.button("Try again: count_shelves").click()
    ada.button("Cancel count_shelves").click()
    ada.sheet().get_by_role("button", name="Cancel", exact=True).last.click()
    ada.said("count_shelves is cancelled.")
    page.get_by_label("State").select_option("failed")
    expect(page).to_have_url(re.compile(r"\?state=failed$"))
    expect(page.get_by_text("No job is in this state.")).to_be_visible()
    page.go_back()
    expect(job).to_contain_text("cancelled")
    otto = visit(workshop.site).signed_in("otto", "/operator/tenants/acme", PASSWORD)
    otto.link("Jobs").click()
    otto.button("Try again: count_shelves").click()
    otto.said("count_shelves is to be done as soon as a worker is free.")
    found += otto.page_violations()
    assert found == []
    assert ada.unexpected() + otto.unexpected([409]) == []  # there is no store for backups
