"""The pages for builders show code that is there, commands that exist, settings that start, and names to import."""

import ast
import re
from importlib import import_module
from inspect import getdoc, isroutine
from pathlib import Path

import click
import pytest
from pyramid.interfaces import IRequestExtensions, IRequestFactory

from tenantapp.cli import program
from tenantapp.identity.declared_rights import RightsConfigurator
from tenantapp.tenancy.request import TenantRequest
from tests.installation import Installation

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "building.md").read_text()
PAGES = ("building", "models", "resources", "views", "domain")
BLOCKS = [
    block
    for name in PAGES
    for block in re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "docs" / f"{name}.md").read_text(), re.M | re.S)
]
MARKS = {"python": "# ", "js": "// "}  # before the path of the file that has the code
EXCERPTS = [
    block.removeprefix(MARKS[language])
    for language, block in BLOCKS
    if language in MARKS and re.match(f"{MARKS[language]}(examples|tenantapp)/", block)
]
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]


def test_the_pages_have_blocks() -> None:
    assert len(EXCERPTS) >= 12
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("block", EXCERPTS, ids=lambda block: block.splitlines()[-1].strip())
def test_code_is_taken_from_where_it_says(block: str) -> None:
    path, _, excerpt = block.partition("\n")
    assert excerpt in (ROOT / path).read_text()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("tenantapp ")])
def test_commands_are_there(line: str) -> None:
    command: click.Command | None = program
    for word in line.split()[1:]:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    assert command is not None
    assert not isinstance(command, click.Group)


def test_the_settings_are_those_of_the_example() -> None:
    ((_, block),) = [(language, block) for language, block in BLOCKS if language == "ini"]
    lines = (ROOT / "examples" / "bookshop" / "development.ini").read_text().splitlines()
    assert set(filter(None, block.splitlines())) <= set(lines)


def listed(heading: str) -> dict[str, list[str]]:
    """The names in the second column of the table that begins with this heading, by the first column."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    return {first.strip(" `"): re.findall(r"`(\w+)`", names) for first, names in rows}


MODULES = listed("module")
# Domains: the examples, the bundled one, which builders copy, and what `tenantapp new` writes.
DOMAINS = [
    *(ROOT / "examples").rglob("*.py"),
    *(ROOT / "tenantapp" / "workspace").glob("*.py"),
    *(ROOT / "tenantapp" / "scaffold").rglob("*.py.tmpl"),
]


def names_imported(source: str) -> set[tuple[str, str]]:
    """What the source of a domain imports from tenantapp: module and name."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in found if (node.module or "").partition(".")[0] == "tenantapp"]
    names = {(str(node.module), alias.name) for node in ours for alias in node.names}
    return {(room, name) for room, name in names if "workspace" not in f"{room}.{name}"}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in MODULES.items() for name in names])
def test_what_builders_may_import_is_there_and_documented(module: str, name: str) -> None:
    value = getattr(import_module(module), name)
    assert not (isroutine(value) or isinstance(value, type)) or getdoc(value)


def unlisted(source: str) -> set[tuple[str, str]]:
    """What a source imports from tenantapp that the page does not list."""
    everything = {(room, name) for room, names in MODULES.items() for name in names}
    modules = {(room.rpartition(".")[0], room.rpartition(".")[2]) for room in MODULES}
    return names_imported(source) - everything - modules


@pytest.mark.parametrize("module", DOMAINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_domain_imports_is_listed(module: Path) -> None:
    assert unlisted(module.read_text().replace("@@", "")) == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_what_a_page_shows_is_listed(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        assert (
            unlisted("\n".join(re.findall(r"^from tenantapp[.\w]* import (?:[^(\n]+$|\([^)]+\))", block, re.M)))
            == set()
        )


def test_the_examples_are_as_short_as_the_page_says() -> None:
    """With a script and a component, and without tests and migrations."""
    said = {
        "inventory": r"`examples/inventory` is a whole product in (\d+)",
        "bookshop": r"chain of bookshops in (\d+)",
    }
    for name, pattern in said.items():
        (most,) = re.findall(pattern, PAGE)
        place = ROOT / "examples" / name
        files = [*place.glob("*.py"), *(place / name).glob("*.py"), *(place / name / "page").glob("*.*s*")]
        assert sum(len(path.read_text().splitlines()) for path in files) <= int(most)


def test_what_needs_no_import_is_there(installation: Installation) -> None:
    config = RightsConfigurator(registry=installation.registry)
    names = listed("object")
    requests, added = map(installation.registry.getUtility, (IRequestFactory, IRequestExtensions))
    there = {
        "request": {*dir(requests), *TenantRequest.__annotations__, *added.methods},
        "config": {name for name in names["config"] if callable(getattr(config, name, None))},
        "registry": set(vars(installation.registry)),
    }
    assert names.keys() == there.keys()
    assert [name for kind in names for name in names[kind] if name not in there[kind]] == []


def test_every_directive_of_ours_is_listed(installation: Installation) -> None:
    directives = RightsConfigurator(registry=installation.registry).registry._directives
    ours = {name for name, (action, _) in directives.items() if action.__module__.startswith("tenantapp.")}
    ours = {name for name in ours if not name.startswith("_")}
    assert ours - set(listed("object")["config"]) == set()
