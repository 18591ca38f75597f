"""A package that ``tenantapp new --from-database`` makes of a database of somebody else."""

import os
import secrets
import shlex
import subprocess
import sys
from pathlib import Path

from sqlalchemy.engine import URL

from tenantapp.testing.postgres import ENVIRONMENT, postgres_bin
from tests.contract.conftest import Fleet, asking_engine
from tests.contract.legacy import legacy_on
from tests.contract.own_domain import COMMANDS, ROOT, run, run_with

NAME = "carpark"
NO_KEY = "because a resource needs a key of one column, a UUID or a number that the database counts"
NOT_SHOWN = f"{NO_KEY}: order lines, parts."


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


def test_without_pg_dump_nothing_is_written(postgres_server: URL, tmp_path: Path) -> None:
    url, name = postgres_server, f"their_{secrets.token_hex(4)}"
    with asking_engine(url).connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    theirs = url.set(database=name)
    try:
        with asking_engine(theirs).connect() as connection:
            connection.exec_driver_sql("CREATE TABLE users (id UUID PRIMARY KEY)")
        made = ["-m", "tenantapp", "new", NAME, "--from-database", theirs.render_as_string(hide_password=False)]
        done = subprocess.run(
            [sys.executable, *made],
            cwd=tmp_path,
            env={**os.environ, "TENANTAPP_BACKUPS_POSTGRES_BIN": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        with asking_engine(url).connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    assert done.stderr.startswith("tenantapp: The structure cannot be written: there is no pg_dump in")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
