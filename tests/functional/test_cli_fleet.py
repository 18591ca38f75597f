"""The commands for many tenants at once, on SQLite."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional import test_cli
from tests.functional.test_cli import Command, Result

ini, run, done, failed = test_cli.ini, test_cli.run, test_cli.done, test_cli.failed

TENANTS = ("acme", "globex", "initech")


@pytest.fixture
def three(done: Command) -> Command:
    """Runs commands where there are three tenants."""
    for slug in TENANTS:
        done("tenants", "create", slug)
    return done


def on_database(done: Command, ini: Path, slug: str, statement: str) -> None:
    """Run a statement on a tenant's file."""
    database = done("tenants", "show", slug, "--json").json["database"]
    connection = sqlite3.connect(ini.parent / "tenants" / f"{database}.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()


class TestVerify:
    def test_all_are_right(self, three: Command) -> None:
        assert [line.split()[:2] for line in three("fleet", "verify").out.splitlines()[2:]] == [
            [slug, "right"] for slug in TENANTS
        ]
        items = three("fleet", "verify", "globex", "--jobs", "1", "--json").json["items"]
        assert [(item["tenant"], item["state"], item["findings"]) for item in items] == [("globex", "right", [])]

    def test_one_is_not(self, three: Command, run: Command, ini: Path) -> None:
        on_database(three, ini, "globex", "DROP INDEX ix_nodes_owner_id")
        told: Result = run("fleet", "verify")
        assert told.status == 1
        assert "globex: table nodes: index ix_nodes_owner_id is missing" in told.out.splitlines()
        assert told.err == "tenantapp: Of 3 databases 1 could not be read or are not what they should be.\n"
        assert three("tenants", "show", "globex", "--json").json["state"] == "active"
        (item,) = run("fleet", "verify", "globex", "--fence", "--json").json["items"]
        assert (item["state"], item["fenced"]) == ("drifted", True)
        assert three("tenants", "show", "globex", "--json").json["state"] == "suspended"

    def test_what_is_not_there(self, three: Command, failed: Callable[..., str]) -> None:
        assert failed("fleet", "verify", "nowhere") == "There is no tenant nowhere"
        failed("fleet", "verify", "--jobs", "0")
