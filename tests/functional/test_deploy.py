"""What ``deploy/`` has for monitoring and for systemd: the programs take it, and it is about what there is."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tenantapp.fleet.backups.requests import request_backup
from tenantapp.operations.queue import get_operation
from tests.debian import debian_program
from tests.installation import Installation, sqlite_installation
from tests.programs import ProgramMissing, needed
from tests.transactions.production import environment, wait_for
from tests.units import DEPLOY, PROGRAMS, Unit

ROOT = Path(__file__).parents[2]
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.socket")])
METRIC = re.compile(r"\btenantapp_[a-z_]+")
# What is added to the name of a counter, and to that of a histogram.
ADDED = re.compile(r"_(total|bucket|sum|count)$")


@pytest.fixture(scope="module")
def promtool() -> Path:
    """The program that comes with Prometheus."""
    return needed(lambda: debian_program("prometheus", "Prometheus")).with_name("promtool")


def expressions() -> Iterator[str]:
    """Those of the dashboard, with values in place of Grafana's variables."""
    for panel in json.loads((ROOT / "deploy" / "grafana.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$job", "tenantapp")


def named(text: str) -> set[str]:
    return {ADDED.sub("", name) for name in METRIC.findall(text)}


def test_prometheus_takes_the_alerts_and_the_expressions_of_the_dashboard(promtool: Path, tmp_path: Path) -> None:
    rules = [{"record": "x", "expr": expression} for expression in expressions()]
    # JSON is YAML.
    (tmp_path / "dashboard.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    for file in (ROOT / "deploy" / "alerts.yml", tmp_path / "dashboard.yml"):
        checked = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_they_are_about_metrics_that_are_explained() -> None:
    explained = named((ROOT / "docs" / "metrics.md").read_text())
    written = set[str]()
    for module in (ROOT / "tenantapp" / "metrics").glob("*.py"):
        written |= named(module.read_text())
    asked = named((ROOT / "deploy" / "alerts.yml").read_text()) | named(" ".join(expressions()))
    parts = {"tenantapp_connections_", "tenantapp_requests_"}  # of names that stand in full elsewhere
    assert asked <= written
    assert written - parts == explained


def systemd_analyze() -> Path:
    """The program that checks units. It comes with systemd, of which nothing runs."""
    if (found := shutil.which("systemd-analyze")) is None:
        raise ProgramMissing("systemd-analyze is missing: install systemd")
    return Path(found)


def test_systemd_takes_the_units_and_finds_little_exposed(tmp_path: Path) -> None:
    program = needed(systemd_analyze)
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace(PROGRAMS, str(Path(sys.executable).parent)))
    units = sorted(map(str, tmp_path.iterdir()))
    verified = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    for unit in units:
        if unit.endswith(".service"):
            command = [program, "security", "--offline=true", "--threshold=14", unit]  # tenths: 0 is best, 100 worst
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            assert said.returncode == 0, said.stdout[-300:]


def test_the_worker_of_the_unit_works_and_stops_when_it_is_told(tmp_path: Path) -> None:
    """Under what the unit says of its process, such as that no memory is both written and executed."""
    unit = Unit("tenantapp-worker.service")
    shutil.copy(ROOT / "production.ini", tmp_path)
    with sqlite_installation(tmp_path / "databases", **{"backups.store": str(tmp_path / "backups")}) as installation:
        fleet = installation.registry.fleet
        with fleet.user_db.begin() as session:
            asked = request_backup(session, fleet, "acme", requested_by="test").id
        settings = environment(installation.settings, tenantapp_domain="tenantapp.workspace")
        with (tmp_path / "log").open("w") as log:
            worker = unit.start(unit.command(), env=settings, cwd=tmp_path, stdout=log, stderr=log)
        try:
            wait_for(lambda: state_of(installation, asked) in ("succeeded", "failed"))
            assert state_of(installation, asked) == "succeeded", (tmp_path / "log").read_text()
        finally:
            worker.terminate()
        assert worker.wait(60) == 0


def state_of(installation: Installation, operation_id: UUID) -> str:
    with installation.registry.user_db.begin(read_only=True) as session:
        return get_operation(session, operation_id).state
