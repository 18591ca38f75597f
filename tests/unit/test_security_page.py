"""The page about security answers every row, with code and tests that are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
COUNT = 64


@cache
def functions(path: Path) -> frozenset[str]:
    """The functions of a module, also of its classes."""
    return frozenset(each.name for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.FunctionDef))


def test_every_row_is_answered_once() -> None:
    assert sorted(int(row) for row, *_ in ROWS) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_has_code_and_tests(row: tuple[str, str, str, str]) -> None:
    _, _, code, tests = row
    assert re.findall(r"`[\w/]+\.py`", code)
    assert re.findall(r"`[\w/]+\.py::\w+`", tests)


def test_the_code_and_the_tests_that_it_names_are_there() -> None:
    modules, names = set(re.findall(r"`([\w/]+\.py)`", PAGE)), re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert {each for each in modules if not (ROOT / "tenantapp" / each).is_file()} == set()
    missing = [f"{path}::{name}" for path, name in names if name not in functions(ROOT / "tests" / path)]
    assert missing == []
