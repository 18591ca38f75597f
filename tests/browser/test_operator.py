"""An operator's way through the console, in a real browser against a real server with a worker."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from sqlite3 import connect
from subprocess import CalledProcessError

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.site import Site, make_demo, served, site_in
from tests.browser.visitor import Visitor

Visit = Callable[..., Visitor]
SETTINGS = """
servers.eu = sqlite+pysqlite:///%(here)s/var/tenants-eu/
backups.store = %(here)s/var/backups
fleet.worker = 1
"""
# The last revision of the bundled history makes an index.
BEFORE_THE_INDEX, INDEX = "d41f7a90b3c6", "ix_tenant_changes_row_id_position"
PAGES = ("Tenants", "Operations", "Migration", "Usage", "Slowest", "Servers", "Findings", "Query", "Audit")


@pytest.fixture(scope="module")
def fleet(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The bundled application with a worker, two servers and a store for backups."""
    make_demo(site := site_in(tmp_path_factory.mktemp("fleet"), SETTINGS))
    with served(site) as serving:
        yield serving


def test_an_operator_leads_a_tenant_through_its_life(fleet: Site, visit: Visit) -> None:
    olga = visit(fleet).sign_in("olga")  # in no workspace, so the console is the first page
    page, dialog = olga.page, olga.sheet()
    expect(page).to_have_url(f"{fleet.url}/operator/tenants")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("listbox").get_by_role("option")).to_have_text(["The fleet"])  # and no workspace
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    page.keyboard.type("acm")
    expect(page).to_have_url(re.compile(r"\?q=acm$"))
    expect(page.locator("tbody tr")).to_have_count(1)
    olga.link("acme").click()
    state = page.locator("header [role=status]")
    expect(state).to_have_text("active")

    olga.button("Suspend").click()
    dialog.get_by_role("button", name="Suspend").click()
    expect(dialog.locator("#action-reason-error")).to_have_text("This field is required.")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    dialog.get_by_label("Reason").fill("unpaid since May")
    page.keyboard.press("Enter")
    olga.said("acme is suspended.")
    expect(page.get_by_text("Reason: unpaid since May")).to_be_visible()
    olga.button("Resume").click()
    dialog.get_by_role("button", name="Resume").click()
    expect(state).to_have_text("active")

    olga.button("Change quotas").click()
    dialog.get_by_label("Storage quota").fill("5 PB")
    page.keyboard.press("Enter")
    expect(dialog.locator("#action-storage-error")).to_contain_text("Write a size")
    dialog.get_by_label("Storage quota").fill("5 GiB")
    dialog.get_by_label("Connection quota").fill("12")
    page.keyboard.press("Enter")
    olga.said("The quotas of acme are changed.")
    expect(page.get_by_role("definition").filter(has_text=re.compile("^(5.4 GB|12)$"))).to_have_count(2)

    olga.button("Clone").click()
    dialog.get_by_label("Slug").fill("globex")
    dialog.get_by_role("button", name="Clone").click()
    expect(dialog.locator("#action-slug-error")).to_contain_text("Somebody has taken this value already.")
    expect(dialog.get_by_label("Slug")).to_be_focused()
    dialog.get_by_label("Slug").fill("acme-trial")
    dialog.get_by_role("button", name="Clone").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Clone")
    expect(state).to_have_text("done")  # the page has followed it by itself
    olga.link("acme-trial").click()  # nobody is in it
    expect(page.get_by_text("Nobody can let people into this workspace.")).to_be_visible()
    olga.button("Appoint an administrator").click()
    dialog.get_by_label("Administrator").fill("nowhere")
    page.keyboard.press("Enter")
    expect(dialog.locator("#action-administrator-error")).to_have_text("There is no user nowhere.")
    dialog.get_by_label("Administrator").fill("ada")
    page.keyboard.press("Enter")
    olga.said("acme-trial has an administrator.")
    expect(olga.button("Appoint an administrator")).to_have_count(0)
    olga.go("/operator/tenants/acme")
    olga.button("Back up").click()
    dialog.get_by_role("button", name="Back up").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Back up")
    expect(state).to_have_text("done")
    olga.link("acme").click()

    title = "Newer than the backup"
    ada = visit(fleet).with_session("ada")
    ada.api("POST", "/nodes", {"title": title}, **{"X-Tenant": "acme"})
    olga.button("Restore").click()
    expect(dialog.get_by_role("status")).to_contain_text("nodes: 1 row")
    dialog.get_by_role("button", name="Restore").click()
    expect(dialog.locator("#action-confirm-error")).to_have_text("This is not acme.")
    page.keyboard.press("Escape")
    olga.button("Restore as new").click()
    dialog.get_by_label("Slug").fill("acme-then")
    dialog.get_by_role("button", name="Restore as new").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Restore as new")
    expect(state).to_have_text("done")
    page.go_back()
    olga.link("All operations").click()
    expect(page).to_have_url(f"{fleet.url}/operator/operations?slug=acme")
    expect(page.locator("#content")).to_be_focused()
    page.get_by_role("textbox", name="Tenant").fill("acme-then")
    page.keyboard.press("Enter")
    expect(page.locator("tbody .badge")).to_have_text(["done"])
    page.locator("tbody a").first.click()
    expect(page.locator(".steps li")).to_have_text(
        ["moment done", "database done", "migration done", "files done", "hooks done"]
    )
    olga.link("acme-then").click()

    olga.button("Delete").click()
    dialog.get_by_label("To confirm, type acme-then").fill("acme")
    page.keyboard.press("Enter")
    expect(dialog.locator("#action-confirm-error")).to_have_text("This is not acme-then.")
    dialog.get_by_label("To confirm, type acme-then").fill("acme-then")
    page.keyboard.press("Enter")
    olga.said("acme-then is deleted.")
    expect(state).to_have_text("deleted")
    expect(olga.button("Undelete")).to_be_visible()
    olga.link("Audit trail").click()
    expect(page.locator("tbody td:nth-child(3)").first).to_have_text("Deleted the tenant")

    olga.link("Usage").click()
    for _ in range(50):  # what ada did is written within five seconds, most of which have passed
        page.get_by_text("Loading…").wait_for(state="detached")
        if olga.link("acme").count() > 0:
            break
        page.wait_for_timeout(200)
        olga.button("Refresh").click()
    olga.link("acme").click()
    expect(page.locator("figcaption")).to_contain_text("in the last 7 days. The busiest hour began at")
    assert olga.unexpected([409, 422]) == []


