"""What ``deploy/`` has for monitoring: Prometheus takes it, and it is about metrics that there are."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.debian import debian_program
from tests.programs import needed

ROOT = Path(__file__).parents[2]
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
