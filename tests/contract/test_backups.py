"""Backups are whole or not there, are restored as they were, and go when the policy says so."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import fsspec
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.errors import NotRestorable, UnknownRevision
from tenantapp.databases.schemas.expected import structure_at
from tenantapp.databases.schemas.structure import fingerprint
from tenantapp.databases.servers.base import SCRATCH_PREFIX
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.backing_up import backup_tenant
from tenantapp.fleet.backups.file_names import new_file
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.rehearsing import Rehearsal, rehearse_restore
from tenantapp.fleet.backups.restoring import restore_into
from tenantapp.fleet.backups.retention import kept, moments_kept, prune
from tenantapp.fleet.backups.store import Store, open_store
from tenantapp.fleet.errors import BackupDamaged, BackupFailed, BackupRefused
from tenantapp.identity.tenants import place_of, register_tenant
from tenantapp.operations.errors import FleetError
from tenantapp.settings import Settings
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tests.contract.conftest import Fleet
from tests.contract.forks import Hanging
from tests.contract.rows import add_tag, found
from tests.postgres import postgres_bin

EARLIER = Path(__file__).parent / "earlier_backups"


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, fleet: Fleet, tmp_path: Path) -> Iterator[Store]:
    """A store, which the fleet's settings name."""
    url = str(tmp_path / "backups") if request.param == "directory" else f"memory://{uuid7().hex}"
    fleet.settings = replace(fleet.settings, backups_store=url, backups_postgres_bin=postgres_bin("pginstall18"))
    fleet.services = fleet.under(fleet.settings)
    yield open_store(fleet.settings)
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def acme(fleet: Fleet) -> TenantPlace:
    place = fleet.initialised().create("acme")
    add_tag(fleet, place, "first")
    return place


def backup(fleet: Fleet, place: TenantPlace, store: Store, **options: Any) -> BackupRecord:
    return backup_tenant(fleet.services, place, store, **options)


def restore(fleet: Fleet, record: BackupRecord, store: Store, place: TenantPlace) -> None:
    restore_into(fleet.services, record, store, place, fleet.mark())


def rehearse(fleet: Fleet, record: BackupRecord, store: Store, settings: Settings | None = None) -> Rehearsal:
    return rehearse_restore(fleet.under(settings or fleet.settings), fleet.servers["main"], record, store)


def new_place(fleet: Fleet, slug: str) -> TenantPlace:
    """A tenant whose database is yet to be made."""
    with fleet.user_db.begin() as session:
        return place_of(register_tenant(session, uuid7(), slug, name=None, server="main"))


def files(fleet: Fleet) -> list[str]:
    """All that is in the store."""
    filesystem, root = fsspec.core.url_to_fs(fleet.settings.backups_store)
    return sorted(filesystem.find(root))


