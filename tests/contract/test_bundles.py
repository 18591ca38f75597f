"""A tenant in a file: the same on both engines, all of it or nothing."""

import hashlib
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import URL

from tenantapp.databases.errors import DatabaseBusy, UnknownRevision
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.fleet.bundles import importing
from tenantapp.fleet.bundles.archive import LOOKED_AT, STRINGS, open_bundle
from tenantapp.fleet.bundles.exporting import check_bundle, export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.bundles.limits import ALWAYS_TAKEN, LONGEST_MANIFEST, USUAL, Limits, check_entries
from tenantapp.fleet.bundles.loading import load_bundle
from tenantapp.fleet.bundles.manifest import Manifest
from tenantapp.fleet.errors import BundleError, BundleNotWritten, BundleRefused, LoadFailed, NotPortable
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.reconcile import find
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.errors import FleetError
from tenantapp.settings import Settings
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import CORE_TABLES, TenantBase
from tests.contract.conftest import Fleet, everything_on, remove_all_but
from tests.contract.forks import Hanging, Program
from tests.contract.rows import connected, content, fill, findings, found_by_words
from tests.contract.samples import SAMPLES, samples
from tests.installation import SECRET

PAIRS = [("files", "server"), ("server", "files"), ("files", "files"), ("server", "server")]
VALUES: list[dict[str, Any]] = [
    {
        "id": 1,
        "words": 'a\tb\nc\\N \\. "q" ü 🎉 \r\n',
        "n": -(2**62),
        "f": 0.1 + 0.2,
        "d": Decimal("12345678.1250"),
        "b": True,
        "u": uuid7(),
        "raw": bytes(range(256)),
        "at": datetime(2024, 2, 29, 23, 59, 59, 123456),  # noqa: DTZ001
        "at_utc": datetime(1970, 1, 1, tzinfo=UTC),
        "day": date(1, 1, 1),
        "clock": time(0, 0, 1),
        "doc": {"a": [1, None, "\u2028"]},
        "odd name %": "%s",
        "other_id": 2,
    },
    {"id": 2, "odd name %": "", "words": "", "b": False, "n": 0, "f": 1e300, "d": Decimal("-0.0001"), "raw": b""},
    {"id": 3, "odd name %": "y", "other_id": 3, "words": "\\", "doc": "null"},
]


@pytest.fixture
def acme(fleet: Fleet) -> TenantPlace:
    place = fleet.initialised().create("acme")
    fill(fleet, place)
    return place


