"""Imports run one way."""

import ast
from pathlib import Path

import pytest

import tenantapp

ROOT = Path(tenantapp.__file__).parent
# What each room may import; settings belong to everyone. Nothing imports the domain but the assembly, by its name.
MAY_IMPORT = {
    "tenancy": set(),
    "identity": {"tenancy"},
    "fleet": {"tenancy", "identity"},
    "api": {"tenancy", "identity"},
    "console": {"tenancy", "identity", "fleet", "api"},
    "ops": {"tenancy", "identity"},
    "workspace": {"tenancy", "identity", "api"},
    "serving": set(),
    "cli": {"tenancy", "identity", "fleet", "workspace"},
}


def imported_rooms(module: Path) -> set[str]:
    """The rooms that a module imports from, wherever in it."""
    rooms = set()
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("tenantapp.") and name.count(".")}
    return rooms & set(MAY_IMPORT)


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    for module in (ROOT / room).rglob("*.py"):
        foreign = imported_rooms(module) - MAY_IMPORT[room] - {room}
        assert not foreign, f"{module.relative_to(ROOT)} imports from {sorted(foreign)}"


def test_modules_stay_short() -> None:
    """A module that has grown beyond reading is to be parted."""
    assert {
        str(module.relative_to(ROOT)): length
        for module in ROOT.rglob("*.py")
        if (length := len(module.read_text().splitlines())) > 220
    } == {}
