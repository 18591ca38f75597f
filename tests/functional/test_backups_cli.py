"""The commands for backups and restores. On SQLite."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tests.functional.conftest import Command


@pytest.fixture
def store(ini: Path, tmp_path: Path) -> Path:
    """The directory of the backups, which the configuration names."""
    directory = tmp_path / "backups"
    ini.write_text(ini.read_text() + f"backups.store = {directory}\nconnections.timeout = 1\n")
    return directory


@pytest.fixture
def acme(store: Path, done: Command) -> Command:
    """Commands on an installation with the tenants acme and globex."""
    done("tenants", "create", "acme", "globex")
    return done


def listed(done: Command, slug: str = "acme", *options: str) -> list[dict[str, Any]]:
    return list(done("tenants", "backups", slug, "--json", *options).json["items"])


class TestBackup:
    def test_some_and_all(self, acme: Command) -> None:
        (made,) = acme("tenants", "backup", "acme", "--json").json["items"]
        assert [row["id"] for row in listed(acme)] == [made["backup"]]
        assert listed(acme, "globex") == []
        acme("tenants", "suspend", "globex", "--reason", "unpaid")
        assert "acme" in acme("tenants", "backup", "--all").out
        (row,) = listed(acme, "globex")
        assert (row["kind"], row["engine"], row["slug"]) == ("backup", "sqlite", "globex")
        assert row["id"] in acme("tenants", "backups", "globex").out

    def test_what_fails_keeps_nothing_from_the_others(self, acme: Command, run: Command, tmp_path: Path) -> None:
        database = acme("tenants", "show", "acme", "--json").json["database"]
        (tmp_path / "tenants" / f"{database}.sqlite").unlink()
        result = run("tenants", "backup", "--all", "--json")
        assert result.status == 1
        assert [row["slug"] for row in json.loads(result.out)["items"]] == ["globex"]
        failure, last = result.err.splitlines()
        assert failure.startswith("tenant acme: ")
        assert last == "tenantapp: 1 of 2 tenants were not backed up."

    def test_detached(self, acme: Command) -> None:
        first, second = acme("tenants", "backup", "acme", "globex", "--detach").out.split()
        assert listed(acme) == []
        acme("worker", "--until-idle")
        assert len(listed(acme)) == len(listed(acme, "globex")) == 1
        for operation in (first, second):
            assert acme("operations", "show", operation, "--json").json["state"] == "succeeded"

    def test_what_is_asked_for_wrongly(self, acme: Command, failed: Callable[..., str]) -> None:
        assert "Name tenants" in failed("tenants", "backup")
        assert "Name tenants" in failed("tenants", "backup", "acme", "--all")
        assert "no tenant nosuch" in failed("tenants", "backup", "nosuch")
        assert "no tenant nosuch" in failed("tenants", "backups", "nosuch")

    def test_no_store(self, done: Command, failed: Callable[..., str]) -> None:
        done("tenants", "create", "acme")
        for command in (("backup", "acme"), ("backups", "acme"), ("restore", "acme"), ("test-restore", "acme")):
            assert "backups.store" in failed("tenants", *command)


class TestRestore:
    def test_in_place(self, acme: Command) -> None:
        before = acme("tenants", "show", "acme", "--json").json
        acme("tenants", "backup", "acme")
        (backup,) = listed(acme)
        row = acme("tenants", "restore", "acme", "--backup", backup["id"], "--yes", "--json").json
        assert (row["slug"], row["backup"], row["replaced"]) == ("acme", backup["id"], before["database"])
        after = acme("tenants", "show", "acme", "--json").json
        assert after["database"] != before["database"]
        assert {**after, "database": before["database"]} == before
        assert "agree" in acme("fleet", "reconcile").out
        assert "right" in acme("fleet", "verify").out

    def test_as_a_new_tenant(self, acme: Command, failed: Callable[..., str]) -> None:
        acme("tenants", "backup", "acme")
        acme("tenants", "restore", "acme", "--as", "past", "--name", "As it was")
        assert acme("tenants", "show", "past", "--json").json["name"] == "As it was"
        assert "already" in failed("tenants", "restore", "acme", "--as", "past")
        assert "no server moon" in failed("tenants", "restore", "acme", "--as", "moon", "--server", "moon")
        for slug in ("../../etc", "a" * 300, "x'; DROP TABLE tenants"):
            failed("tenants", "restore", "acme", "--as", slug)

    def test_detached(self, acme: Command) -> None:
        acme("tenants", "backup", "acme")
        operation = acme("tenants", "restore", "acme", "--detach").out.strip()
        assert f"{operation} restore acme succeeded" in acme("worker", "--until-idle").out

    def test_of_a_tenant_that_was_removed(self, acme: Command, store: Path, failed: Callable[..., str]) -> None:
        tenant_id = acme("tenants", "show", "acme", "--json").json["id"]
        acme("tenants", "backup", "acme")
        removed = acme("tenants", "delete", "acme", "--now", "--yes", "--json").json
        assert (store / removed["final_copy"]["file"]).is_file()
        assert "no tenant acme" in failed("tenants", "backups", "acme")
        rows = listed(acme, "acme", "--tenant-id", tenant_id)
        assert [row["kind"] for row in rows] == ["final copy", "backup"]
        for command in (("restore", "globex", "--as", "acme"), ("test-restore", "globex")):
            error = failed("tenants", *command, "--tenant-id", tenant_id)
            assert f"the tenant {tenant_id} is called acme, not globex" in error
        # The newest is the final copy.
        again = acme("tenants", "restore", "acme", "--tenant-id", tenant_id, "--as", "acme", "--json").json
        assert again["backup"] == removed["final_copy"]["backup"] == rows[0]["id"]
        assert acme("tenants", "show", "acme", "--json").json["id"] != tenant_id

    def test_what_is_asked_for_wrongly(self, acme: Command, failed: Callable[..., str], store: Path) -> None:
        assert "there is no backup of the tenant acme" in failed("tenants", "restore", "acme")
        acme("tenants", "backup", "acme")
        assert "no backup nosuch" in failed("tenants", "restore", "acme", "--backup", "nosuch")
        assert "--as" in failed("tenants", "restore", "acme", "--tenant-id", str(uuid7()))
        assert "--as" in failed("tenants", "restore", "acme", "--name", "x")
        (dump,) = store.glob("*/*.sqlite")
        dump.write_bytes(dump.read_bytes()[:-1])
        assert "is damaged" in failed("tenants", "restore", "acme", "--yes")
        assert "is damaged" in failed("tenants", "test-restore", "acme")


class TestRehearsal:
    def test_what_it_reports(self, acme: Command, tmp_path: Path) -> None:
        acme("tenants", "backup", "acme")
        before = sorted(tmp_path.glob("tenants/*"))
        report = acme("tenants", "test-restore", "acme", "--json").json
        assert (report["backup"], report["drift"]) == (listed(acme)[0]["id"], [])
        assert report["rows"]["nodes"] == 0
        assert report["revision"] == report["backup_revision"]
        assert "nodes=0" in acme("tenants", "test-restore", "acme").out
        assert sorted(tmp_path.glob("tenants/*")) == before


class TestDelete:
    def test_without_a_copy(self, acme: Command, store: Path, failed: Callable[..., str]) -> None:
        assert "--now" in failed("tenants", "delete", "acme", "--without-copy")
        row = acme("tenants", "delete", "acme", "--now", "--without-copy", "--json").json
        assert row["final_copy"] is None
        assert not store.exists()


class TestMoment:
    def test_what_is_refused(self, acme: Command, failed: Callable[..., str]) -> None:
        def refused(*options: str) -> str:
            return failed("tenants", "restore", "acme", "--yes", *options)

        then = ("--at", "2026-01-31T10:00+00:00")
        assert "The time 2026-01-31T10:00 has no offset" in refused("--at", "2026-01-31T10:00")
        assert "noon is no time such as" in refused("--at", "noon")
        assert "Give --at or --backup, not both" in refused(*then, "--backup", "latest")
        assert "--database needs --at" in refused("--database", "tenant_x")
        assert "the tenant acme was made after it" in refused(*then)
        assert "it is in the future" in refused("--at", "2999-01-31T10:00Z")
        moment = utcnow().isoformat()
        assert "the setting backups.ship is missing" in refused("--at", moment)
        assert "name the database that it had" in refused(*then, "--tenant-id", str(uuid7()), "--as", "new")
        assert acme("operations", "list", "--json").json["items"][0]["kind"] != "restore"
