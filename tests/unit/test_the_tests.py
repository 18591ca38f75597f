"""What the tests themselves keep to."""

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Everything that is written in the tests, each with the name of its file."""
    files = [(str(file.relative_to(TESTS)), ast.parse(file.read_text())) for file in TESTS.rglob("*.py")]
    return [(name, node) for name, tree in files for node in ast.walk(tree)]


def patched(node: ast.AST) -> str:
    """The name that is replaced in a module or a class: by ``setattr``, or by an assignment. Empty if none is."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "setattr":
        words = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
        return str(words[0]).rpartition(".")[2] if words else ""
    if isinstance(node, ast.Assign):
        return next((target.attr for target in node.targets if isinstance(target, ast.Attribute)), "")
    return ""


def test_no_constant_is_patched() -> None:
    """Code that has read it already, or reads it from elsewhere, would go on with the real one, and the test wait."""
    found = [f"{file}:{getattr(node, 'lineno', 0)}" for file, node in nodes() if patched(node).isupper()]
    assert found == []


def test_what_counts_as_patching() -> None:
    lines = ('patch.setattr("a.b.WAIT", 1)', 'patch.setattr(b, "WAIT", 1)', "b.WAIT = 1", 'patch.setattr(b, "wait", 1)')
    names = [[patched(node) for node in ast.walk(ast.parse(line)) if patched(node)] for line in lines]
    assert names == [["WAIT"], ["WAIT"], ["WAIT"], ["wait"]]


def imported(node: ast.AST) -> list[str]:
    """The modules, or what is taken from them, that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def is_of_a_test_module(name: str) -> bool:
    """Whether an imported name is a test module of ours, or comes from one."""
    first, *parts = name.split(".")
    return first in ("tests", "") and any(part.startswith("test_") for part in parts)


def test_no_test_module_is_imported() -> None:
    """Helpers are in modules of helpers, where they are looked for, and no test depends on where another one is."""
    found = {f"{file}: {name}" for file, node in nodes() for name in imported(node) if is_of_a_test_module(name)}
    assert found == set()


def test_what_counts_as_importing_a_test_module() -> None:
    lines = (
        "from tests.contract.test_move import look",
        "from tests.contract import test_move",
        "from . import test_move",
        "import tests.contract.test_move",
        "from tests.contract.rows import look",
        "from webtest import TestApp",
        "from somebody.test_case import Case",
    )
    names = [[name for node in ast.walk(ast.parse(line)) for name in imported(node)] for line in lines]
    assert [any(map(is_of_a_test_module, each)) for each in names] == [True] * 4 + [False] * 3
