"""What changes in SQLite databases is shipped, and a tenant is restored as it was at a moment."""

import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenantapp.cli import main as tenantapp
from tenantapp.cli.checks import machine
from tenantapp.cli.checks.examination import Check, State
from tenantapp.cli.doctor import examine
from tenantapp.cli.installation import Installation
from tenantapp.fleet.archives.ship_directory import NOTED, ROUND, directory_of, directory_of_people, shipped_of
from tenantapp.fleet.archives.shipped_owners import OWNER
from tenantapp.fleet.archives.shipped_pages import BASE, build, shipped_files
from tenantapp.fleet.archives.shipped_removal import remove_old
from tenantapp.fleet.archives.shipping import COPY, Round, Shipper
from tenantapp.fleet.backups.moments import Moment
from tenantapp.fleet.errors import BackupFailed, MomentRefused, ShippedDamaged
from tenantapp.fleet.removing.forgetting import forget_tenant
from tenantapp.tenancy.servers import SqliteServer
from tests.contract.conftest import Fleet
from tests.contract.forks import Hanging
from tests.contract.kept import Kept
from tests.file_limits import files_no_larger_than

# Of a database that is being written to: its pages are copied before they are noted.
POINTS = ("ship.write:before", "ship.publish:before", "ship.publish:after", "ship.note:before", "ship.note:after")


class Shipped:
    """The tenant acme, with the tag ``first``, whose database is shipped."""

    def __init__(self, directory: Path) -> None:
        values = {
            "user_db.url": f"sqlite+pysqlite:///{directory}/new/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{directory}/tenants/",
            "backups.ship": f"{directory}/shipped",
        }
        self.root = directory / "shipped"
        self.root.mkdir()
        self.kept = Kept(Fleet(values, None, directory))
        self.place = self.kept.place()
        self.directory = directory_of(self.root, "main", self.place.database)
        self.shipper = Shipper(self.kept.fleet.services)

    @property
    def file(self) -> Path:
        server = self.kept.fleet.servers["main"]
        assert isinstance(server, SqliteServer)
        return server.path(self.place.database)

    def ship(self) -> datetime:
        """Ship, and return a moment after that."""
        done = self.shipper.ship()
        assert done.failed == {}
        assert done.looked >= 2
        return datetime.now(UTC)

    def add_tag(self, name: str) -> datetime:
        """Add a tag, ship it, and return a moment after that."""
        self.kept.add_tag(name)
        return self.ship()

    def killed_at(self, point: str) -> None:
        Hanging("tests.contract.hanging_shipping", json.dumps(self.kept.fleet.values), point).kill()

    def tags_at(self, moment: datetime) -> list[str]:
        """The tags at a moment, of a database that is put together and not restored."""
        target = self.root.with_name("built.sqlite")
        build(self.directory, moment, target)
        with closing(sqlite3.connect(target)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [name for (name,) in connection.execute("SELECT name FROM tags ORDER BY name")]

    def files(self) -> list[str]:
        return shipped_files(self.directory)


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Shipped]:
    shipped = Shipped(tmp_path)
    yield shipped
    shipped.kept.fleet.close()


def test_a_tenant_is_restored_as_it_was(shipped: Shipped) -> None:
    kept, first = shipped.kept, shipped.ship()
    second = shipped.add_tag("second")
    kept.add_tag("third")
    with pytest.raises(MomentRefused, match=r"shipped until .* so far"):
        kept.restore(at=Moment(datetime.now(UTC)))
    shipped.ship()
    result = kept.done(kept.restore_as("acme", "acme-then", at=Moment(second))).result
    assert kept.tags("acme-then") == ["first", "second"]
    assert datetime.fromisoformat(result["taken_at"]) <= second
    kept.done(kept.restore(at=Moment(first)))
    assert kept.tags() == ["first"]
    # It has another database now than it had then.
    kept.done(kept.restore_as("acme", "acme-second", at=Moment(second)))
    assert kept.tags("acme-second") == ["first", "second"]
    with pytest.raises(MomentRefused, match="the tenant acme was made after it"):
        kept.restore(at=Moment(first - timedelta(hours=1)))


