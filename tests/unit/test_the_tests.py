"""What the tests themselves keep to."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


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
    found = [
        f"{file.relative_to(TESTS)}:{getattr(node, 'lineno', 0)}"
        for file in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if patched(node).isupper()
    ]
    assert found == []


def test_what_counts_as_patching() -> None:
    lines = ('patch.setattr("a.b.WAIT", 1)', 'patch.setattr(b, "WAIT", 1)', "b.WAIT = 1", 'patch.setattr(b, "wait", 1)')
    names = [[patched(node) for node in ast.walk(ast.parse(line)) if patched(node)] for line in lines]
    assert names == [["WAIT"], ["WAIT"], ["WAIT"], ["wait"]]