def test_there_and_back(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    sizes: list[int] = []
    record = backup(fleet, acme, store, progress=sizes.append)
    assert sum(sizes) == record.size > 0
    assert (record.tenant_id, record.slug) == (acme.id, "acme")
    assert store.records(acme.id) == [record]
    store.check(record)
    add_tag(fleet, acme, "second")
    copy = new_place(fleet, "copy")
    restore(fleet, record, store, copy)
    assert found(fleet, copy) == (["first"], [copy.id])
    assert found(fleet, acme) == (["first", "second"], [acme.id])
    restored = structure_at(fleet.servers["main"].tenant_url(copy.database), "copy")
    assert fingerprint(restored) == record.fingerprint


def test_it_is_the_data_of_one_moment(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    record = backup(fleet, acme, store, progress=lambda size: add_tag(fleet, acme, str(uuid7())))
    copy = new_place(fleet, "copy")
    restore(fleet, record, store, copy)
    assert found(fleet, copy)[0] == ["first"]


def test_a_rehearsal_leaves_nothing(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    record = backup(fleet, acme, store)
    before, key = fleet.made(), uuid7()
    left_by_a_killed_one = f"{SCRATCH_PREFIX}{uuid7().hex[:-12]}{key.hex[-12:]}"
    databases_on(fleet.servers["main"]).create(left_by_a_killed_one, fleet.mark())
    report = rehearse_restore(fleet.services, fleet.servers["main"], record, store, key=key)
    assert (report.record, report.server, report.revision, report.drift) == (record, "main", record.revision, ())
    assert report.rows is not None
    assert (report.rows["tags"], report.rows["nodes"], report.rows["tenant_identity"]) == (1, 0, 1)
    assert {thing for thing in fleet.made() if not thing.endswith(("-wal", "-shm"))} <= before


def test_what_the_store_has_lost_is_no_backup(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    class Losing(Store):
        def write(self, file: str, chunks: Iterable[bytes]) -> tuple[int, str]:
            written = super().write(file, chunks)
            filesystem, root = fsspec.core.url_to_fs(fleet.settings.backups_store)
            path = f"{root.rstrip('/')}/{file}"
            filesystem.pipe_file(path, filesystem.cat_file(path)[:-1])
            return written

    losing = Losing(*fsspec.core.url_to_fs(fleet.settings.backups_store))
    with pytest.raises(BackupDamaged, match="its size or checksum is not that of its record"):
        backup(fleet, acme, losing)
    assert files(fleet) == []


@pytest.mark.parametrize("damage", ["altered", "cut off", "gone"])
def test_a_damaged_backup_is_not_restored(fleet: Fleet, store: Store, acme: TenantPlace, damage: str) -> None:
    record = backup(fleet, acme, store)
    filesystem, root = fsspec.core.url_to_fs(fleet.settings.backups_store)
    path = f"{root.rstrip('/')}/{record.file}"
    whole = filesystem.cat_file(path)
    if damage == "gone":
        filesystem.rm_file(path)
    else:
        filesystem.pipe_file(path, whole[:-1] if damage == "cut off" else whole[:-1] + bytes([whole[-1] ^ 1]))
    copy = new_place(fleet, "copy")
    with pytest.raises(BackupDamaged):
        restore(fleet, record, store, copy)
    with pytest.raises(BackupDamaged):
        rehearse(fleet, record, store)
    assert not databases_on(fleet.servers["main"]).exists(copy.database)


def test_a_dump_that_is_none(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    """Its checksum is right, and it is nothing that could be restored."""
    record = backup(fleet, acme, store)
    size, sha256 = store.write("00/other.dump", [b"nonsense"])
    other = record.model_copy(update={"file": "00/other.dump", "size": size, "sha256": sha256})
    before = fleet.made()
    with pytest.raises(FleetError):
        rehearse(fleet, other, store)
    assert {thing for thing in fleet.made() if not thing.endswith(("-wal", "-shm"))} <= before


def test_another_structure_is_noticed(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    record = backup(fleet, acme, store).model_copy(update={"fingerprint": "0" * 64})
    with pytest.raises(BackupDamaged, match="the restored structure differs"):
        rehearse(fleet, record, store)
    assert rehearse(fleet, record.model_copy(update={"fingerprint_method": "of another version"}), store).drift == ()


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_a_backup_of_an_earlier_method_is_restored(fleet: Fleet, store: Store, engine_name: str) -> None:
    """On PostgreSQL it is good and seemed damaged: a restore changes how the expressions of its table are printed."""
    (described,) = EARLIER.glob("*.dump.json" if engine_name == "postgresql" else "*.sqlite.json")
    given = json.loads(described.read_text())
    file = Path(str(fleet.settings.backups_store), given["file"])
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.decompress(described.with_suffix(".gz").read_bytes()))
    file.with_name(f"{file.name}.json").write_text(described.read_text())
    (record,) = store.records(UUID(given["tenant_id"]))
    assert record.fingerprint_method == "as printed"
    copy = new_place(fleet.migrated(), "copy")
    restore(fleet, record, store, copy)
    assert found(fleet, copy) == (["first"], [copy.id])
    with pytest.raises((BackupDamaged, UnknownRevision)):
        restore(fleet, record.model_copy(update={"revision": "another"}), store, copy)


def test_nothing_is_restored_over_what_is_there(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    record = backup(fleet, acme, store)
    add_tag(fleet, acme, "second")
    restore(fleet, record, store, acme)
    assert found(fleet, acme) == (["first", "second"], [acme.id])
    engine = create_engine(fleet.servers["main"].tenant_url(acme.database), poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE more (id int)")
    with pytest.raises(BackupDamaged):
        restore(fleet, record, store, acme)
    assert found(fleet, acme) == (["first", "second"], [acme.id])


def test_what_cannot_be_backed_up(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    globex = fleet.create("globex")
    mixed_up = TenantPlace(globex.id, "globex", "Globex", acme.server, acme.database)
    with pytest.raises(WrongTenantDatabase):
        backup(fleet, mixed_up, store)
    databases_on(fleet.servers["main"]).drop(acme.database)
    with pytest.raises(FleetError):
        backup(fleet, acme, store)
    assert files(fleet) == []


def test_an_interrupted_backup_leaves_nothing(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    def interrupt(size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(fleet, acme, store, progress=interrupt)
    assert files(fleet) == []
    assert store.records(acme.id) == []


def test_a_store_has_to_be_named(fleet: Fleet) -> None:
    for url in (None, "nosuchprotocol://x"):
        with pytest.raises(BackupRefused, match=r"backups\.store"):
            open_store(replace(fleet.settings, backups_store=url))


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_a_killed_backup_is_no_backup(fleet: Fleet, store: Store, acme: TenantPlace) -> None:
    values = fleet.values | {"backups.store": str(fleet.settings.backups_store)}
    if fleet.settings.backups_postgres_bin:
        values["backups.postgres_bin"] = fleet.settings.backups_postgres_bin
    described = json.dumps([str(acme.id), acme.slug, acme.name, acme.server, acme.database])
    Hanging("tests.contract.backing_up", json.dumps(values), described).kill()
    assert store.records(acme.id) == []
    assert len(files(fleet)) == 1
    now = datetime.now(UTC)
    policy = {"daily": 7}
    # It may be under way still; a day later it is not.
    assert prune(store, acme.id, policy, now) == []
    record = backup(fleet, acme, store)
    assert len(prune(store, acme.id, policy, now + timedelta(days=2))) == 1
    assert store.records(acme.id) == [record]
    assert len(files(fleet)) == 2


class TestRetention:
    def record(self, created_at: datetime, **more: object) -> BackupRecord:
        return BackupRecord.model_validate(
            {
                "format": "tenantapp backup",
                "version": 1,
                "tenant_id": uuid7(),
                "slug": "acme",
                "name": "Acme",
                "created_at": created_at,
                "engine": "sqlite",
                "server": "3",
                "tool": "3",
                "revision": "a",
                "fingerprint": "f",
                "file": f"{created_at:%Y-%m-%d %H}",
                "size": 1,
                "sha256": "0" * 64,
            }
            | more
        )

    def test_what_is_kept(self) -> None:
        # Two a day from 2024-01-01 on to Sunday 2024-06-30.
        begin = datetime(2024, 1, 1, 6, tzinfo=UTC)
        records = [self.record(begin + timedelta(hours=12 * number)) for number in range(364)]
        assert kept(records, {"daily": 3}) == {"2024-06-30 18", "2024-06-29 18", "2024-06-28 18"}
        assert kept(records, {"weekly": 2}) == {"2024-06-30 18", "2024-06-23 18"}
        assert kept(records, {"monthly": 3}) == {"2024-06-30 18", "2024-05-31 18", "2024-04-30 18"}
        assert kept(records, {"yearly": 5}) == {"2024-06-30 18"}
        assert kept(records, {"daily": 2, "monthly": 2}) == {"2024-06-30 18", "2024-06-29 18", "2024-05-31 18"}
        assert len(kept(records, {"daily": 7, "weekly": 4, "monthly": 12})) == 7 + 3 + 5
        assert kept(records, {}) == kept(records, {"daily": 0}) == {"2024-06-30 18"}
        assert kept([], {"daily": 7}) == set()
        # A gap: the last days that have a backup, however long ago.
        old = [record for record in records if record.created_at < datetime(2024, 1, 3, tzinfo=UTC)]
        assert kept(old, {"daily": 7}) == {"2024-01-01 18", "2024-01-02 18"}

    def test_backups_of_moments_have_no_place_in_the_periods(self) -> None:
        ordinary = self.record(datetime(2024, 6, 29, 2, tzinfo=UTC))
        key = uuid7()
        # Of the same day, later than the ordinary one, and made on the first of July.
        file = new_file(ordinary.tenant_id, datetime(2024, 7, 1, 9, tzinfo=UTC), "dump", key)
        moment = self.record(datetime(2024, 6, 29, 9, tzinfo=UTC), moment=True, file=file)
        assert kept([moment, ordinary], {"daily": 1}) == {ordinary.file}

        def stays(day: int, *restoring: UUID) -> bool:
            now = datetime(2024, 7, day, 8, tzinfo=UTC)
            return moments_kept([moment, ordinary], now, restoring) == {moment.file}

        assert (stays(2), stays(8), stays(9), stays(9, uuid7()), stays(9, key)) == (True, True, False, False, True)

    def test_what_goes(self, fleet: Fleet, store: Store, acme: TenantPlace) -> None:
        globex = fleet.create("globex")
        theirs = backup(fleet, globex, store)
        records = [backup(fleet, acme, store) for _ in range(3)]
        newest = store.records(acme.id)[0]
        gone = prune(store, acme.id, {"daily": 1}, datetime.now(UTC))
        assert sorted(gone) == sorted(record.file for record in records if record != newest)
        assert store.records(acme.id) == [newest]
        assert store.records(globex.id) == [theirs]
        assert len(files(fleet)) == 4


@pytest.mark.parametrize("store", ["directory"], indirect=True)
class TestPostgres:
    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_a_tool_that_is_too_old(self, fleet: Fleet, store: Store, acme: TenantPlace) -> None:
        said = "echo 'pg_dump (PostgreSQL) 9.6.24'"
        old = self.with_tools(fleet, said, said)
        with pytest.raises(
            BackupRefused, match=r"the newest pg_dump in \S+ has version 9\.6\.24, and \d+ is needed; let"
        ):
            backup_tenant(fleet.under(old), acme, store)
        record = backup(fleet, acme, store)
        with pytest.raises(BackupRefused, match="has version 9"):
            rehearse(fleet, record, store, old)
        with pytest.raises(BackupRefused, match="and 99 is needed; let"):
            rehearse(fleet, record.model_copy(update={"tool": "99.1"}), store)
        nowhere = replace(fleet.settings, backups_postgres_bin=str(fleet.directory))
        with pytest.raises(BackupRefused, match="there is no pg_dump in"):
            backup_tenant(fleet.under(nowhere), acme, store)
        assert store.records(acme.id) == [record]

    @staticmethod
    def with_tools(fleet: Fleet, dump: str = 'exec {real} "$@"', restore: str = 'exec {real} "$@"') -> Settings:
        """Settings whose tools are these lines of a shell; ``{real}`` is the program that they stand for."""
        directory = fleet.directory / uuid7().hex
        directory.mkdir()
        for tool, line in (("pg_dump", dump), ("pg_restore", restore)):
            real = shutil.which(tool, path=fleet.settings.backups_postgres_bin)
            (directory / tool).write_text(f"#!/bin/sh\n{line.format(real=real)}\n")
            (directory / tool).chmod(0o755)
        return replace(fleet.settings, backups_postgres_bin=str(directory))

    @pytest.mark.parametrize(
        ("made", "what"),
        [
            ("x int GENERATED ALWAYS AS (g(id)) STORED", "generated column x of public.t"),
            ("CONSTRAINT c CHECK (g(id) > 0)", "constraint c of public.t"),
            ("x pos DEFAULT 1", "constraint positive of the type public.pos"),
            (
                "x int DEFAULT 1); CREATE INDEX i ON t ((g(x) + 1)) WHERE g(x) > 0; CREATE TABLE u (id int",
                "index public.i",
            ),
        ],
    )
    def test_what_needs_a_search_path_is_found_before_a_restore_fails(
        self, fleet: Fleet, store: Store, acme: TenantPlace, made: str, what: str
    ) -> None:
        connected = partial(migration_connection, fleet.servers["main"].tenant_url(acme.database), "acme")
        with connected() as connection, connection.begin():
            connection.exec_driver_sql(
                "CREATE FUNCTION h(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + 1';"
                "CREATE FUNCTION g(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN h(n); END';"
                "CREATE DOMAIN pos AS int CONSTRAINT positive CHECK (g(value) > 0);"
                f"CREATE TABLE t (id int, {made}); INSERT INTO t (id) VALUES (1)"
            )
        with pytest.raises(
            NotRestorable, match=rf"because the {what} needs a search path \(function h\(integer\) does"
        ):
            backup(fleet, acme, store)
        assert store.records(acme.id) == []
        with connected() as connection, connection.begin():
            connection.exec_driver_sql("ALTER FUNCTION g(int) SET search_path = public")
        rows = rehearse(fleet, backup(fleet, acme, store), store).rows
        assert rows is not None
        assert rows["t"] == 1

    def test_functions_of_a_tenant_are_called_as_the_tenant(
        self, fleet: Fleet, store: Store, acme: TenantPlace
    ) -> None:
        """Policies hide rows from the owner, so the server's own role dumps them: it computes nothing."""
        url = fleet.servers["main"].tenant_url(acme.database)
        with migration_connection(url, "acme") as connection, connection.begin():
            connection.exec_driver_sql(
                "CREATE FUNCTION mine(n int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN"
                "    IF (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN"
                "        RAISE undefined_function USING MESSAGE = 'called by a superuser'; END IF;"
                "    IF n > 9 THEN RAISE EXCEPTION 'never restored, for another reason'; END IF;"
                "    RETURN true; END $$;"
                "CREATE TABLE t (id int CHECK (mine(id))); INSERT INTO t VALUES (1);"
                "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;"
                "CREATE POLICY p ON t USING (id < 100)"
            )
        backup(fleet, acme, store)
        with migration_connection(url, "acme") as connection, connection.begin():
            connection.exec_driver_sql(
                "CREATE INDEX i ON t ((id + 1)) WHERE id > 0; ALTER TABLE t ADD CHECK (mine(id + 9)) NOT VALID"
            )
        backup(fleet, acme, store)

    def test_tools_that_the_server_does_not_take(self, fleet: Fleet, store: Store, acme: TenantPlace) -> None:
        newer = self.with_tools(fleet, restore="echo 'SET timeout_of_tomorrow = 0;'")
        before = fleet.made()
        refused = r'PostgreSQL [0-9.]+ does not take what pg_restore [0-9.]+ writes \(.*"timeout_of_tomorrow"\); let'
        with pytest.raises(BackupRefused, match=refused):
            backup_tenant(fleet.under(newer), acme, store)
        assert files(fleet) == []
        record = backup(fleet, acme, store)
        with pytest.raises(BackupRefused, match=refused):
            rehearse(fleet, record, store, newer)
        assert fleet.made() == before

    def test_a_dump_that_pg_restore_cannot_read_is_no_backup(
        self, fleet: Fleet, store: Store, acme: TenantPlace
    ) -> None:
        cut_off = self.with_tools(fleet, dump='{real} "$@" | head -c 5000')  # and its status is 0
        with pytest.raises(BackupFailed, match=r"^pg_restore failed on the dump .*: could not read from input file"):
            backup_tenant(fleet.under(cut_off), acme, store)
        assert files(fleet) == []

    def test_an_older_server(self, fleet: Fleet, store: Store, acme: TenantPlace) -> None:
        record = backup(fleet, acme, store).model_copy(update={"server": "99.1"})
        with pytest.raises(
            BackupRefused, match=r"it was made on PostgreSQL 99.1, and the server main has [0-9.]+, which"
        ):
            rehearse(fleet, record, store)

    def test_what_the_tool_says_is_passed_on(self, fleet: Fleet, store: Store, acme: TenantPlace) -> None:
        url = fleet.servers["main"].url.set(database=acme.database)
        fleet.ask("CREATE TABLE secret (id int)", url)
        with pytest.raises(BackupFailed, match=r"^pg_dump failed on the database of acme: .*secret"):
            backup(fleet, acme, store)
        assert files(fleet) == []

    def test_the_password_is_in_no_command_line(
        self, fleet: Fleet, store: Store, acme: TenantPlace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commands: list[Any] = []
        real = subprocess.Popen.__init__

        def noting(self: Any, command: Any, *rest: Any, **options: Any) -> None:
            commands.append(command)
            real(self, command, *rest, **options)

        monkeypatch.setattr(subprocess.Popen, "__init__", noting)
        backup(fleet, acme, store)
        password = str(fleet.servers["main"].tenant_url(acme.database).password)
        assert {Path(command[0]).name for command in commands} == {"pg_dump", "pg_restore"}
        assert password not in str(commands)

    def test_what_a_dump_writes_in_other_words_is_no_difference(
        self, fleet: Fleet, store: Store, acme: TenantPlace
    ) -> None:
        url = fleet.servers["main"].tenant_url(acme.database)
        tricky = "'x, y', 'it''s', '[b]', '(c)::text[]', ''"
        for statement in (
            f"CREATE TABLE odd (a varchar(9) CHECK (a IN ({tricky})), b char(3) CHECK (b NOT IN ('p', 'q')),"
            ' c int DEFAULT -1 CHECK (c BETWEEN -1 AND 5), d bigint CHECK (d IN (1, 2)), e text COLLATE "C")',
            f"CREATE INDEX odd_index ON odd ((a || 'z')) WHERE a NOT IN ({tricky}) AND lower(a) LIKE 'x%%'",
            f"CREATE VIEW odder AS SELECT o.*, CASE WHEN a IN ({tricky}) THEN 1 ELSE 2 END AS n FROM odd o",
        ):
            fleet.ask(statement, url)
        rehearse(fleet, backup(fleet, acme, store), store)

    def test_it_is_of_one_engine(self, fleet: Fleet, store: Store, acme: TenantPlace) -> None:
        record = backup(fleet, acme, store).model_copy(update={"engine": "sqlite"})
        with pytest.raises(BackupRefused, match="it comes from sqlite, and the server main is not sqlite"):
            rehearse(fleet, record, store)
