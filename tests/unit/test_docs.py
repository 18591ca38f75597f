"""The documentation names what is there, and nothing else."""

import ast
import re
from pathlib import Path
from typing import Any

from tenantapp.serving import options
from tenantapp.serving.refusals import REFUSALS
from tenantapp.setting_table import TABLE
from tests.installation import Installation

ROOT = Path(__file__).parents[2]
API_PAGES = ("api.md", "fleet-api.md", "accounts.md", "single-sign-on.md")


def table_rows(page: str, columns: int) -> list[list[str]]:
    """The cells of all tables of a page with at least so many columns."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if len(row) >= columns]


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0]: (row[1], row[2]) for row in table_rows("settings.md", 3) if "." in row[0]}
    assert documented == {setting.name: (setting.default or "", setting.help) for setting in TABLE}


def test_every_option_of_the_server_is_documented_with_its_default() -> None:
    documented = {row[0]: (row[1], row[2]) for row in table_rows("deployment.md", 3) if row[0].startswith("server.")}
    assert documented == {option.name: (option.default or "", option.help) for option in options.TABLE}


def codes_in_source() -> set[tuple[int, str]]:
    """The status and code of every problem that is built by hand."""
    found = set()
    for module in (ROOT / "tenantapp").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "ApiError",
                "problem_response",
                "Problem",
            ):
                constants: list[Any] = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                if len(constants) >= 2 and isinstance(constants[0], int):
                    found.add((constants[0], constants[1]))
    return found


def test_every_problem_is_documented(installation: Installation) -> None:
    table = installation.registry.problems._table.values()
    there = {(problem.status, problem.code) for problem in table} | codes_in_source()
    there |= {(status, code) for status, (code, _) in REFUSALS.items()}
    rows = [row for page in API_PAGES for row in table_rows(page, 3)]
    documented = {(int(row[0]), row[1]) for row in rows if re.fullmatch(r"\d{3}", row[0])}
    assert documented == there


def test_the_page_says_for_every_problem_what_happened_and_what_to_do() -> None:
    """Two sentences at least, in each language that the page has."""
    codes = {row[1] for page in API_PAGES for row in table_rows(page, 3) if re.fullmatch(r"\d{3}", row[0])}
    catalogues = list((ROOT / "frontend" / "src" / "strings").glob("??.ts"))
    assert catalogues
    for catalogue in catalogues:
        _, _, problems = catalogue.read_text().partition("\n  problems: {\n")
        said = dict(re.findall(r'^    ([a-z_]+): "(.*)",$', problems.partition("\n  }")[0], re.MULTILINE))
        assert codes - set(said) == set()
        assert [code for code in codes if not re.search(r"[.;:] .*\.$", said[code])] == []


def test_every_route_is_documented(installation: Installation) -> None:
    text = "".join((ROOT / "docs" / page).read_text() for page in API_PAGES)
    for route in installation.registry.introspector.get_category("routes"):
        assert path_of(route["introspectable"]["pattern"]) in text


def path_of(pattern: str) -> str:
    """A route's pattern as the pages write it."""
    for name in ("slug", "id", "path"):
        pattern = re.sub(rf"{{{name}:.*?}}(?=/|$)", f"{{{name}}}", pattern)
    return ("/" + pattern.lstrip("/")).removeprefix("/api/v1")


def test_the_page_of_the_fleet_names_every_call_and_no_other(installation: Installation) -> None:
    introspector = installation.registry.introspector
    routes = [route["introspectable"] for route in introspector.get_category("routes")]
    paths = {route["name"]: path_of(route["pattern"]) for route in routes}
    views = [view["introspectable"] for view in introspector.get_category("views")]
    there = {
        f"{view['request_methods']} {paths[view['route_name']]}"
        for view in views
        if view["callable"].__module__.startswith(("tenantapp.console", "tenantapp.account.impersonation_views"))
    }
    documented = {re.split(r"`| {\"", row[0])[0].strip() for row in table_rows("fleet-api.md", 2) if "/" in row[0]}
    assert documented == there
    assert len(there) > 15