def test_a_new_tenant_has_an_administrator_who_lets_people_in(fleet: Site, visit: Visit) -> None:
    olga = visit(fleet).signed_in("olga", "/operator/tenants")
    page, dialog = olga.page, olga.sheet()
    for slug, login in (("initech", "nowhere"), ("initech", "ada"), ("umbrella", "")):
        if not dialog.is_visible():
            olga.link("acme").wait_for()  # the page of the tenants listens
            page.keyboard.press("n")
        dialog.get_by_label("Slug").fill(slug)
        dialog.get_by_label("Administrator").fill(login)
        page.keyboard.press("Enter")
        if login == "nowhere":
            expect(dialog.locator("#action-administrator-error")).to_have_text("There is no user nowhere.")
        else:
            expect(page.locator("header [role=status]")).to_have_text("done")
            olga.link("Tenants").click()
    expect(page.get_by_role("row").filter(has_text="umbrella")).to_contain_text("no administrator")
    expect(page.get_by_role("row").filter(has_text="initech")).not_to_contain_text("no administrator")
    ada = visit(fleet).signed_in("ada", "/w/initech/manage/members")
    expect(ada.page.get_by_role("row").filter(has_text="admin")).to_have_count(1)
    ada.go("/w/initech/manage/audit")
    entry = ada.page.get_by_role("row").filter(has_text="appointed an administrator")
    expect(entry).to_contain_text("olga")
    assert olga.unexpected([422]) == []


def make_legacy_database(fleet: Site, olga: Visitor, name: str) -> None:
    """Leave a database of the tenants' structure on the usual server that belongs to nobody."""
    directory = fleet.directory / "var" / "tenants"
    present = olga.api("GET", "/fleet/tenants/acme")["database"]
    with closing(connect(directory / f"{present}.sqlite")) as database:
        database.execute("VACUUM INTO ?", (str(directory / name),))
    with closing(connect(directory / name)) as database:
        database.execute("DROP TABLE tenant_identity")


def test_a_database_from_elsewhere_becomes_a_tenant(fleet: Site, visit: Visit) -> None:
    olga = visit(fleet).signed_in("olga", "/operator/tenants")
    page, dialog = olga.page, olga.sheet()
    make_legacy_database(fleet, olga, "legacy.db")
    olga.button("Adopt a database").click()
    expect(dialog.get_by_text("The original does not change.")).to_be_visible()
    dialog.get_by_label("Slug").fill("globex")
    page.keyboard.press("Enter")
    expect(dialog.locator("#action-database-error")).to_have_text("This field is required.")
    for database, error in (("../legacy.db", "a file in the server's directory"), ("legacy.db", "taken this value")):
        dialog.get_by_label("Database").fill(database)
        page.keyboard.press("Enter")
        expect(dialog.locator(".wrong")).to_contain_text(error)
    dialog.get_by_label("Slug").fill("hooli")
    dialog.get_by_label("Revision").fill("nonsense")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("There is no such revision.")
    dialog.get_by_label("Revision").fill("")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Adopt a database")
    expect(page.locator("header [role=status]")).to_have_text("done")
    olga.link("hooli").click()
    expect(page.locator("header [role=status]")).to_have_text("active")
    assert olga.unexpected([409, 422]) == []


