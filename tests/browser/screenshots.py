"""The pictures of the page in the documentation: ``make screenshots`` takes them again.

They show the main pages of the demo, with some more rows.
"""

import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, sync_playwright

from tests.browser.site import Site, demo_in_thread
from tests.browser.visitor import Visitor
from tests.built_page import built_page
from tests.chromium import chromium

PICTURES: Final = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE: Final = {"width": 1280, "height": 720}
PHONE: Final = {"width": 390, "height": 720}
BODY: Final = """## Before the season
- Springs from **two** suppliers, tested
- A left boot for every right one

> Ask before lighting anything.
"""
NODES: Final = (
    ("Magnet sales", "By region.", ["product"], "published"),
    ("Paint that is a tunnel", "It dries in a minute.", ["research"], "published"),
    ("Catalogue of the autumn", "With a page for birdseed.", ["office"], "draft"),
    ("Complaints", "Nearly all from one customer.", ["safety", "office"], "published"),
    ("Umbrella, small", "Does not stop an anvil.", ["product", "safety"], "archived"),
    ("Launch plan", BODY, ["product", "schedule"], "draft"),
)


@dataclass(frozen=True)
class Picture:
    """A page to go to, and what to do there before the picture is taken."""

    name: str
    login: str
    path: str
    prepare: Callable[[Visitor], None]
    size: dict[str, int]
    scheme: Literal["light", "dark"] = "light"


def _table(visitor: Visitor) -> None:
    visitor.page.locator("tbody tr").first.wait_for()


def _row(visitor: Visitor) -> None:
    visitor.page.locator("tbody a").first.click()
    visitor.button("Save").wait_for()


def _tree(visitor: Visitor) -> None:
    for name in ("Rocket skates", "Assembly"):
        visitor.page.get_by_role("link", name=name, exact=True).wait_for()
        opens = visitor.page.get_by_role("button", name=re.compile(rf"{name}"), expanded=False)
        opens.first.click()
    visitor.page.get_by_role("link", name="Fuel", exact=True).wait_for()


def _switcher(visitor: Visitor) -> None:
    _table(visitor)
    visitor.page.keyboard.press("Control+k")
    visitor.sheet().get_by_text("Globex", exact=True).wait_for()


def _tenant(visitor: Visitor) -> None:
    visitor.page.get_by_role("heading", name="acme").wait_for()


def _sign_in(visitor: Visitor) -> None:
    visitor.page.get_by_label("Login").fill("ada")


LIST: Final = "/w/acme/nodes?_sort=-id"
MAIN: Final = (
    Picture("sign-in", "", LIST, _sign_in, WIDE),
    Picture("list", "ada", LIST, _table, WIDE),
    Picture("list-dark", "ada", LIST, _table, WIDE, "dark"),
    Picture("list-phone", "ada", LIST, _table, PHONE),
    Picture("row", "ada", LIST, _row, WIDE),
    Picture("switcher", "ada", LIST, _switcher, WIDE),
    Picture("tree", "ada", "/w/acme/nodes?view=tree", _tree, WIDE),
    Picture("members", "ada", "/w/acme/manage/members", _table, WIDE),
    Picture("fleet", "olga", "/operator/tenants", _table, WIDE),
    Picture("tenant", "olga", "/operator/tenants/acme", _tenant, WIDE, "dark"),
)


def fill(visitor: Visitor) -> None:
    """Make the rows that the pictures show beside those of the demo."""
    visitor.with_session("ada")
    for title, body, tags, status in NODES:
        content = {"title": title, "body": body, "tags": tags, "status": status}
        visitor.api("POST", "/t/acme/nodes", content)


def take(browser: Browser, site: Site, directory: Path) -> list[Path]:
    """Take all pictures of a filled site into a directory. Return the files."""
    taken: list[Path] = []
    for login, pictures in groupby(MAIN, key=lambda picture: picture.login):
        with visiting(browser, site) as visitor:
            if login:
                visitor.with_session(login)
            taken += [_taken(visitor, directory, picture) for picture in pictures]
    return taken


def _taken(visitor: Visitor, directory: Path, picture: Picture) -> Path:
    visitor.page.set_viewport_size(picture.size)  # type: ignore[arg-type]
    visitor.page.emulate_media(color_scheme=picture.scheme)
    visitor.open(picture.path)
    picture.prepare(visitor)
    visitor.page.wait_for_load_state("networkidle")
    path = directory / f"{picture.name}.png"
    visitor.page.screenshot(path=path, animations="disabled", caret="hide")
    return path


@contextmanager
def visiting(browser: Browser, site: Site, **options: object) -> Iterator[Visitor]:
    """A person with a browser profile of their own."""
    context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})  # type: ignore[arg-type]
    yield Visitor(context, site.url)
    context.close()


def main() -> None:
    """Take the pictures of the documentation."""
    program = chromium()
    built_page()
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as directory:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        told = io.StringIO()  # what the demo says of how to sign in
        with redirect_stdout(told), demo_in_thread(Path(directory), "backups.store = %(here)s/store") as site:
            with visiting(browser, site) as visitor:
                fill(visitor)
            for path in take(browser, site, PICTURES):
                sys.stderr.write(f"{path.relative_to(Path.cwd())} {path.stat().st_size // 1024} KiB\n")
        browser.close()


if __name__ == "__main__":
    main()
