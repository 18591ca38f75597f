"""``create_tenant`` killed (SIGKILL) at each of its points: another process finishes or undoes it, never half."""

import json
from pathlib import Path

import pytest

from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Problem
from tenantapp.identity.tenants import list_tenants
from tests.contract.conftest import Fleet
from tests.contract.forks import Hanging
from tests.contract.health import ours, works
from tests.contract.killed import POSTGRES, RUNNER, SQLITE

ROOT = Path(__file__).parents[2]
POSTGRES_DATABASES = "tenantapp.databases.servers.postgres_databases"
POSTGRES_TEMPLATES = "tenantapp.databases.servers.postgres_templates"
EVERYWHERE = (
    f"{RUNNER}:_Run.forward:before",
    "tenantapp.databases.servers.templates:Template.build:before",
    "tenantapp.databases.servers.templates:Template.build:after",
    f"{RUNNER}:_Run._begin:before",
    f"{RUNNER}:_Run._begin:after",
    f"{RUNNER}:_Run._complete:before",
    f"{RUNNER}:finish:after",
)
POINTS = {
    "postgresql": (
        *EVERYWHERE,
        f"{POSTGRES_TEMPLATES}:begin:after",
        f"{POSTGRES_TEMPLATES}:finish:after",
        *(f"{POSTGRES}:{name}:after" for name in ("create_role", "create_database", "close_to_public", "present")),
        f"{POSTGRES_DATABASES}:PostgresDatabases._copy:before",
        f"{POSTGRES_DATABASES}:PostgresDatabases._copy:after",
        f"{POSTGRES_TEMPLATES}:hand_over:before",
        f"{POSTGRES_TEMPLATES}:hand_over:after",
    ),
    "sqlite": (
        *EVERYWHERE,
        f"{SQLITE}:_write_mark:after",
        "shutil:copyfile:after",
        f"{SQLITE}:_identify:after",
        "os:link:before",
        "os:link:after",
    ),
}
# What is made before the row is committed, or after all is recorded, would be none of these points' business.
CASES = [(engine, point, how) for engine, points in POINTS.items() for point in points for how in ("worker", "fix")]


def kill_at(fleet: Fleet, point: str) -> None:
    Hanging("tests.contract.hanging", json.dumps(fleet.values), "acme", point).kill()


@pytest.mark.parametrize(("engine_name", "point", "how"), CASES, indirect=["engine_name"])
def test_never_half(fleet: Fleet, point: str, how: str) -> None:
    fleet.migrated()
    kill_at(fleet, point)
    with fleet.user_db.begin(read_only=True) as session:
        assert [tenant.state for tenant in list_tenants(session)] == ["creating"]
    if how == "worker":
        fleet.settle()
    else:
        fleet.lapse()
        findings = ours(fleet)
        assert Problem.OPERATION in {finding.problem for finding in findings}
        assert all(mend(fleet.services, KINDS, finding) for finding in findings)
    works(fleet, "acme")
    assert ours(fleet) == []
    assert not [thing for thing in fleet.made() if "new" in thing.rpartition("/")[2]]
    fleet.create("globex")
    works(fleet, "globex")
