"""SQLite files whose write-ahead log was removed or replaced, or that were copied alone, after all were killed."""

import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenantapp import main
from tenantapp.databases.errors import SnapshotFailed
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.errors import LossNotAccepted
from tenantapp.fleet.querying.parallel import databases_of_our_own, places
from tenantapp.fleet.reconciling.lost_commits import accept_loss, accept_loss_of_people
from tenantapp.fleet.verifying.verification import State, Verification
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.fleet import fleet_of
from tenantapp.sql.commit_counts import AHEAD, accepting, read_count, what_is_lost
from tenantapp.tenancy.servers import SqliteServer
from tests.installation import Client, Installation, sqlite_installation

SUFFIXES = ("", "-wal", "-count")
Files = dict[str, bytes]


def read(path: Path) -> Files:
    return {suffix: file.read_bytes() for suffix in SUFFIXES if (file := path.with_name(path.name + suffix)).exists()}


@dataclass
class Killed:
    """An installation, and what its tenants' files were at three moments: at rest, later, and when all were killed."""

    installation: Installation
    path: Path
    at_rest: Files
    later: Files
    killed: Files
    of_globex: Files

    def lay(self, files: Files, path: Path | None = None) -> None:
        """Put these files in the place of those that are there."""
        self.installation.registry.tenant_dbs.dispose()
        path = path or self.path
        for suffix in (*SUFFIXES, "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        for suffix, content in files.items():
            path.with_name(path.name + suffix).write_bytes(content)

    def without(self, suffix: str) -> Files:
        return {name: content for name, content in self.killed.items() if name != suffix}


def tenant_of(installation: Installation, slug: str) -> Tenant:
    with installation.registry.user_db.begin(read_only=True) as session:
        tenant = get_tenant(session, slug)
        session.expunge_all()
    return tenant


def path_of(installation: Installation, slug: str) -> Path:
    server = installation.registry.servers["main"]
    assert isinstance(server, SqliteServer)
    return server.path(tenant_of(installation, slug).database)


def kill_after(seen: int, writers: list["subprocess.Popen[str]"]) -> None:
    for writer in writers:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < seen:
            pass
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        writer.communicate()


def writer(*paths: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.transactions.counted_writer", *map(str, paths)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def module_killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    with sqlite_installation(tmp_path_factory.mktemp("killed")) as installation:
        for login in ("bob", "gina"):
            Client(installation.app).sign_in(login).post("/nodes", {"title": "at rest"})
        installation.registry.tenant_dbs.dispose()
        acme, globex = path_of(installation, "acme"), path_of(installation, "globex")
        at_rest, process = read(acme), writer(acme, globex)
        assert process.stdout is not None
        while int(process.stdout.readline()) < 20:
            pass
        later = read(acme)
        kill_after(40, [process])
        yield Killed(installation, acme, at_rest, later, read(acme), read(globex))


@pytest.fixture
def killed(module_killed: Killed) -> Iterator[Killed]:
    module_killed.lay(module_killed.killed)
    yield module_killed
    module_killed.lay(module_killed.killed)


def titles(killed: Killed) -> list[str]:
    answer = Client(killed.installation.app).sign_in("bob").get("/nodes")
    assert answer.status_int == 200, answer.text
    return [node["title"] for node in answer.json["items"]]


def test_whoever_is_killed_loses_nothing(killed: Killed) -> None:
    (title,) = titles(killed)
    assert int(title.split()[1]) >= 40


def test_others_may_move_the_log_into_the_file(killed: Killed) -> None:
    with closing(sqlite3.connect(killed.path)) as connection:
        connection.execute("SELECT count(*) FROM nodes").fetchone()
    assert not killed.path.with_name(killed.path.name + "-wal").exists()
    assert titles(killed) != ["at rest"]


def test_the_count_may_be_older_than_the_file(killed: Killed) -> None:
    """As after a power cut: nobody waits until it is on the disk."""
    killed.lay(killed.killed | {"-count": killed.later["-count"]})
    assert titles(killed) != ["at rest"]
    killed.lay(killed.killed | {"-count": b"\0" * 34})
    assert titles(killed) != ["at rest"], "a count that cannot be read says nothing"


@pytest.mark.parametrize(
    "lost",
    ["log removed", "log emptied", "older log", "log of another", "older file", "older file and log", "copied alone"],
)
def test_what_is_lost_is_said(killed: Killed, lost: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        "log removed": killed.without("-wal"),
        "log emptied": killed.killed | {"-wal": b""},
        "older log": killed.killed | {"-wal": killed.later["-wal"]},
        "log of another": killed.killed | {"-wal": killed.of_globex["-wal"]},
        "older file": killed.without("-wal") | {"": killed.at_rest[""]},
        "older file and log": killed.later | {"-count": killed.killed["-count"]},
        "copied alone": {"": killed.killed[""]},
    }[lost]
    killed.lay(files)
    bob, gina = (Client(killed.installation.app).sign_in(login) for login in ("bob", "gina"))
    with caplog.at_level(logging.WARNING):
        for answer in (bob.get("/nodes"), bob.post("/nodes", {"title": "x"})):
            assert (answer.status_int, answer.json["code"]) == (503, "tenant_unavailable")
    assert "tenantapp accept-loss acme" in caplog.text
    assert ("commits are lost" in caplog.text) == (lost != "copied alone")
    assert gina.get("/nodes").status_int == 200
    assert killed.installation.checkedout() == 0
    left = read(killed.path)
    assert {name: left.get(name) for name in files} == files, "nothing is moved or removed that might be all there is"
    if lost != "copied alone":
        killed.lay(left | {"": killed.killed[""], "-wal": killed.killed["-wal"]})
        assert titles(killed) != ["at rest"], "what was put back is served"


def test_how_many_commits_are_lost(killed: Killed, caplog: pytest.LogCaptureFixture) -> None:
    killed.lay(killed.without("-wal") | {"": killed.at_rest[""]})
    noted, before = (read_count_of(killed, files) for files in (killed.killed, killed.at_rest))
    Client(killed.installation.app).sign_in("bob").get("/nodes")
    assert f"its last {noted - before} commits are lost" in caplog.text


def read_count_of(killed: Killed, files: Files) -> int:
    other = killed.path.with_name("other")
    other.with_name("other-count").write_bytes(files["-count"])
    count = read_count(str(other))
    assert count is not None
    return count.number


def test_a_transaction_notices_as_well(killed: Killed) -> None:
    """The connection is older than the loss: somebody has put older content into the file while it is open."""
    bob = Client(killed.installation.app).sign_in("bob")
    assert bob.get("/nodes").status_int == 200
    with closing(sqlite3.connect(killed.path)) as connection:
        connection.execute("PRAGMA user_version = -77")
    assert bob.post("/nodes", {"title": "x"}).json["code"] == "tenant_unavailable"


def test_the_loss_is_verified_and_accepted(killed: Killed, caplog: pytest.LogCaptureFixture) -> None:
    fleet = fleet_of(killed.installation.registry.app_settings)
    with pytest.raises(LossNotAccepted, match="no commit is lost"):
        accept_loss(fleet, "acme")
    killed.lay(killed.without("-wal") | {"": killed.at_rest[""]})
    (place,) = places(fleet.user_db, ["acme"])
    with databases_of_our_own(fleet.servers, 1) as databases:
        verdict = Verification(fleet, databases).verify(place)
    with pytest.raises(SnapshotFailed, match="commits are lost"):
        snapshot_of(fleet.servers["main"], killed.path.stem, "acme").take()
    assert verdict.state == State.UNREACHABLE
    assert "commits are lost" in verdict.findings[0]
    assert "commits are lost" in accept_loss(fleet, "acme")
    assert titles(killed) == ["at rest"]
    assert tenant_of(killed.installation, "acme").epoch != place.epoch
    bob = Client(killed.installation.app).sign_in("bob")
    assert bob.post("/nodes", {"title": "new"}).status_int == 201
    killed.lay(read(killed.path) | {"-wal": killed.killed["-wal"]})
    assert bob.get("/nodes").status_int == 503, "the log that was lost does not fit any more"
    fleet.user_db.dispose()


def test_a_link_to_the_file_is_followed(killed: Killed, tmp_path: Path) -> None:
    """SQLite follows it, so the count is beside the file."""
    link = tmp_path / "link.sqlite"
    link.symlink_to(killed.path)
    assert what_is_lost(link) is None
    killed.lay(killed.without("-wal"))
    assert "lost" in str(what_is_lost(link))
    with accepting(link) as lost:
        assert lost is not None
    assert what_is_lost(link) is None
    assert not list(tmp_path.glob("*-count"))


def test_a_file_that_cannot_be_read_is_another_matter(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("something else")
    (tmp_path / "directory").mkdir()
    assert [what_is_lost(tmp_path / name) for name in ("text", "directory", "missing")] == [None, None, None]


def test_a_damaged_file_is_not_accepted(killed: Killed) -> None:
    fleet = fleet_of(killed.installation.registry.app_settings)
    page = killed.at_rest[""][:4096]
    killed.lay({"": page * (len(killed.at_rest[""]) // 4096), "-count": killed.killed["-count"]})
    with pytest.raises(LossNotAccepted):
        accept_loss(fleet, "acme")
    assert read(killed.path)["-count"] == killed.killed["-count"]
    fleet.user_db.dispose()


def test_a_snapshot_that_is_put_back_is_no_loss(killed: Killed) -> None:
    server = killed.installation.registry.servers["main"]
    for _ in range(AHEAD // 4096 + 1):
        snapshot = snapshot_of(server, killed.path.stem, "acme")
        snapshot.take()
        snapshot.put_back()
    assert titles(killed) != ["at rest"]


def test_several_processes_are_killed_and_start_again(killed: Killed) -> None:
    for seen in (3, 5):
        kill_after(seen, [writer(killed.path), writer(killed.path)])
        assert titles(killed) != ["at rest"]
    noted = read_count(str(killed.path))
    assert noted is not None
    assert noted.has_begun


def test_the_application_does_not_start_without_the_commits_of_the_user_database(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with sqlite_installation(tmp_path_factory.mktemp("people")) as installation:
        path = Path(installation.settings["user_db.url"].removeprefix("sqlite+pysqlite:///"))
        installation.close()
        before = read(path)
        bob = Client(installation.app).sign_in("bob")
        installation.close()
        noted = read(path)["-count"]
        path.write_bytes(before[""])
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        assert bob.get("/nodes").json["code"] == "service_unavailable"
        with pytest.raises(
            SystemExit, match=r"The user database is not complete: its last commit is lost.*accept-loss"
        ):
            main({}, **installation.settings)
        assert read(path)["-count"] == noted
        fleet = fleet_of(installation.registry.app_settings)
        accept_loss_of_people(fleet)
        assert main({}, **installation.settings)
        fleet.user_db.dispose()
