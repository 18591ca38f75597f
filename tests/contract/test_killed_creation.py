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

ROOT = Path(__file__).parents[2]
EVERYWHERE = (
    "operation.run:before",
    "template.build:before",
    "template.build:after",
    "operation.begin_step:before",
    "operation.begin_step:after",
    "operation.complete:before",
    "operation.finish:after",
)
POINTS = {
    "postgresql": (
        *EVERYWHERE,
        "template.begin:after",
        "template.finish:after",
        "role.create:after",
        "database.create:after",
        "database.open_to_owner:after",
        "database.look_up:after",
        "template.copy:before",
        "template.copy:after",
        "template.hand_over:before",
        "template.hand_over:after",
    ),
    "sqlite": (
        *EVERYWHERE,
        "file.mark_directory:after",
        "file.copy:after",
        "file.identify:after",
        "file.publish:before",
        "file.publish:after",
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
