"""The points at which the tests kill a process: those that there are, and no others, are used."""

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

import tenantapp
from tenantapp.operations.checkpoints import checkpoint, checkpoints, listen

PACKAGE = Path(tenantapp.__file__).parent
SUITES = Path(__file__).parents[1] / "contract"
POINT = re.compile(r"([a-z_]+(?:\.[a-z_]+)+):(?:before|after)(?::\d+)?")


def registered() -> frozenset[str]:
    """The checkpoints of all modules. Reads the rooms that have any."""
    for room in ("operations", "databases", "fleet"):
        for file in sorted((PACKAGE / room).rglob("*.py")):
            import_module(".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"))
    return checkpoints()


# Before a test here makes one of its own.
NAMES = registered()


def used() -> dict[str, str]:
    """The checkpoints whose points are written in the suites, each with a file that has it."""
    return {
        found[1]: file.name
        for file in SUITES.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := POINT.fullmatch(node.value))
    }


@pytest.fixture
def passed() -> Iterator[list[str]]:
    """The points that the process comes to during the test."""
    points: list[str] = []
    listen(points.append)
    yield points
    listen(None)


def test_every_checkpoint_is_one_where_a_process_is_killed() -> None:
    assert NAMES - used().keys() == set()


def test_a_process_is_killed_only_at_checkpoints() -> None:
    assert {point: file for point, file in used().items() if point not in NAMES} == {}


def test_the_point_after_is_passed_only_by_a_function_that_returns(passed: list[str]) -> None:
    @checkpoint("test.divide")
    def divide(number: int, by: int = 1) -> int:
        passed.append("dividing")
        return number // by

    assert divide(4, by=2) == 2
    with pytest.raises(ZeroDivisionError):
        divide(1, by=0)
    assert passed == ["test.divide:before", "dividing", "test.divide:after", "test.divide:before", "dividing"]
    listen(None)
    assert divide(4) == 4
    assert passed[5:] == ["dividing"]


def test_a_decorated_function_looks_the_same() -> None:
    def divide(number: int, by: int = 1) -> int:
        """Divide."""
        return number // by

    decorated = checkpoint("test.look_the_same")(divide)
    assert inspect.signature(decorated) == inspect.signature(divide)
    assert (decorated.__name__, decorated.__qualname__, decorated.__doc__) == (
        divide.__name__,
        divide.__qualname__,
        "Divide.",
    )


def test_above_a_context_manager_the_points_are_those_of_the_call(passed: list[str]) -> None:
    @checkpoint("test.open")
    @contextmanager
    def opened() -> Iterator[None]:
        passed.append("in")
        yield

    with opened():
        passed.append("block")
    assert passed == ["test.open:before", "test.open:after", "in", "block"]


def test_a_name_is_given_once() -> None:
    checkpoint("test.once")
    with pytest.raises(ValueError, match="two checkpoints have the name"):
        checkpoint("test.once")
