"""Points that most operations pass, where their workers are killed."""

import pytest

RUNNER = "tenantapp.operations.runner"
POSTGRES = "tenantapp.databases.connections.postgres"
SQLITE = "tenantapp.databases.servers.sqlite_databases"
BEGINNING = f"{RUNNER}:_Run.forward:before"
END = (f"{RUNNER}:_Run._complete:before", f"{RUNNER}:finish:after")


def each(*points: str, sqlite: tuple[str, ...] = (), postgresql: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    cases = [("sqlite", point) for point in (*points, *sqlite)]
    cases += [("postgresql", point) for point in (*points, *postgresql)]
    return pytest.mark.parametrize(("engine_name", "point"), cases, indirect=["engine_name"])