def test_only_what_has_changed_is_shipped(shipped: Shipped) -> None:
    shipped.ship()
    base, second = shipped.files(), shipped.add_tag("second")
    assert shipped.ship() > second, "nobody has written"
    (base_file, pages_file) = shipped.files()
    assert [base_file] == base
    sizes = [(shipped.directory / name).stat().st_size for name in (base_file, pages_file)]
    assert sizes[1] < sizes[0] / 2
    long_ago = time.time_ns() - 10**10
    for suffix in ("", "-wal"):
        if (file := shipped.file.with_name(shipped.file.name + suffix)).exists():
            os.utime(file, ns=(long_ago, long_ago))
    shipped.ship()
    noted = (shipped.directory / NOTED).stat().st_ino
    shipped.ship()
    Shipper(shipped.kept.fleet.services).ship()
    assert (shipped.directory / NOTED).stat().st_ino == noted, "a database at rest is not read again"
    assert len(shipped_files(directory_of_people(shipped.root))) >= 1
    assert [content.file for content in shipped_of(shipped.root, shipped.directory)] == [base_file, pages_file]


def test_writers_are_not_held_up(shipped: Shipped) -> None:
    """Whatever is shipped meanwhile is a whole transaction: two rows, or none."""
    over, written = threading.Event(), 0
    with closing(sqlite3.connect(shipped.file, isolation_level=None, timeout=5)) as connection:
        connection.execute("CREATE TABLE pairs (number INTEGER)")
        shipping = threading.Thread(target=lambda: [shipped.shipper.ship() for _ in range(8)] and over.set())
        shipping.start()
        while not over.is_set():
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO pairs VALUES (?)", [(written,), (written,)])
            connection.execute("COMMIT")
            written += 1
        shipping.join()
    assert written > 8
    for content in shipped_of(shipped.root, shipped.directory):
        target = shipped.root.with_name("built.sqlite")
        build(shipped.directory, content.at, target)
        with closing(sqlite3.connect(target)) as built:
            assert built.execute("SELECT count(*) FROM pairs GROUP BY number HAVING count(*) <> 2").fetchall() == []


@pytest.mark.parametrize("point", POINTS)
def test_whoever_ships_is_killed(shipped: Shipped, point: str) -> None:
    shipped.ship()
    shipped.kept.add_tag("second")
    shipped.killed_at(point)
    second, third = shipped.ship(), shipped.add_tag("third")
    assert [shipped.tags_at(moment) for moment in (second, third)] == [
        ["first", "second"],
        ["first", "second", "third"],
    ]
    assert [file.name for file in shipped.directory.iterdir() if file.name.endswith((".part", "-journal"))] == []


@pytest.mark.parametrize("point", ["ship.remove:before", "ship.remove:after"])
def test_whoever_removes_old_files_is_killed(shipped: Shipped, point: str) -> None:
    now = shipped.ship()
    (base,) = shipped.files()
    for day in (1, 2, 3):
        shutil.copy(shipped.directory / base, shipped.directory / f"2020010{day}T000000000000Z{BASE}")
    shipped.killed_at(point)
    Shipper(shipped.kept.fleet.services).ship()
    assert shipped.files()[-2:] == [f"20200103T000000000000Z{BASE}", base], "the last old one leads to what follows it"
    assert len(shipped.files()) == 2
    assert shipped.tags_at(now) == ["first"]


def test_what_is_damaged_or_missing_names_the_last_good_moment(shipped: Shipped) -> None:
    shipped.ship()
    second, third, fourth = (shipped.add_tag(name) for name in ("second", "third", "fourth"))
    names = shipped.files()
    good = shipped_of(shipped.root, shipped.directory)[1].at
    file = shipped.directory / names[2]
    whole = file.read_bytes()
    for damaged in (whole[:-50], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b"", None):
        file.unlink(missing_ok=True)
        if damaged is not None:
            file.write_bytes(damaged)
        with pytest.raises(ShippedDamaged) as error:
            shipped.tags_at(fourth)
        assert str(error.value).endswith(f"the last good moment before it is {good.isoformat()}.")
        assert shipped.tags_at(second) == ["first", "second"]
    file.write_bytes(whole)
    assert shipped.tags_at(third) == ["first", "second", "third"]
    # A file of another tenant has another chain.
    shutil.copy(directory_of_people(shipped.root) / shipped_files(directory_of_people(shipped.root))[-1], file)
    with pytest.raises(ShippedDamaged):
        shipped.tags_at(third)


def test_what_was_noted_is_damaged(shipped: Shipped) -> None:
    """Then all pages are written again."""
    shipped.ship()
    (shipped.directory / NOTED).write_bytes(b"{}")
    (shipped.root / ROUND).write_bytes(b"")
    assert shipped.tags_at(shipped.add_tag("second")) == ["first", "second"]
    assert [name.endswith(BASE) for name in shipped.files()] == [True, True]


