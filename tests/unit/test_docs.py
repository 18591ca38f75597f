"""The documentation names what is there, and nothing else."""

import ast
import re
from pathlib import Path
from typing import Any

from tenantapp.serving import options
from tenantapp.setting_table import TABLE
from tests.installation import Installation

ROOT = Path(__file__).parents[2]


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
    documented = {(int(row[0]), row[1]) for row in table_rows("api.md", 3) if re.fullmatch(r"\d{3}", row[0])}
    assert documented == there


def test_every_route_is_documented(installation: Installation) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for route in installation.registry.introspector.get_category("routes"):
        pattern = re.sub(r"{id:.*}", "{id}", route["introspectable"]["pattern"])
        path = "/" + pattern.lstrip("/")
        assert path.removeprefix("/api/v1") in text, path
