"""What the tests themselves keep to."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    """The calls of what has this name, in all files of the tests."""
    for file in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and name == getattr(node.func, "attr", getattr(node.func, "id", "")):
                yield file, node


def patched(call: ast.Call) -> str:
    """The name that ``monkeypatch.setattr`` replaces, where it is written out."""
    words = [argument.value for argument in call.args[:2] if isinstance(argument, ast.Constant)]
    return str(words[0]).rpartition(".")[2] if words else ""


def test_no_constant_is_patched() -> None:
    """Code that has read it already, or reads it from elsewhere, would go on with the real one, and the test wait."""
    found = [f"{file.relative_to(TESTS)}:{call.lineno} {patched(call)}" for file, call in calls("setattr")]
    assert [line for line in found if line.rpartition(" ")[2].isupper()] == []
    assigned = [
        f"{file.relative_to(TESTS)}:{node.lineno} {target.attr}"
        for file in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr.isupper()
    ]
    assert assigned == []
