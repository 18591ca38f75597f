"""Docstrings say in the imperative what a function does: "Return ...", "Make ...", "Raise ... if ..."."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tenantapp"
# With these a summary says what something is, or begins in the middle of a thought.
QUESTIONS = ("how", "if", "that", "what", "when", "where", "whether", "which", "who", "whoever", "why")
NO_VERBS = {
    *QUESTIONS,
    "a",
    "all",
    "an",
    "as",
    "every",
    "for",
    "in",
    "none",
    "nothing",
    "one",
    "see",
    "the",
    "this",
    "with",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def summaries(module: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the first line of each function that has a docstring."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
            yield node.name, text.partition("\n")[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_summary_begins_with_a_verb_and_ends_with_a_full_stop(module: Path) -> None:
    wrong = [
        f"{name}: {line}"
        for name, line in summaries(module)
        if line.split()[0].lower() in NO_VERBS or not line.endswith((".", ":", "``"))
    ]
    assert wrong == []
