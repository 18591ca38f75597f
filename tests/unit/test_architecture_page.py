"""The page about the architecture names the rooms and modules that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tenantapp"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = PAGE.partition("\n## Rooms\n")[2].partition("\n## ")[0]


def packages(directory: Path) -> set[str]:
    """The packages in a directory."""
    return {path.parent.name for path in directory.glob("*/__init__.py")}


def test_the_table_has_every_room() -> None:
    assert set(re.findall(r"^\| `(\w+)/` \|", ROOMS, re.M)) == packages(PACKAGE)


@pytest.mark.parametrize("room", ["databases", "fleet"])
def test_the_page_names_every_room_within_a_large_one(room: str) -> None:
    (line,) = re.findall(rf"^- Within `{room}/`(.*?)(?=^- )", ROOMS, re.M | re.S)
    assert set(re.findall(r"`(\w+)/`", line)) == packages(PACKAGE / room)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE)) - {"env.py"}))
def test_the_modules_that_it_names_are_there(path: str) -> None:
    places = (ROOT / path, PACKAGE / path, PACKAGE / "operations" / path, PACKAGE / "fleet" / path)
    found = any(place.exists() for place in places) or path == "errors.py"
    assert found, path