def test_a_migration_that_failed_is_tried_again(fleet: Site, visit: Visit) -> None:
    olga = visit(fleet).signed_in("olga", "/operator")
    page = olga.page
    database = fleet.directory / "var" / "tenants" / f"{olga.api('GET', '/fleet/tenants/globex')['database']}.sqlite"
    fleet.command("migrate", "--downgrade", "--to", BEFORE_THE_INDEX, "--only", "globex", "--no-verify")
    with closing(connect(database)) as damaged:
        damaged.execute(f"CREATE INDEX {INDEX} ON nodes (id)")
    with pytest.raises(CalledProcessError):
        fleet.command("migrate", "--only", "globex", "--no-verify")
    olga.link("Migration").click()
    failure = page.get_by_role("row").filter(has_text="globex")
    expect(failure).to_contain_text("was rolled back")
    expect(page.get_by_text("Every tenant was tried, and some failed")).to_be_visible()
    expect(page.locator(".stages li")).to_contain_text("0 of 1")
    expect(page.locator(".stages li")).to_contain_text("1 failed")
    expect(page.get_by_text("local:")).to_be_visible()
    failure.locator("summary").click()
    expect(failure).to_contain_text(INDEX)
    with closing(connect(database)) as mended:
        mended.execute(f"DROP INDEX {INDEX}")
    olga.button("Migrate globex again").click()
    olga.said("globex is migrated again.")
    expect(page.get_by_text("All tenants are at the newest revision.")).to_be_visible()
    expect(page.get_by_text("No tenant's last migration failed.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="globex")).to_have_count(0)
    assert olga.unexpected() == []


def test_a_query_over_the_fleet_is_a_table_and_a_file(fleet: Site, visit: Visit) -> None:
    olga = visit(fleet).signed_in("olga", "/operator/query")
    page = olga.page
    page.get_by_label("Statement").fill("SELECT count(*) AS nodes FROM nodes")
    page.get_by_label("Tenants").fill("acme, glob")
    page.keyboard.press("Enter")
    expect(page.locator("#tenants-error")).to_contain_text("There is no such tenant. The server says:")
    expect(page.locator("#tenants-error")).to_contain_text("glob.")
    page.get_by_label("Tenants").fill("acme, globex")
    page.keyboard.press("Enter")
    expect(page.locator("tbody td:first-child")).to_have_text(["acme", "globex"])
    with page.expect_download() as download:
        olga.button("Export CSV").click()
    assert download.value.path().read_text(encoding="utf-8-sig").splitlines()[0] == "tenant,nodes"
    page.get_by_label("Statement").fill("DELETE FROM nodes")
    olga.button("Ask").click()
    expect(page.get_by_role("heading", name="No answer")).to_be_visible()
    expect(page.locator("dd.wrong").first).to_contain_text("only one statement is allowed, and it can only read")
    assert olga.unexpected([404]) == []


def test_axe_finds_nothing_in_the_console_and_no_page_is_too_wide(fleet: Site, visit: Visit) -> None:
    olga = visit(fleet, reduced_motion="reduce", viewport={"width": 360, "height": 800}).signed_in("olga", "/operator")
    page, found = olga.page, {}
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

    def look(name: str) -> None:
        page.get_by_text("Loading…").wait_for(state="detached")
        found[name] = olga.violations()
        if page.evaluate(wide):
            found[f"{name}, wide"] = [str(page.evaluate(wide))]

    for name in PAGES:
        olga.link(name).click()  # the address stays that of one document, so axe is loaded once
        page.get_by_role("heading", level=1, name=name).wait_for()
        if name == "Servers":
            expect(page.get_by_text("answers", exact=True)).to_have_count(2)
            processes = page.get_by_role("region", name="Processes and their connections")
            expect(processes.get_by_role("row").filter(has_text="user database")).to_have_count(1)
        elif name == "Tenants":
            expect(page.get_by_role("row").filter(has_text="acme").first).to_contain_text(re.compile(r"\d kB"))
        look(name)
    olga.link("Operations").click()
    page.locator("tbody a").first.click()
    page.locator(".steps").wait_for()
    look("an operation")
    olga.link("Tenants").click()
    olga.link("globex").click()
    olga.button("Delete").click()
    look("a tenant, and what deletes it")
    assert {name: each for name, each in found.items() if each} == {}
    assert olga.unexpected() == []


def test_only_operators_see_the_way_in(fleet: Site, visit: Visit) -> None:
    ada = visit(fleet).signed_in("ada", "/account")
    ada.page.get_by_role("button", name="Your menu").click()
    expect(ada.link("Your account")).to_be_visible()
    expect(ada.link("The fleet")).to_have_count(0)
    ada.open("/operator/tenants")
    expect(ada.page.get_by_role("heading", name="This is for operators")).to_be_visible()
    assert ada.unexpected() == []
