"""What is done in the directories of restored servers: by whom, with which environment, and what is removed of them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantapp.fleet.archives.accounts import Account, account_for
from tenantapp.fleet.archives.archives import archive_of
from tenantapp.fleet.archives.cluster_directories import (
    MARKER,
    ClusterDirectory,
    cluster_directory,
    foreign_in,
    remove_left_clusters,
)
from tenantapp.fleet.archives.pgbackrest import PgBackRest
from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.operations.fleet import Fleet, fleet_of
from tenantapp.settings import read_settings

NOBODY = 65534
SECRETS = ("TENANTAPP_TENANCY_SECRET", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD")


class Stopped(Exception):
    """Somebody has cancelled the operation."""


@pytest.fixture
def place() -> Iterator[Path]:
    """The directory for restored servers, of another user if we are root. That user enters no directory of pytest's."""
    root = Path(tempfile.mkdtemp(prefix="clusters-"))
    root.chmod(0o755)
    made = root / "c"
    made.mkdir()
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(root)


@pytest.fixture
def fleet(place: Path) -> Fleet:
    values = {
        "user_db.url": "sqlite+pysqlite:///unused",
        "tenancy.secret": "s" * 32,
        "servers.main": "postgresql+psycopg2://localhost/postgres",
        "servers.main.archive": "pgbackrest:main",
        "backups.clusters": str(place),
    }
    return fleet_of(read_settings(values, {}))


@pytest.fixture
def account(fleet: Fleet) -> Account:
    return account_for(fleet.settings)


@pytest.fixture
def program(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file for a program that is called pgbackrest, the first of the search path."""
    monkeypatch.setenv("PATH", f"{place.parent}{os.pathsep}{os.environ['PATH']}")
    script = place.parent / "pgbackrest"
    script.touch(mode=0o755)
    return script


def left(place: Path, account: Account, name: str, *files: str) -> Path:
    """A directory that nobody holds, with these files."""
    directory = ClusterDirectory(place / name, account)
    account.run(("mkdir", "-m", "700", str(directory.path)), "Making", name)
    for file in files:
        directory.write(file, "")
    return directory.path


def test_only_what_is_certainly_ours_is_removed(fleet: Fleet, place: Path, account: Account) -> None:
    kept = [
        left(place, account, "cluster-main", MARKER, "PG_VERSION"),
        left(place, account, "cluster-0123456789ab", "PG_VERSION"),
        left(place, account, "cluster-00000000000a"),
    ]
    (kept[2] / MARKER).mkdir()
    gone = [
        left(place, account, "cluster-00000000000b", MARKER, "PG_VERSION"),
        left(place, account, "cluster-00000000000c"),  # of a process that was killed before it wrote the marker
    ]
    with cluster_directory(place, account) as used:
        remove_left_clusters(fleet)
        assert used.path.exists()
    assert [path.exists() for path in (*kept, *gone)] == [True, True, True, False, False]
    assert foreign_in(place) == ["cluster-main"]


def test_nothing_is_written_through_a_link(place: Path, account: Account) -> None:
    """The owner of the directory puts a link in its place. Root would follow it, the owner may not."""
    victim = place.parent / "victim"
    victim.mkdir(mode=0o555)
    with cluster_directory(place, account) as directory:
        assert int(directory.run(("id", "-u"), "id")) == account.user == place.stat().st_uid
        aside = directory.path.rename(place / "aside")
        directory.path.symlink_to(victim)
        with pytest.raises(BackupFailed, match="Writing postgresql"):
            directory.write("postgresql.conf", "")
        with pytest.raises(BackupFailed, match="Making the directory s failed"):
            directory.make("s")
        directory.path.unlink()
        aside.rename(directory.path)
    assert list(victim.iterdir()) == []


def test_what_cannot_be_removed_stops_nothing(
    fleet: Fleet, place: Path, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BackupFailed, match="Removing the directory failed"), cluster_directory(place, account) as stuck:
        stuck.run(("sh", "-c", "mkdir -p data/base && touch data/base/1 && chmod 500 data/base"), "Making")
    other = left(place, account, "cluster-fffffffffffe", MARKER)
    remove_left_clusters(fleet)
    assert (other.exists(), stuck.path.exists(), "stays: Removing" in caplog.text) == (False, True, True)
    stuck.run(("chmod", "700", "data/base"), "chmod")
    remove_left_clusters(fleet)
    assert list(place.iterdir()) == []


def test_only_our_programs_are_ended(place: Path, account: Account) -> None:
    shell = shutil.which("sleep")
    assert shell is not None
    server = place.parent / "postgres"
    shutil.copy(shell, server)
    with cluster_directory(place, account) as directory:
        looking, serving = (directory.start((each, "60"), {}) for each in (shell, str(server)))
        try:
            while Path(f"/proc/{serving.pid}/comm").read_text() != "postgres\n":
                time.sleep(0.005)
            # Of another user than the directory's, if we are root.
            ours = subprocess.Popen((server, "60"), cwd=directory.path)
        except BaseException:
            looking.kill()
            raise
    try:
        assert serving.wait(5) < 0
        assert looking.poll() is None
        assert (ours.poll() is None) == account.changed
    finally:
        for process in (looking, ours):
            process.kill()
            process.wait()


def test_programs_get_no_secrets(
    fleet: Fleet, place: Path, account: Account, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*SECRETS, "PGBACKREST_REPO1_S3_KEY", "AWS_ROLE_ARN"):
        monkeypatch.setenv(name, "x")
    program.write_text("#!/bin/sh\nexec env\n")
    archive = archive_of(fleet.settings, "main")
    with cluster_directory(place, account) as directory:
        helper = directory.run(("env",), "env")
    for given in (archive.version(), "\n".join(archive.environment()), helper):
        assert not any(name in given for name in SECRETS)
    assert {"PGBACKREST_REPO1_S3_KEY=x", "AWS_ROLE_ARN=x"} < set(archive.version().splitlines())


def test_the_archive_is_not_waited_for(account: Account, program: Path) -> None:
    program.write_text("#!/bin/sh\nsleep 61 & wait\n")

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        PgBackRest("main", None, account, stop).version()
    with pytest.raises(MomentRefused, match=r"pgBackRest has not answered within 0 seconds \(version\)"):
        PgBackRest("main", None, account, lambda: None, 0.0).version()