def test_the_disk_is_full(shipped: Shipped) -> None:
    """A limit on the size of files refuses writes in the same places."""
    shipped.ship()
    shipped.kept.add_tag("second")
    with files_no_larger_than(20_000):
        done = shipped.shipper.ship()
    assert f"servers/main/{shipped.place.database}" in done.failed
    assert len(shipped.files()) == 1
    assert [file.name for file in shipped.directory.iterdir() if file.name.endswith(".part")] == []
    assert shipped.tags_at(shipped.ship()) == ["first", "second"]


def test_the_directory_is_away(shipped: Shipped) -> None:
    shipped.ship()
    second = shipped.add_tag("second")
    away = shipped.root.rename(shipped.root.with_name("away"))
    with pytest.raises(FileNotFoundError, match=r"of backups\.ship is not there"):
        shipped.shipper.ship()
    assert not shipped.root.exists(), "nothing is written beside a disk that is not mounted"
    with pytest.raises(BackupFailed, match="is not there"):
        shipped.kept.restore(at=Moment(second))
    away.rename(shipped.root)
    assert shipped.tags_at(shipped.add_tag("third")) == ["first", "second", "third"]


def test_an_archive_that_is_emptied_is_filled_again(shipped: Shipped) -> None:
    """Though nobody writes: what was shipped once is not believed to be there."""
    shipped.ship()
    shipped.ship()
    shutil.rmtree(shipped.directory)
    second = shipped.ship()
    assert shipped.tags_at(second) == ["first"]
    for each in shipped.root.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    assert shipped.tags_at(shipped.ship()) == ["first"]
    assert len(shipped_files(directory_of_people(shipped.root))) == 1


def test_what_is_strange_in_one_directory_keeps_no_other_from_being_shipped(shipped: Shipped) -> None:
    people = directory_of_people(shipped.root)
    shipped.ship()
    (people / "20261130T100000000000Z (conflicted copy).base").touch()
    (people / NOTED).write_bytes(_noted_by_a_newer_program(people))
    assert shipped.tags_at(shipped.add_tag("second")) == ["first", "second"]
    (people / "21000101T000000000000Z.base").touch()
    shipped.kept.add_tag("third")
    done = shipped.shipper.ship()
    assert list(done.failed) == ["user"]
    assert "is of the future" in done.failed["user"]
    assert shipped.tags_at(datetime.now(UTC)) == ["first", "second", "third"]


def _noted_by_a_newer_program(directory: Path) -> bytes:
    line, _, hashes = (directory / NOTED).read_bytes()[:-32].partition(b"\n")
    body = json.dumps(json.loads(line) | {"newer": 1}).encode() + b"\n" + hashes
    return body + hashlib.sha256(body).digest()


def test_a_disk_that_is_not_mounted_was_not_looked_at(shipped: Shipped) -> None:
    shipped.ship()
    tenants = shipped.file.parent
    tenants.rename(tenants.with_name("elsewhere"))
    failed = shipped.shipper.ship().failed
    tenants.with_name("elsewhere").rename(tenants)
    assert failed == {
        str(shipped.directory.relative_to(shipped.root)): "there is no database in the directory of its server"
    }
    assert shipped.ship()


def test_a_database_behind_a_link_is_shipped(shipped: Shipped) -> None:
    real = shipped.file.with_name("real.sqlite")
    shipped.file.rename(real)
    shipped.file.symlink_to(real)
    shipped.ship()
    assert shipped.tags_at(shipped.add_tag("second")) == ["first", "second"]


