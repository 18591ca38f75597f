"""The pictures of the page for the documentation can be taken, and show something."""

import base64
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.screenshots import MAIN, PICTURES, take
from tests.browser.site import Site

# In a page of no site, whose policy would keep us from reading a picture.
COLORS = """
async encoded => {
  const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, picture.width, picture.height);
  return new Set(new Uint32Array(data.buffer)).size;
}
"""
FEW = 30  # colors; a page without text has fewer, one with text has more for the edges of its letters


def colors(page: Page, picture: Path) -> int:
    """How many colors a picture has."""
    return int(page.evaluate(COLORS, base64.b64encode(picture.read_bytes()).decode()))


def test_the_pictures_of_the_page_are_not_blank(browser: Browser, site: Site, tmp_path: Path) -> None:
    taken = take(browser, site, tmp_path)
    assert [path.stem for path in taken] == [picture.name for picture in MAIN]
    page = browser.new_page()
    page.set_content("<style>body { background: linear-gradient(90deg, white 50%, silver 50%) }</style>")
    page.screenshot(path=tmp_path / "blank.png")
    found = {path.name: colors(page, path) for path in (*taken, tmp_path / "blank.png")}
    page.close()
    assert [name for name, number in found.items() if number < FEW] == ["blank.png"]  # which would be noticed


@pytest.mark.parametrize("name", [picture.name for picture in MAIN])
def test_the_documentation_shows_each_picture(name: str) -> None:
    assert (PICTURES / f"{name}.png").is_file()
    pages = [PICTURES.parents[1] / "README.md", PICTURES.parent / "page.md"]
    assert any(f"screenshots/{name}.png" in page.read_text() for page in pages)