@pytest.fixture
def both(postgres_server: URL, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet with both engines: ``files`` is a directory, ``server`` a PostgreSQL server."""
    values = {
        "user_db.url": f"sqlite+pysqlite:///{tmp_path}/user.sqlite",
        "servers.files": f"sqlite+pysqlite:///{tmp_path}/tenants/",
        "servers.server": postgres_server.set(database="").render_as_string(hide_password=False),
        "tenancy.secret": SECRET,
    }
    before = everything_on(postgres_server)
    fleet = Fleet(values, postgres_server, tmp_path).initialised()
    yield fleet
    fleet.close()
    remove_all_but(before, postgres_server)


def export(fleet: Fleet, place: TenantPlace, file: Path, settings: Settings | None = None, **options: Any) -> Manifest:
    return export_bundle(fleet.under(settings or fleet.settings), place, file, **options)


def bring_in(fleet: Fleet, file: Path, slug: str, settings: Settings | None = None, **options: Any) -> TenantPlace:
    return import_tenant(fleet.under(settings or fleet.settings), file, slug, **options)


def tenants(fleet: Fleet) -> list[tuple[Any, ...]]:
    with fleet.user_db.begin(read_only=True) as session:
        rows = session.execute(select(Tenant.slug, Tenant.state, Tenant.revision).order_by(Tenant.slug))
        return [tuple(row) for row in rows]


def tables_of(manifest: Manifest) -> dict[str, tuple[int, str]]:
    return {table.name: (table.rows, table.sha256) for table in manifest.tables if table.name != "samples"}


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_from_engine_to_engine(both: Fleet, tmp_path: Path, source: str, target: str) -> None:
    """Every type, rows that refer to each other, what migrations put in, triggers, and columns that are computed."""
    settings = both.with_revision("tenant", SAMPLES)
    first = tmp_path / "first.bundle"
    place = both.create("acme") if source == "files" else create_on(both, "server", "acme")
    fill(both, place)
    upgrade_tenant_database(both.under(settings), place)
    with connected(both, place) as connection:
        connection.execute(samples.delete())
        connection.execute(samples.insert(), VALUES[1])
        for row in (VALUES[0], VALUES[2]):
            connection.execute(samples.insert(), row)
    manifest = export(both, place, first, settings)
    assert check_bundle(first) == manifest
    copy = bring_in(both, first, "copy", settings, server=target)
    assert (copy.server, copy.name) == (target, "acme")
    assert content(both, copy, samples) == content(both, place, samples)
    assert findings(both, copy, settings) == ()
    for query, numbers in (("NOD", (0, 1, 2)), ("lodz", (1, 2)), ("łódź 1", (1,)), ("odz", ())):
        titles = [f"Node {number}" for number in numbers]
        assert [found_by_words(both, each, query) for each in (place, copy)] == [titles, titles], query
    second = export(both, copy, tmp_path / "second.bundle", settings)
    assert tables_of(second) == tables_of(manifest)
    back = bring_in(both, tmp_path / "second.bundle", "back", settings, server=source)
    assert content(both, back, samples) == content(both, place, samples)


def create_on(fleet: Fleet, server: str, slug: str) -> TenantPlace:
    from tenantapp.fleet.creating.create import create_tenant

    return create_tenant(fleet.services, slug, server=server)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_number_is_not_given_twice(both: Fleet, tmp_path: Path, source: str, target: str) -> None:
    settings = both.with_revision("tenant", SAMPLES)
    place = create_on(both, source, "acme")
    upgrade_tenant_database(both.under(settings), place)
    insert = samples.insert().values({"odd name %": "x"})
    with connected(both, place) as connection:
        for _ in range(5):
            (last,) = connection.execute(insert).inserted_primary_key or (0,)
        connection.execute(samples.delete().where(samples.c.id > 2))
    export(both, place, tmp_path / "bundle", settings)
    copy = bring_in(both, tmp_path / "bundle", "copy", settings, server=target)
    with connected(both, copy) as connection:
        assert connection.execute(insert).inserted_primary_key == (last + 1,)


def test_an_older_tenant_is_brought_to_the_newest_revision(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    manifest = export(fleet, acme, tmp_path / "bundle")
    assert manifest.revision == head_revision(fleet.settings, "tenant")
    newer = fleet.with_revision("tenant", 'op.add_column("nodes", sa.Column("more", sa.Integer))')
    copy = bring_in(fleet, tmp_path / "bundle", "copy", newer)
    assert content(fleet, copy) == content(fleet, acme)
    assert ("copy", "active", "feedc0de0001") in tenants(fleet)
    # And the other way round: the file of a newer version of the program.
    export(fleet, copy, tmp_path / "newer", newer)
    before = fleet.made()
    with pytest.raises(UnknownRevision, match="no revision feedc0de0001"):
        bring_in(fleet, tmp_path / "newer", "third")
    assert fleet.made() == before


def test_the_same_content_is_the_same_file(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    first, second = (export(fleet, acme, tmp_path / name) for name in ("first", "second"))
    assert first.tables == second.tables
    assert first.tenant.slug == "acme"
    domain = {"attachments", "comments", "node_tags", "nodes", "nodes_words", "people", "tags"}
    assert {table.name for table in first.tables} == domain | {*CORE_TABLES} - {"tenant_identity"}


def test_it_is_the_data_of_one_moment(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    before = content(fleet, acme)

    def write(rows: int) -> None:
        with connected(fleet, acme) as connection:
            connection.execute(TenantBase.metadata.tables["tags"].insert(), {"id": uuid7(), "name": str(uuid7())})

    export(fleet, acme, tmp_path / "bundle", progress=write)
    assert content(fleet, acme) != before
    assert content(fleet, bring_in(fleet, tmp_path / "bundle", "copy")) == before


def test_nobody_elses_data_is_exported(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    globex = fleet.create("globex")
    mixed_up = TenantPlace(globex.id, "globex", "Globex", acme.server, acme.database)
    with pytest.raises(WrongTenantDatabase):
        export(fleet, mixed_up, tmp_path / "bundle")
    assert list(tmp_path.glob("*bundle*")) == []


def test_what_has_no_portable_form_is_named(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    kind = "POINT" if fleet.admin is None else "regclass"
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql(f"CREATE TABLE odd (id INTEGER PRIMARY KEY, place {kind})")
        if fleet.admin is None:
            connection.exec_driver_sql("INSERT INTO odd VALUES (1, x'00')")
    with pytest.raises(NotPortable, match="odd"):
        export(fleet, acme, tmp_path / "bundle")
    assert list(tmp_path.glob("*bundle*")) == []


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE tags ENABLE ROW LEVEL SECURITY", "the table tags: it has row level security"),
        ("ALTER TABLE tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "the table tags: it has row level"),
        ("SELECT lo_from_bytea(4711, 'large')", "the large object 4711: it is no part of a table"),
    ],
)
def test_what_a_bundle_does_not_carry_is_refused_by_name(
    fleet: Fleet, acme: TenantPlace, tmp_path: Path, statement: str, reason: str
) -> None:
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(NotPortable, match=f"Could not export {reason}.* a backup does"):
        export(fleet, acme, tmp_path / "bundle")
    assert list(tmp_path.glob("*bundle*")) == []


def test_a_target_that_a_bundle_is_not_enough_for_is_refused_by_name(both: Fleet, tmp_path: Path) -> None:
    secured = 'if op.get_bind().dialect.name == "postgresql": op.execute("ALTER TABLE tags ENABLE ROW LEVEL SECURITY")'
    settings = both.with_revision("tenant", secured)
    place = both.create("acme")
    upgrade_tenant_database(both.under(settings), place)
    export(both, place, tmp_path / "bundle", settings)
    before = both.made()
    with pytest.raises(LoadFailed, match="the table tags: it has row level security"):
        bring_in(both, tmp_path / "bundle", "copy", settings, server="server")
    assert both.made() == before


def test_a_file_that_is_there_is_not_overwritten(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    for file in (tmp_path / "bundle", tmp_path / "no" / "directory"):
        with pytest.raises(BundleNotWritten):
            export(fleet, acme, file)
    assert (tmp_path / "bundle").read_text() == "mine"


class TestRefused:
    """Whatever is wrong with the file: nothing is made, and nothing is changed."""

    @pytest.fixture
    def bundle(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> Path:
        export(fleet, acme, tmp_path / "bundle")
        return tmp_path / "bundle"

    @contextmanager
    def nothing_is_made(self, fleet: Fleet, error: type[FleetError], match: str = ".") -> Iterator[None]:
        before = fleet.made(), tenants(fleet)
        with pytest.raises(error, match=match):
            yield
        assert (fleet.made(), tenants(fleet)) == before

    def test_each_byte_counts(self, bundle: Path) -> None:
        whole = bundle.read_bytes()
        altered = bundle.with_name("altered")
        for position in range(len(whole)):
            altered.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            with pytest.raises(BundleRefused):
                check_bundle(altered)

    def test_a_file_that_was_cut_off(self, fleet: Fleet, bundle: Path) -> None:
        whole = bundle.read_bytes()
        for length in (0, 1, 70, 71, 100, len(whole) // 2, len(whole) - 72, len(whole) - 1):
            bundle.write_bytes(whole[:length])
            with self.nothing_is_made(fleet, BundleRefused, "is refused: it "):
                bring_in(fleet, bundle, "copy")
        bundle.write_bytes(whole + b" ")
        with self.nothing_is_made(fleet, BundleRefused):
            bring_in(fleet, bundle, "copy")

    @pytest.mark.parametrize(
        ("change", "error", "match"),
        [
            ({"version": 5}, BundleRefused, "version 5, and this program reads versions up to 4"),
            ({"format": "another"}, BundleRefused, "not a bundle of tenantapp"),
            ({"domain": "bookshop"}, BundleRefused, "of the domain bookshop"),
            ({"revision": "abc"}, UnknownRevision, "no revision abc"),
            ({"revision": None}, BundleRefused, "manifest is wrong"),
            ({"more": 1}, BundleRefused, "manifest is wrong"),
            ({"tables": []}, BundleRefused, "its table attachments is not that of revision"),
        ],
    )
    def test_a_manifest_that_says_something_else(
        self, fleet: Fleet, bundle: Path, change: dict[str, Any], error: type[FleetError], match: str
    ) -> None:
        forge(bundle, lambda manifest, files: manifest.update(change))
        with self.nothing_is_made(fleet, error, match):
            bring_in(fleet, bundle, "copy")

    def test_rows_that_the_manifest_does_not_count(self, fleet: Fleet, bundle: Path) -> None:
        forge(bundle, lambda manifest, files: files.update({"tables/tags.jsonl": b""}))
        with self.nothing_is_made(fleet, BundleRefused, "the rows of tags do not match the manifest"):
            bring_in(fleet, bundle, "copy")

    @pytest.mark.parametrize(
        ("table", "rows", "error"),
        [
            ("tags", [["not a uuid", "a"]], LoadFailed),
            ("tags", [[None, "a"]], LoadFailed),
            ("tags", [[str(uuid7())]], BundleRefused),
            ("tags", {"id": 1}, BundleRefused),
            ("tags", [[str(uuid7()), 1]], LoadFailed),
            ("tags", [[str(uuid7()), "same"], [str(uuid7()), "same"]], LoadFailed),
            ("people", [], LoadFailed),
        ],
        ids=["not a uuid", "null", "too few", "no list", "no text", "twice", "referred to"],
    )
    def test_rows_that_do_not_belong(
        self, fleet: Fleet, bundle: Path, table: str, rows: list[Any], error: type[BundleError]
    ) -> None:
        def replace(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
            lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            files[f"tables/{table}.jsonl"] = lines
            (entry,) = (entry for entry in manifest["tables"] if entry["name"] == table)
            entry.update(rows=len(rows), sha256=hashlib.sha256(lines).hexdigest())

        forge(bundle, replace)
        check_bundle(bundle)
        with self.nothing_is_made(fleet, error):
            bring_in(fleet, bundle, "copy")

    def test_a_database_in_use_is_not_loaded_into(self, fleet: Fleet, acme: TenantPlace, bundle: Path) -> None:
        before = content(fleet, acme)
        with pytest.raises(LoadFailed, match="belongs to a tenant already"):
            load_bundle(fleet.services, acme, bundle)
        assert content(fleet, acme) == before

    def test_what_fails_after_the_load(self, fleet: Fleet, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(url: URL, *arguments: Any) -> None:
            assert fleet.ask("SELECT count(*) FROM nodes", url) != [(0,)]
            raise KeyboardInterrupt

        monkeypatch.setattr(importing, "write_identity", interrupt)
        before = fleet.made(), tenants(fleet)
        with pytest.raises(KeyboardInterrupt):
            bring_in(fleet, bundle, "copy")
        assert (fleet.made(), tenants(fleet)) == before

    def test_a_row_that_is_longer_than_memory_is_for(self, fleet: Fleet, bundle: Path) -> None:
        """It is refused before it is read, and an export does not write one either."""
        fleet.change_settings(bundles_max_row="65536")
        fit, long = ([str(uuid7()), "x" * length] for length in (65000, 2**24))
        forge(bundle, rows_of_tags(fit, long), zipfile.ZIP_DEFLATED)
        tracemalloc.start()
        with self.nothing_is_made(fleet, BundleRefused, "in the table tags, a row has .* the setting bundles.max_row"):
            bring_in(fleet, bundle, "copy")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000

    def test_an_export_writes_no_row_that_an_import_refuses(
        self, fleet: Fleet, acme: TenantPlace, tmp_path: Path
    ) -> None:
        fleet.change_settings(bundles_max_row="65536")
        nodes = TenantBase.metadata.tables["nodes"]
        with connected(fleet, acme) as connection:
            connection.execute(nodes.update().values(body="x" * 66_000))
        with pytest.raises(NotPortable, match=r"the table nodes: a row has .* the setting bundles\.max_row"):
            export(fleet, acme, tmp_path / "long")
        assert list(tmp_path.glob("*long*")) == []

    def test_a_small_file_with_large_content(self, fleet: Fleet, bundle: Path) -> None:
        """Also if each row is short. Whoever trusts it may load it."""
        forge(bundle, rows_of_tags(*([str(uuid7()), "x"] for _ in range(300))), zipfile.ZIP_DEFLATED)
        check_bundle(bundle, Limits(expansion=1))
        with zipfile.ZipFile(bundle) as archive:
            bombed = archive.getinfo("tables/tags.jsonl")
        bombed.file_size = ALWAYS_TAKEN
        size = bundle.stat().st_size
        check_entries(bundle, size, [bombed], Limits(expansion=1))
        bombed.file_size += 1
        with pytest.raises(BundleRefused, match=f"{ALWAYS_TAKEN // size} times as large as the file; .*max_expansion"):
            check_entries(bundle, size, [bombed], Limits(expansion=1))
        check_entries(bundle, size, [bombed], Limits(expansion=None))

    def test_more_rows_than_the_manifest_counts_are_not_read(self, fleet: Fleet, bundle: Path) -> None:
        def add(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
            files["tables/tags.jsonl"] += b'["", ""]\n' * 1000

        forge(bundle, add)
        with open_bundle(bundle, USUAL) as opened:
            (tags,) = (table for table in opened.manifest.tables if table.name == "tags")
            with pytest.raises(BundleRefused, match="the rows of tags do not match"):
                assert len([*opened.lines(tags)]) <= tags.rows

    @pytest.mark.parametrize("row", ["[" * 1000 + "]" * 1000, '["a", "b", "c"]', '[{"a": "b"}, 1]'])
    def test_a_long_row_of_small_values_is_not_made_into_objects(self, bundle: Path, row: str) -> None:
        """They would take forty times the memory."""
        lines = (row[:-1] + " " * LOOKED_AT + row[-1:] + "\n").encode()

        def change(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
            rows_of_tags()(manifest, files)
            files["tables/tags.jsonl"] = lines

        forge(bundle, change)
        with open_bundle(bundle, USUAL) as opened:
            (tags,) = (table for table in opened.manifest.tables if table.name == "tags")
            with pytest.raises(BundleRefused, match="a row of tags does not have the table's columns"):
                list(opened.rows(tags.model_copy(update={"rows": 1})))

    @pytest.mark.parametrize("what", ["compressed by LZMA", "a long manifest", "many values"])
    def test_ways_to_take_much_with_a_small_file(self, bundle: Path, what: str) -> None:
        def change(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
            if what == "a long manifest":
                manifest["tenant"]["name"] = "x" * LONGEST_MANIFEST
            elif what == "many values":
                manifest["tables"] += [[]] * 200_000

        lzma = what == "compressed by LZMA"
        forge(bundle, change, zipfile.ZIP_LZMA if lzma else zipfile.ZIP_DEFLATED)
        reason = {
            "compressed by LZMA": "compressed in another way than by deflate",
            "a long manifest": "manifest is longer than 16 MiB",
            "many values": "manifest has more values than a manifest needs",
        }[what]
        with pytest.raises(BundleRefused, match=reason):
            check_bundle(bundle)

    def test_a_string_without_an_end_is_read_once(self) -> None:
        """From each quote in it, it would be read to the end again: for hours."""
        for given in (b'"' + b'\\"' * 4_000_000, b'"' + b"\\\\" * 4_000_000 + b"\\"):
            assert STRINGS.sub(b"", given) == b""
        assert STRINGS.sub(b"", b'["a\\"b", 1, "c\\\\"]') == b"[, 1, ]"

    @pytest.mark.parametrize("what", ["part", "table", "column", "entry"])
    def test_what_is_named_twice(self, bundle: Path, what: str) -> None:
        def change(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
            (tags,) = (entry for entry in manifest["tables"] if entry["name"] == "tags")
            if what == "part":
                given = {"file": tags["file"], "size": 1, "sha256": "0" * 64}
                manifest |= {"version": 2, "files": [{"id": str(uuid7()), **given}]}
            elif what == "table":
                manifest["tables"].append(tags | {"file": "tables/others.jsonl"})
            elif what == "column":
                tags["columns"].append(tags["columns"][0])

        forge(bundle, change, twice=["tables/tags.jsonl"] if what == "entry" else [])
        reason = {
            "part": "its manifest names the part tables/tags.jsonl twice",
            "table": "its manifest names the table tags twice",
            "column": "its manifest names the column id of tags twice",
            "entry": "the part tables/tags.jsonl is in the archive twice",
        }[what]
        with pytest.raises(BundleRefused, match=reason):
            check_bundle(bundle)


def rows_of_tags(*rows: list[str]) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """A change of a bundle: it has these rows in the table of the tags."""

    def change(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        files["tables/tags.jsonl"] = lines
        (entry,) = (entry for entry in manifest["tables"] if entry["name"] == "tags")
        entry.update(rows=len(rows), sha256=hashlib.sha256(lines).hexdigest())

    return change


def forge(
    bundle: Path,
    change: Callable[[dict[str, Any], dict[str, bytes]], Any],
    compression: int = zipfile.ZIP_STORED,
    twice: Sequence[str] = (),
) -> None:
    """Change what is in a bundle, and seal it again. Some parts are in it ``twice``."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    change(manifest, files)
    with zipfile.ZipFile(bundle, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name in twice:
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(name, b"")
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.comment = b"sha256:" + b"0" * 64
    body = bundle.read_bytes()[:-64]
    bundle.write_bytes(body + hashlib.sha256(body[: -len("sha256:")]).hexdigest().encode())


def test_a_migration_waits_for_an_export(fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
    """On SQLite it need not: the export goes on reading what was there."""
    settings = replace(fleet.with_revision("tenant", 'op.drop_table("node_tags")'), migrations_wait=0.2)
    refused = []

    def migrate(rows: int) -> None:
        try:
            upgrade_tenant_database(fleet.under(settings), acme)
        except DatabaseBusy as error:
            refused.append(error)

    before = content(fleet, acme)
    export(fleet, acme, tmp_path / "bundle", progress=migrate)
    assert bool(refused) == (fleet.admin is not None)
    assert content(fleet, bring_in(fleet, tmp_path / "bundle", "copy")) == before


def test_memory_is_bounded(fleet: Fleet, tmp_path: Path) -> None:
    place = fleet.initialised().create("acme")
    fill(fleet, place, nodes=1)
    tags = TenantBase.metadata.tables["tags"]
    with connected(fleet, place) as connection:
        connection.execute(tags.insert(), [{"id": uuid7(), "name": f"{n:050}"} for n in range(30_000)])
    tracemalloc.start()
    manifest = export(fleet, place, tmp_path / "bundle")
    copy = bring_in(fleet, tmp_path / "bundle", "copy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert manifest.rows == 30_010
    assert peak < 6_000_000  # the rows as Python objects are more than three times as much
    with connected(fleet, copy) as connection:
        assert connection.scalar(text("SELECT count(*) FROM tags")) == 30_001


class TestProcesses:
    """A full disk, and kill -9."""

    def arguments(self, fleet: Fleet, what: str, place: TenantPlace, file: Path) -> list[str]:
        described = json.dumps([str(place.id), place.slug, place.name, place.server, place.database])
        return ["tests.contract.bundling", json.dumps(fleet.values), what, described, str(file)]

    def test_a_full_disk_while_exporting(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
        with connected(fleet, acme) as connection:
            rows = [{"id": uuid7(), "name": f"{uuid7()}"} for _ in range(5000)]
            connection.execute(TenantBase.metadata.tables["tags"].insert(), rows)
        ended = Program(*self.arguments(fleet, "export", acme, tmp_path / "bundle"), "100000").end()
        assert "Could not write the bundle" in ended.stdout
        assert ended.returncode == 0
        assert list(tmp_path.glob("*bundle*")) == list(tmp_path.glob(".*bundle*")) == []

    def test_killed_while_exporting(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
        Hanging(*self.arguments(fleet, "export", acme, tmp_path / "bundle")).kill()
        assert not (tmp_path / "bundle").exists()
        assert len(list(tmp_path.glob(".bundle.*.part"))) == 1
        export(fleet, acme, tmp_path / "bundle")
        check_bundle(tmp_path / "bundle")

    def test_killed_while_importing(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
        """What is left is a tenant that is not served, and that the next worker removes, but nobody before."""
        export(fleet, acme, tmp_path / "bundle")
        before = fleet.made()
        Hanging(*self.arguments(fleet, "import", acme, tmp_path / "bundle")).kill()
        assert [row[:2] for row in tenants(fleet)] == [("acme", "active"), ("copy", "creating")]
        with fleet.user_db.begin(read_only=True) as session:
            unfinished = place_of(get_tenant(session, "copy"))
        assert all(rows == [] for rows in content(fleet, unfinished).values())
        assert find(fleet.services, KINDS) == []
        fleet.settle()
        assert [row[:2] for row in tenants(fleet)] == [("acme", "active")]
        assert {thing for thing in fleet.made() if not thing.endswith(("-wal", "-shm"))} <= before
        assert content(fleet, bring_in(fleet, tmp_path / "bundle", "copy")) == content(fleet, acme)


class TestSqlite:
    @pytest.fixture(params=["sqlite"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_a_full_disk_while_importing(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
        with connected(fleet, acme) as connection:
            rows = [{"id": uuid7(), "name": f"{uuid7()}"} for _ in range(20_000)]
            connection.execute(TenantBase.metadata.tables["tags"].insert(), rows)
        export(fleet, acme, tmp_path / "bundle")
        before = tenants(fleet)
        arguments = TestProcesses().arguments(fleet, "import", acme, tmp_path / "bundle")
        assert "could not be loaded into the database of copy" in Program(*arguments, "1500000").end().stdout
        assert tenants(fleet) == before

    def test_an_infinite_decimal_is_named(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql("CREATE TABLE sums (id INTEGER PRIMARY KEY, total NUMERIC)")
            connection.exec_driver_sql("INSERT INTO sums VALUES (1, 9e999)")
        with pytest.raises(NotPortable, match="a row of sums: a decimal that is infinite"):
            export(fleet, acme, tmp_path / "bundle")

    def test_a_column_of_any_type_is_named(self, fleet: Fleet, acme: TenantPlace, tmp_path: Path) -> None:
        """It keeps 1 apart from '1', and a bundle has one type for each column."""
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql("CREATE TABLE loose (id INTEGER PRIMARY KEY, value ANY) STRICT")
            connection.exec_driver_sql("INSERT INTO loose (value) VALUES (1), ('1')")
        with pytest.raises(NotPortable, match=r"the column loose\.value: its type has no portable form"):
            export(fleet, acme, tmp_path / "bundle")

    @pytest.mark.parametrize("value", ["x'00'", "'not a time'", "7"])
    def test_a_value_of_another_type_is_named(
        self, fleet: Fleet, acme: TenantPlace, tmp_path: Path, value: str
    ) -> None:
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql(f"UPDATE nodes SET created_at = {value}")
        with pytest.raises(NotPortable, match="a row of nodes"):
            export(fleet, acme, tmp_path / "bundle")


class TestPostgres:
    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_tables_with_the_same_name_in_a_bundle_are_refused(
        self, fleet: Fleet, acme: TenantPlace, tmp_path: Path
    ) -> None:
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql(
                'CREATE SCHEMA a; CREATE TABLE a.b (id INTEGER); CREATE TABLE "a.b" (id INTEGER)'
            )
        with pytest.raises(NotPortable, match="two tables"):
            export(fleet, acme, tmp_path / "bundle")


def test_sqlite_does_not_take_a_number_that_it_cannot_keep(both: Fleet, tmp_path: Path) -> None:
    columns = 'sa.Column("sum", sa.Numeric(38, 20)), sa.Column("share", sa.Double), sa.Column("day", sa.Date)'
    settings = both.with_revision("tenant", f'op.create_table("sums", {columns})')
    place = create_on(both, "server", "acme")
    upgrade_tenant_database(both.under(settings), place)
    values = {
        "1.00000000000000000001, 1": "SQLite cannot keep the decimal",
        "'NaN', 1": "SQLite cannot keep the decimal",
        "1, 'NaN'": "SQLite cannot keep the number NaN",
        "1, '-0'": "SQLite cannot keep the number -0.0",
        "1, 1, 'infinity'": "infinity",
        "1, 1, '0044-03-15 BC'": "0044-03-15 BC",
    }
    for number, (value, words) in enumerate(values.items()):
        with connected(both, place) as connection:
            connection.exec_driver_sql(f"DELETE FROM sums; INSERT INTO sums VALUES ({value})")
        export(both, place, tmp_path / f"bundle{number}", settings)
        with pytest.raises(LoadFailed, match=words):
            bring_in(both, tmp_path / f"bundle{number}", "copy", settings, server="files")
