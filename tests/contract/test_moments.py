"""A tenant restored as it was at a moment, from the archive of its server: pgBackRest and PostgreSQL are real."""

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg2
import psycopg2.extensions
import pytest

from tenantapp.cli import main as tenantapp
from tenantapp.cli.checks import machine
from tenantapp.cli.checks.examination import Check, State
from tenantapp.cli.doctor import examine
from tenantapp.cli.installation import Installation
from tenantapp.fleet.archives.cluster_directories import remove_left_clusters
from tenantapp.fleet.backups.moments import Moment, check_room
from tenantapp.fleet.backups.requests import request_restore_as
from tenantapp.fleet.errors import MomentRefused
from tenantapp.identity.tenants import get_tenant
from tests.contract.conftest import fleet_on
from tests.contract.kept import Kept
from tests.contract.rows import add_tag
from tests.pgbackrest import ArchivedPostgres, archived_postgres

A_SECOND = timedelta(seconds=1)
# Of a shell, and of PostgreSQL itself.
ADDED = ("PWD", "OLDPWD", "_", "SHLVL", "PGLOCALEDIR", "PGSYSCONFDIR", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES")


@dataclass
class Archived:
    """A server with tenants that have the tag ``first`` each, and since the moment ``between`` also ``second``.

    acme and globex are older than the backup of the server, initech is newer. hooli is older, and its database was made
    anew since, as a copy of another one.
    """

    kept: Kept
    server: ArchivedPostgres
    between: datetime
    database_of_globex: str

    def now(self) -> datetime:
        """The time by the server's clock, with nothing committed at it."""
        time.sleep(0.002)
        moment: datetime = self.server.ask("SELECT clock_timestamp()")
        time.sleep(0.002)
        return moment

    def restore_as(self, slug: str, new: str, at: Moment, tenant_id: UUID | None = None) -> list[str]:
        """The tags that a new tenant has, made of what a tenant had at a moment."""
        self.kept.done(self.ask_as(slug, new, at, tenant_id))
        return self.kept.tags(new)

    def ask_as(self, slug: str, new: str, at: Moment, tenant_id: UUID | None = None) -> UUID:
        return self.kept.ask(request_restore_as, slug, new, at=at, tenant_id=tenant_id)

    def nothing_is_left(self) -> None:
        """Neither a directory of a server that was restored, nor a process in one."""
        assert list(self.server.clusters.iterdir()) == []
        assert self.processes() == []

    def processes(self) -> list[str]:
        """What runs in the directories of restored servers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "cwd").startswith(str(self.server.clusters)):
                    found.append(process.name)
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    with archived_postgres() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{server.bin}{os.pathsep}{os.environ['PATH']}")
        kept = Kept(fleet_on(server.url, tmp_path_factory.mktemp("fleet")))
        kept.fleet.values |= server.values
        kept.fleet.__post_init__()
        for slug in ("globex", "hooli"):
            kept.fleet.create(slug)
            add_tag(kept.fleet, kept.place(slug), "first")
        hooli = kept.place("hooli").database
        server.ask(f'CREATE DATABASE copy TEMPLATE "{hooli}"')
        server.run("backup", "--type=full")
        # Of the new database the log says only that its files were copied, from a database that is not restored.
        server.ask(f'DROP DATABASE "{hooli}"')
        server.ask(f'CREATE DATABASE "{hooli}" TEMPLATE copy OWNER "{hooli}" STRATEGY FILE_COPY')
        kept.fleet.create("initech")
        add_tag(kept.fleet, kept.place("initech"), "first")
        time.sleep(1)  # a backup is known to the second
        archived = Archived(kept, server, datetime.now(UTC), kept.place("globex").database)
        archived.between = archived.now()
        for slug in ("acme", "globex", "hooli", "initech"):
            add_tag(kept.fleet, kept.place(slug), "second")
        yield archived
        kept.fleet.close()


@pytest.fixture
def ini(past: Archived, tmp_path: Path) -> Path:
    """The settings, as a file."""
    lines = [f"{name} = {value.replace('%', '%%')}" for name, value in past.kept.fleet.values.items()]
    file = tmp_path / "tenantapp.ini"
    file.write_text("\n".join(["[app:main]", "use = egg:tenantapp", *lines]))
    return file


def test_a_new_tenant_by_the_command(past: Archived, ini: Path) -> None:
    options = ("--at", past.between.isoformat(), "--as", "acme-then")
    assert tenantapp(("--ini", str(ini), "tenants", "restore", "acme", *options)) == 0
    assert past.kept.tags("acme-then") == ["first"]
    assert past.kept.tags("acme") == ["first", "second"]
    made = [each for each in past.kept.store.records(past.kept.place().id) if each.moment]
    assert {each.created_at for each in made} == {past.between}
    # A later backup of the same day does not take its place.
    past.kept.done(past.kept.backup())
    left = past.kept.store.records(past.kept.place().id)
    assert [each for each in left if each.moment] == made
    past.nothing_is_left()


def test_what_the_doctor_says(past: Archived, ini: Path) -> None:
    (finding,) = examine(Installation(ini), [Check("archives", machine.archives)])
    assert (finding.check, finding.state) == ("archive of main", State.OK)
    assert re.fullmatch(r"pgBackRest \d+\.\d+, 1 backup, moments since 20\d\d-.* UTC", finding.detail)
    foreign = past.server.clusters / "cluster-main"
    foreign.mkdir()
    try:
        _, warned = examine(Installation(ini), [Check("archives", machine.archives)])
    finally:
        foreign.rmdir()
    assert warned.state == State.WARNING
    assert warned.detail.endswith("clusters has cluster-main, which is not tenantapp's")


def test_in_place_and_then_from_the_database_before(past: Archived) -> None:
    before = past.now()
    add_tag(past.kept.fleet, past.kept.place("globex"), "third")
    past.kept.done(past.kept.restore("globex", at=Moment(before)))
    assert past.kept.tags("globex") == ["first", "second"]
    assert past.kept.tags("acme") == ["first", "second"]
    add_tag(past.kept.fleet, past.kept.place("globex"), "fourth")
    # It has another database now than it had then.
    assert past.restore_as("globex", "globex-then", Moment(past.between)) == ["first"]
    past.nothing_is_left()


def test_a_removed_tenant(past: Archived) -> None:
    removed = past.kept.place("hooli")
    past.kept.done(past.kept.delete("hooli", copy=False))
    with pytest.raises(MomentRefused, match="name the database that it had, by --database SERVER:NAME"):
        past.ask_as("hooli", "hooli-then", Moment(past.between), removed.id)
    named = Moment(past.between, f"main:{removed.database}")
    assert past.restore_as("hooli", "hooli-then", named, removed.id) == ["first"]


def environment_of(process: int) -> set[str] | None:
    """The names in the environment of a process, or None if it has just ended: a server starts and ends some."""
    try:
        given = Path(f"/proc/{process}/environ").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return {each.partition("=")[0] for each in given.split("\0") if each}


@pytest.mark.parametrize(
    ("slug", "point"),
    [("initech", "archive.restore:after"), ("acme", "cluster.recover:after"), ("acme", "store.add:after")],
)
def test_a_killed_worker(past: Archived, slug: str, point: str) -> None:
    """Of initech, which is newer than the backup of the server, all databases are restored."""
    new = f"{slug}-{point.partition('.')[0]}"
    operation = past.ask_as(slug, new, Moment(past.between))
    past.kept.worker_killed_at(point, PATH=os.environ["PATH"], AWS_SECRET_ACCESS_KEY="x", PGBACKREST_PROCESS_MAX="1")
    (left,) = past.server.clusters.iterdir()
    assert bool(past.processes()) == (point != "archive.restore:after")
    if point == "cluster.recover:after":
        is_closed(past, left)
        environments = [found for process in past.processes() if (found := environment_of(process)) is not None]
        assert environments
        assert set[str]().union(*environments) - {"PATH", "LANG", "TZ"} <= {"PGBACKREST_PROCESS_MAX", *ADDED}
    remove_left_clusters(past.kept.fleet.services)
    assert not left.exists()
    past.nothing_is_left()
    past.kept.fleet.settle()
    past.kept.done(operation)
    assert past.kept.tags(new) == ["first"]
    past.nothing_is_left()


def is_closed(past: Archived, directory: Path) -> None:
    """The server in this directory reaches nobody, lets only us in, and has no other tenant's rows."""
    acme = past.kept.place("acme").database

    def connected(role: str, database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(host=directory / "s", user=role, dbname=database)

    ours = str(past.server.url.username)
    with closing(connected(ours, "postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'archive_mode', "
            "'max_wal_senders', 'max_logical_replication_workers', 'shared_preload_libraries')"
        )
        assert dict(cursor.fetchall()) == {
            "listen_addresses": "",
            "archive_mode": "off",
            "max_wal_senders": "0",
            "max_logical_replication_workers": "0",
            "shared_preload_libraries": "",
        }
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        connected(acme, acme)
    with pytest.raises(psycopg2.OperationalError, match="contains invalid data"):
        connected(ours, past.database_of_globex)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


class TestRefused:
    """Nothing is made, and nothing is left."""

    @pytest.mark.parametrize(
        ("slug", "moment", "said"),
        [
            ("acme", lambda past: Moment(datetime.now(UTC) + A_SECOND), "it is in the future"),
            ("initech", lambda past: Moment(past.between - timedelta(days=1)), "the tenant initech was made after it"),
            ("acme", lambda past: Moment(past.between, "elsewhere:tenant_x"), "There is no server elsewhere"),
        ],
    )
    def test_at_once(self, past: Archived, slug: str, moment: Callable[[Archived], Moment], said: str) -> None:
        with pytest.raises(Exception, match=said):
            past.ask_as(slug, "refused", moment(past))
        assert "refused" not in past.kept.slugs()

    def test_the_database_of_another_tenant(self, past: Archived) -> None:
        other = past.kept.place("initech").database
        said = past.kept.failed(past.ask_as("acme", "refused", Moment(past.between, other)))
        assert f"the database {other} was not that of the tenant acme" in said
        said = past.kept.failed(past.ask_as("acme", "refused", Moment(past.between, "tenant_none")))
        assert "had no database tenant_none at that moment" in said
        self.nothing_is_made(past)

    def test_before_the_first_backup(self, past: Archived) -> None:
        made = past.kept.within(lambda session: get_tenant(session, "acme").created_at)
        said = past.kept.failed(past.ask_as("acme", "refused", Moment(made + timedelta(milliseconds=1))))
        assert "the archive of the server main begins at" in said
        self.nothing_is_made(past)

    def test_the_archive_does_not_reach_it(self, past: Archived) -> None:
        past.server.ask("ALTER SYSTEM SET archive_command = 'false'")
        past.server.ask("SELECT pg_reload_conf()")
        try:
            add_tag(past.kept.fleet, past.kept.place(), "unarchived")
            said = past.kept.failed(past.ask_as("acme", "refused", Moment(past.now())))
        finally:
            past.server.ask("ALTER SYSTEM RESET archive_command")
            past.server.ask("SELECT pg_reload_conf()")
        assert "the archive of the server main ends before it" in said
        self.nothing_is_made(past)

    def test_what_is_missing(self, past: Archived, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        fleet, moment = past.kept.fleet, Moment(past.between)

        def said(**values: str) -> str:
            before = dict(fleet.values)
            fleet.change_settings(**values)
            try:
                return past.kept.failed(past.ask_as("acme", "refused", moment))
            finally:
                fleet.values = before
                fleet.change_settings()

        assert "does not know the stanza nosuch (missing stanza path)" in said(
            **{"servers.main.archive": "pgbackrest:nosuch"}
        )
        assert "the programs of a server of PostgreSQL 15 are not in" in said(backups_postgres_bin=str(tmp_path))
        assert "is too long for the socket" in said(backups_clusters=f"/{'x' * 90}")
        with pytest.raises(MomentRefused, match="MiB free, and restoring the server there takes up to"):
            check_room(past.server.clusters, 2**60)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "there is no pgbackrest in the search path" in said()
        self.nothing_is_made(past)

    @staticmethod
    def nothing_is_made(past: Archived) -> None:
        assert "refused" not in past.kept.slugs()
        past.nothing_is_left()
