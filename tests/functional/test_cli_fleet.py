"""The commands for many tenants at once, on SQLite."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.conftest import Command, Result

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
        on_database(three, ini, "globex", "DROP INDEX ix_nodes_owner_id_id")
        told: Result = run("fleet", "verify")
        assert told.status == 1
        assert "globex: table nodes: index ix_nodes_owner_id_id is missing" in told.out.splitlines()
        assert (
            told.err == "tenantapp: 1 of 3 databases could not be read, or are not what their revision should make.\n"
        )
        assert three("tenants", "show", "globex", "--json").json["state"] == "active"
        (item,) = run("fleet", "verify", "globex", "--suspend", "--json").json["items"]
        assert (item["state"], item["suspended"]) == ("drifted", True)
        assert three("tenants", "show", "globex", "--json").json["state"] == "suspended"

    def test_what_is_not_there(self, three: Command, failed: Callable[..., str]) -> None:
        assert failed("fleet", "verify", "nowhere") == "There is no tenant nowhere"
        failed("fleet", "verify", "--jobs", "0")


class TestQuery:
    STATEMENT = "SELECT 1 AS one, 'a [b], \"c\"' AS words, NULL AS empty, x'ff' AS raw"

    def test_formats(self, three: Command) -> None:
        assert [line.split()[:3] for line in three("fleet", "query", self.STATEMENT).out.splitlines()[2:]] == [
            [slug, "1", "a"] for slug in TENANTS
        ]
        written = three("fleet", "query", self.STATEMENT, "--format", "csv", "--tenants", "globex,acme").out
        assert list(csv.reader(io.StringIO(written))) == [
            ["tenant", "one", "words", "empty", "raw"],
            ["globex", "1", 'a [b], "c"', "", "ff"],
            ["acme", "1", 'a [b], "c"', "", "ff"],
        ]
        lines = three("fleet", "query", self.STATEMENT, "--format", "jsonl").out.splitlines()
        assert [json.loads(line) for line in lines] == [
            {"tenant": slug, "one": 1, "words": 'a [b], "c"', "empty": None, "raw": "ff"} for slug in TENANTS
        ]

    def test_what_people_wrote_does_not_reach_the_terminal(self, three: Command) -> None:
        told = three("fleet", "query", "SELECT 'a' || char(27) || '[2J' || char(10) || 'b' AS words").out
        assert told.splitlines()[2].split() == ["acme", "a\\x1b[2J\\nb"]
        # Whose data was read is in the trail of each.
        entries = three("fleet", "audit", "--limit", "3", "--json").json["items"]
        assert {(entry["action"], entry["slug"]) for entry in entries} == {("fleet.query", slug) for slug in TENANTS}
        assert entries[0]["detail"]["statement"].startswith("SELECT 'a'")

    def test_those_that_fail_are_named(self, three: Command, run: Command, ini: Path) -> None:
        on_database(three, ini, "globex", "DROP TABLE node_tags")
        told = run("fleet", "query", "SELECT count(*) AS n FROM node_tags", "--format", "csv")
        assert (told.status, told.out.splitlines()) == (1, ["tenant,n", "acme,0", "initech,0"])
        assert told.err.splitlines() == [
            "globex: no such table: node_tags",
            "tenantapp: 1 of 3 tenants did not answer: globex.",
        ]

    def test_other_columns_do_not_fit_into_one_csv(self, three: Command, run: Command, ini: Path) -> None:
        on_database(three, ini, "globex", "ALTER TABLE tags ADD COLUMN more TEXT")
        told = run("fleet", "query", "SELECT * FROM tags", "--format", "csv")
        assert told.status == 1
        assert "globex: its columns differ from the first tenant's: id, name, more" in told.err.splitlines()
        assert three("fleet", "query", "SELECT * FROM tags").status == 0

    def test_rows_beyond_the_limit_are_told_of(self, three: Command, run: Command) -> None:
        told = run("fleet", "query", "VALUES (1), (2), (3)", "--limit", "2", "--tenants", "acme")
        assert (told.status, told.err) == (0, "acme: only the first 2 rows\n")

    def test_it_does_not_write(self, three: Command, run: Command) -> None:
        assert run("fleet", "query", "DELETE FROM tags").status == 1
        assert run("fleet", "query", "SELECT 1 AS one", "--tenants", "acme,nowhere").err == (
            "tenantapp: There is no tenant nowhere.\n"
        )


class TestBundles:
    def test_there_and_back(self, three: Command, failed: Callable[..., str], ini: Path) -> None:
        on_database(three, ini, "acme", "INSERT INTO people VALUES ('00000000000000000000000000000001', 'Ada')")
        file = ini.parent / "acme.bundle"
        assert three("tenants", "export", "acme", str(file)).out.startswith(f"1 rows of acme are in {file}, at ")
        assert "the file exists already" in failed("tenants", "export", "acme", str(file))
        three("tenants", "import", str(file), "copy", "--name", "A copy")
        shown = three("tenants", "show", "copy", "--json").json
        assert (shown["name"], shown["state"]) == ("A copy", "active")
        assert "Ada" in three("fleet", "query", "SELECT name FROM people", "--tenants", "copy").out
        three("fleet", "verify", "copy")

    def test_what_is_refused(self, three: Command, failed: Callable[..., str], ini: Path) -> None:
        (ini.parent / "file").write_text("something else")
        assert "it is not a bundle" in failed("tenants", "import", str(ini.parent / "file"), "copy")
        failed("tenants", "import", str(ini.parent / "nowhere"), "copy")
        failed("tenants", "export", "nowhere", str(ini.parent / "other"))
        assert not (ini.parent / "other").exists()


class TestAcceptLoss:
    def test_a_user_database_that_was_copied_alone(
        self, done: Command, run: Command, failed: Callable[..., str], ini: Path
    ) -> None:
        assert run("accept-loss").status == run("accept-loss", "acme", "--user-database").status == 2
        assert "no commit is lost" in failed("accept-loss", "--user-database")
        (ini.parent / "user.sqlite-count").unlink()
        assert "tenantapp accept-loss --user-database" in failed("users", "list")
        assert "copied alone" in failed("worker", "--until-idle")
        assert "Accepted for the user database" in done("accept-loss", "--user-database", "--yes").out
        (entry, *_) = done("fleet", "audit", "--json").json["items"]
        assert entry["action"] == "loss.accept"


class TestNewEpoch:
    def epochs(self, result: Result) -> dict[str, str]:
        return {item["tenant"]: item["epoch"] for item in result.json["items"]}

    def test_named_tenants_those_of_a_server_or_all(self, three: Command) -> None:
        every = self.epochs(three("fleet", "new-epoch", "--all", "--json"))
        assert sorted(every) == list(TENANTS)
        one = self.epochs(three("fleet", "new-epoch", "globex", "--json"))
        assert list(one) == ["globex"]
        assert one["globex"] != every["globex"]
        lines = three("fleet", "new-epoch", "--server", "main").out.splitlines()
        assert [line.split()[0] for line in lines[2:]] == list(TENANTS)
        entries = three("fleet", "audit", "--tenant", "globex", "--json").json["items"]
        assert [entry["action"] for entry in entries[:3]] == ["tenant.new_epoch"] * 3

    def test_what_cannot_be_asked_for(self, three: Command, run: Command) -> None:
        for arguments in ((), ("acme", "--all"), ("--all", "--server", "main")):
            assert run("fleet", "new-epoch", *arguments).status == 2
        assert "no tenant nix" in run("fleet", "new-epoch", "acme", "nix").err
        assert run("fleet", "new-epoch", "--server", "moon").status == 1
        acme = [entry["action"] for entry in three("fleet", "audit", "--tenant", "acme", "--json").json["items"]]
        assert "tenant.new_epoch" not in acme
