"""Every action of the audit trail is documented, and has words on the page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantapp.identity.audit import ABOUT_TENANT, BY_PEOPLE

ROOT = Path(__file__).parents[2]
STRINGS = ROOT / "frontend" / "src" / "strings"
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
NEEDS_NO_WORDS = {"session.refuse"}  # concerns no tenant, so its administrators never see it


def recorded() -> set[str]:
    """The actions that a call names which writes an entry."""
    texts = [module.read_text() for module in (ROOT / "tenantapp").rglob("*.py")]
    return {action for text in texts if "record" in text for action in actions_in(ast.parse(text))}


def documented() -> set[str]:
    """The actions in the tables of the documentation."""
    page = (ROOT / "docs" / "operations.md").read_text().partition("## The audit trail\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", page, re.M)
    return {action for cell in cells for action in re.findall(r"`([a-z_.]+)`", cell)}


def actions_in(tree: ast.Module) -> Iterator[str]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and re.fullmatch(r"(\w+\.)*_?record(_grant)?", ast.unparse(call.func)):
            texts = [each.value for each in ast.walk(call) if isinstance(each, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and ACTION.fullmatch(text))


def words(catalogue: str) -> set[str]:
    """The actions that have words. Requests for operations are named by their kind."""
    return set(re.findall(r'^ {6}"([a-z_]+\.[a-z_]+)": "', (STRINGS / catalogue).read_text(), re.M))


@pytest.fixture(scope="module")
def actions() -> set[str]:
    found = recorded() | documented()
    assert {"tenant.suspend", "user.enable", "webhook.add", "identity_provider.break_glass"} <= found
    return found


def test_the_documentation_lists_them() -> None:
    assert recorded() - documented() == set()


def test_for_operators(actions: set[str]) -> None:
    assert {action for action in actions if not action.endswith(".request")} - words("en.operator.ts") == set()


def test_for_the_administrators_of_a_tenant(actions: set[str]) -> None:
    seen = {action for action in actions if action.startswith(BY_PEOPLE)} | ABOUT_TENANT
    assert seen - NEEDS_NO_WORDS - words("en.managing.ts") == set()
