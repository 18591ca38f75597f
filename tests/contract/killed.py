"""Points that most operations pass, where their workers are killed."""

import pytest

BEGINNING = "operation.run:before"
END = ("operation.complete:before", "operation.finish:after")


def each(*points: str, sqlite: tuple[str, ...] = (), postgresql: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    cases = [("sqlite", point) for point in (*points, *sqlite)]
    cases += [("postgresql", point) for point in (*points, *postgresql)]
    return pytest.mark.parametrize(("engine_name", "point"), cases, indirect=["engine_name"])
