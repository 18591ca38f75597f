"""A package that ``tenantapp new --from-database`` makes of a database of somebody else."""

import shlex
import subprocess
import sys

from sqlalchemy.engine import URL

from tenantapp.testing.postgres import ENVIRONMENT, postgres_bin
from tests.contract.conftest import Fleet
from tests.contract.legacy import legacy_on
from tests.contract.own_domain import COMMANDS, ROOT, run, run_with

NAME = "carpark"
NOT_SHOWN = "because a resource needs a key of one column, called id, that is a UUID: order, order lines, parts."


def test_it_serves_the_tables_on_both_engines_and_adopts_the_database(fleet: Fleet, postgres_server: URL) -> None:
    tools = postgres_bin("pginstall18")
    if fleet.admin is not None and tools:
        fleet.values["backups.postgres_bin"] = tools
    legacy = legacy_on(fleet)
    before, place = legacy.everything(), fleet.directory / "package"
    made = ["-m", "tenantapp", "new", NAME, "--directory", str(place), "--from-database", legacy.url]
    said = run(fleet, fleet.directory, *made)
    assert said.splitlines()[1:-1] == [f"Not shown, {NOT_SHOWN}"]
    for check in (("ruff", "check", "--no-cache"), ("ruff", "format", "--check", "--no-cache")):
        subprocess.run([sys.executable, "-m", *check, str(place)], check=True)
    lint = ["mypy", "--config-file", str(ROOT / "pyproject.toml")]
    subprocess.run([sys.executable, "-m", *lint, str(place)], cwd=ROOT, check=True)
    given = {ENVIRONMENT: postgres_server.render_as_string(hide_password=False), "CI": "true"}
    assert "4 passed" in run_with(given, place, "-m", "pytest", "-p", "no:cacheprovider")
    printed = run(
        fleet,
        place,
        "-c",
        COMMANDS,
        "tenantapp init",
        f"tenantapp tenants adopt north --database {shlex.quote(legacy.name)} --revision as_found",
        "tenantapp tenants create south",
        "tenantapp fleet verify",
        """tenantapp fleet query 'SELECT "select" FROM "order"'""",
    )
    assert printed.count(" right ") == 2
    assert "ropes" in printed
    assert legacy.everything() == before