def test_pages_of_noughts_are_unpacked_in_pieces(shipped: Shipped) -> None:
    with closing(sqlite3.connect(shipped.file)) as connection, connection:
        connection.execute("CREATE TABLE noughts AS SELECT zeroblob(40000000) AS nought")
    moment = shipped.ship()
    tracemalloc.start()
    try:
        assert shipped.tags_at(moment) == ["first"]
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_lacks_commits_is_not_shipped(shipped: Shipped) -> None:
    shipped.ship()
    kept = shipped.kept
    kept.done(kept.backup())
    count = shipped.file.with_name(shipped.file.name + "-count")
    count.write_text("00000000007 -2147483641 cd7797c2 \n")
    with closing(sqlite3.connect(shipped.file, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = -2147483648")
    (reason,) = shipped.shipper.ship().failed.values()
    assert reason.startswith("its last 7 commits are lost")
    assert len(shipped.files()) == 1
    assert "its last 7 commits are lost" in kept.failed(kept.backup())
    kept.done(kept.restore())
    assert kept.tags() == ["first"], "a restore is the way out"


def test_one_process_ships_at_a_time(shipped: Shipped) -> None:
    ships = Hanging("tests.contract.hanging_shipping", json.dumps(shipped.kept.fleet.values), "ship.write:before")
    assert shipped.shipper.ship() == Round()
    ships.kill()
    shipped.ship()


def test_what_no_moment_needs_is_removed(shipped: Shipped) -> None:
    shipped.ship()
    shipped.add_tag("second")
    now = datetime.now(UTC) + timedelta(seconds=1)
    remove_old(shipped.root, now, {shipped.directory})
    assert len(shipped.files()) == 2, "an untouched database may be years old"
    remove_old(shipped.root, now, set())
    assert len(shipped.files()) == 2, "the disk of the databases may not be mounted"
    remove_old(shipped.root, now, {shipped.directory.with_name("another")})
    assert not shipped.directory.exists()
    shipped.directory.mkdir()
    (shipped.directory / COPY).touch()  # of whoever was killed at the first copy
    remove_old(shipped.root, now, {shipped.directory.with_name("another")})
    assert not shipped.directory.exists()


def test_the_directory_may_be_relative(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shipped.root.parent)
    shipped.kept.fleet.values["backups.ship"] = "shipped"
    shipped.kept.fleet.__post_init__()
    done = Shipper(shipped.kept.fleet.services).ship()
    assert (done.failed, done.shipped) == ({}, done.looked)


def test_what_was_shipped_of_a_forgotten_tenant_is_removed(shipped: Shipped) -> None:
    """Of the database that it had last, and of the one before. What is of others stays."""
    kept = shipped.kept
    kept.fleet.create("globex")
    first = shipped.ship()
    shipped.ship()
    kept.done(kept.restore(at=Moment(first)))
    kept.add_tag("second")
    shipped.ship()
    place, other = kept.place(), directory_of(shipped.root, "main", kept.place("globex").database)
    newest = shipped.directory / shipped.files()[-1]
    shutil.copy(newest, newest.with_name(f"21000101T000000000000Z{BASE}.part"))
    (shipped.directory / OWNER).unlink()  # as an earlier version has left it
    kept.done(kept.delete())
    away = shipped.root.rename(shipped.root.with_name("away"))
    with pytest.raises(BackupFailed, match=r"backups\.ship is not there"):
        forget_tenant(kept.fleet, "acme", None)
    away.rename(shipped.root)
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-1])
    with pytest.raises(ShippedDamaged):
        forget_tenant(kept.fleet, "acme", None)
    newest.write_bytes(whole)
    assert kept.store.final_copies(place.id) != [], "nothing is forgotten in part"
    forget_tenant(kept.fleet, "acme", None)
    assert [directory.name for directory in shipped.directory.parent.iterdir()] == [other.name]
    assert len(shipped_files(other)) == 1
    assert shipped_files(directory_of_people(shipped.root)) != []
    assert kept.store.final_copies(place.id) == []


def test_the_commands(shipped: Shipped, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{name} = {value}" for name, value in shipped.kept.fleet.values.items()]
    ini = shipped.root.with_name("tenantapp.ini")
    ini.write_text("\n".join(["[app:main]", "use = egg:tenantapp", *lines]))

    def run(*arguments: str, status: int = 0) -> str:
        assert tenantapp(("--ini", str(ini), *arguments)) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    assert run("worker", "--until-idle") == ""
    (listed,) = json.loads(run("moments", "list", "acme", "--json"))["items"]
    assert listed["file"] == shipped.files()[0]
    second = shipped.add_tag("second")
    shipped.ship()
    people = str(shipped.root.with_name("people.sqlite"))
    said = run("moments", "write", people, "--user-database", "--at", second.isoformat())
    assert "has what the database had at" in said
    with closing(sqlite3.connect(people)) as connection:
        assert connection.execute("SELECT slug FROM tenants").fetchall() == [("acme",)]
    assert "exists already" in run("moments", "write", people, "acme", "--at", second.isoformat(), status=1)
    assert "begins at" in run("moments", "write", "x", "acme", "--at", "2020-01-01T00:00+00:00", status=1)
    assert run("moments", "list", status=2)
    (finding,) = examine(Installation(ini), [Check("archives", machine.archives)])
    assert (finding.check, finding.state) == ("shipping", State.OK)
    shipped.root.rename(shipped.root.with_name("away"))
    (finding,) = examine(Installation(ini), [Check("archives", machine.archives)])
    assert finding.state == State.WRONG
