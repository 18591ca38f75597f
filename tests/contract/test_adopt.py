"""A database that is there already becomes a tenant: copied, never touched, and only if it has the right structure."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from tenantapp.databases.errors import DatabaseUnreachable, ReadingFailed, UnknownRevision
from tenantapp.databases.histories.histories import head_revision
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.reconcile import find
from tenantapp.identity.errors import AlreadyExists, InvalidValue, NotFound
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.errors import FleetError
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.errors import ServerError
from tenantapp.tenancy.models import TenantIdentity
from tests.contract.conftest import Fleet
from tests.contract.copies import create_on, four_servers, made, place, state, work
from tests.contract.foreign import Foreign
from tests.contract.rows import content, findings

SERVERS = ("files", "server")
OURS = ("alembic_version", "tenant_identity")


@pytest.fixture
def fleet(postgres_server: URL, logical_server: URL, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers of each engine."""
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        yield fleet


@pytest.fixture(params=SERVERS)
def foreign(request: pytest.FixtureRequest, fleet: Fleet) -> Foreign:
    """One on each engine."""
    return Foreign(fleet, request.param)


def adopt(fleet: Fleet, foreign: Foreign, slug: str = "acme", **options: Any) -> dict[str, Any]:
    return work(fleet, "adopt", slug, foreign.name, **{"server": foreign.server, **options})


@contextmanager
def nothing_is_made(fleet: Fleet, error: type[Exception], match: str) -> Iterator[None]:
    before = made(fleet)
    with pytest.raises(error, match=match):
        yield
    assert made(fleet) == before
    with pytest.raises(NotFound):
        place(fleet, "acme")


A_FILE = (
    "INSERT INTO tenant_files (id, name, media_type, size, sha256, created_at, created_by_id, created_by_name) VALUES "
    f"('{'0' * 31}1', 'x', 'text/plain', 1, '{'0' * 64}', '2026-01-01 00:00:00', '{'0' * 31}2', 'Ada')"
)


@pytest.mark.parametrize("lacking", [(), ("alembic_version",), ("tenant_identity",), OURS], ids="-".join)
def test_it_becomes_a_tenant(fleet: Fleet, foreign: Foreign, lacking: tuple[str, ...]) -> None:
    foreign.do(*(f"DROP TABLE {table}" for table in lacking))
    foreign.do(*([] if lacking else [A_FILE]))
    if foreign.server == "server" and not lacking:  # what the copy does not get
        foreign.do("GRANT SELECT ON nodes TO PUBLIC", f"ALTER DATABASE {foreign.name} SET timezone = 'CET'")
    before = foreign.everything()
    result = adopt(fleet, foreign, name="Bought in")
    acme = place(fleet, "acme")
    assert (acme.name, acme.server, state(fleet, "acme")) == ("Bought in", foreign.server, "active")
    assert acme.database == f"tenant_{acme.id.hex}"
    assert content(fleet, acme) == foreign.content()
    assert findings(fleet, acme, fleet.settings) == ()
    assert result["method"] == ("copy" if foreign.server == "files" else "dump")
    assert result.get("files_missing") == (None if lacking else 1)
    assert foreign.everything() == before
    assert [found for found in find(fleet.services, KINDS) if found.note is None] == []


def test_without_tools(postgres_server: URL, logical_server: URL, tmp_path: Path) -> None:
    with four_servers(postgres_server, logical_server, tmp_path, tools=False) as fleet:
        foreign = Foreign(fleet, "server")
        foreign.do(*(f"DROP TABLE {table}" for table in OURS))
        assert adopt(fleet, foreign)["method"] == "bundle"
        assert content(fleet, place(fleet, "acme")) == foreign.content()
        assert findings(fleet, place(fleet, "acme"), fleet.settings) == ()


def test_an_older_one_is_brought_to_the_newest_revision(fleet: Fleet, foreign: Foreign) -> None:
    foreign.do("DROP TABLE alembic_version")
    older = head_revision(fleet.settings, "tenant")
    settings = fleet.with_revision("tenant", 'op.add_column("nodes", sa.Column("more", sa.Integer))')
    fleet.services = replace(fleet.services, settings=settings)
    with nothing_is_made(fleet, CopyRefused, "structure of revision feedc0de0001: table nodes: column more is missing"):
        adopt(fleet, foreign)
    adopt(fleet, foreign, revision=older)
    acme = place(fleet, "acme")
    assert findings(fleet, acme, settings) == ()
    assert content(fleet, acme) == foreign.content()
    with fleet.user_db.begin(read_only=True) as session:
        assert get_tenant(session, "acme").revision == "feedc0de0001"


def test_another_structure_is_refused(fleet: Fleet, foreign: Foreign) -> None:
    foreign.do(
        "ALTER TABLE nodes ADD COLUMN more INTEGER",
        "DROP TABLE node_tags",
        "CREATE TABLE zebras (id INTEGER PRIMARY KEY)",
    )
    before = foreign.everything()
    with nothing_is_made(
        fleet,
        CopyRefused,
        "lacks the structure of revision .*: table node_tags is missing; table nodes: column more should not be "
        "there; table zebras should not be there",
    ):
        adopt(fleet, foreign)
    assert foreign.everything() == before


def test_what_it_says_of_its_revision_counts(fleet: Fleet, foreign: Foreign) -> None:
    head = head_revision(fleet.settings, "tenant")
    with nothing_is_made(fleet, CopyRefused, f"records revision {head}, not feedc0de0001"):
        adopt(fleet, foreign, revision="feedc0de0001")
    foreign.do("UPDATE alembic_version SET version_num = 'feedc0de0009'")
    with nothing_is_made(fleet, UnknownRevision, "no revision feedc0de0009"):
        adopt(fleet, foreign)
    foreign.do("DROP TABLE alembic_version")
    with nothing_is_made(fleet, UnknownRevision, "no revision head"):
        adopt(fleet, foreign, revision="head")


@pytest.mark.parametrize("server", SERVERS)
def test_a_tenants_database_is_not_adopted(fleet: Fleet, server: str) -> None:
    globex = create_on(fleet, server, "globex")
    path = str(fleet.directory / "files" / f"{globex.database}.sqlite")
    name = path if server == "files" else globex.database
    with nothing_is_made(fleet, CopyRefused, "is that of the tenant globex"):
        work(fleet, "adopt", "acme", name, server=server)
    # Nor a copy that somebody has made of it.
    foreign = Foreign(fleet, server)
    with foreign.connected() as connection:
        connection.execute(TenantIdentity.__table__.insert(), {"tenant_id": globex.id})
    with nothing_is_made(fleet, CopyRefused, "is that of the tenant globex"):
        adopt(fleet, foreign)
    # The identity of a tenant that nobody knows is no obstacle.
    with foreign.connected() as connection:
        connection.execute(TenantIdentity.__table__.update(), {"tenant_id": uuid7()})
    adopt(fleet, foreign)
    assert content(fleet, place(fleet, "acme")) == foreign.content()


def test_names_that_are_none(fleet: Fleet, foreign: Foreign) -> None:
    for slug in ("x'; DROP TABLE tenants; --", "../../etc/passwd", "x" * 300, "", "Acme"):
        with nothing_is_made(fleet, InvalidValue, "A slug is 1 to 63"):
            adopt(fleet, foreign, slug)
    for database in ("", "a\nb", "a\0b"):
        with nothing_is_made(fleet, CopyRefused, "Name the database|cannot have that name"):
            work(fleet, "adopt", "acme", database, server=foreign.server)
    with nothing_is_made(fleet, ServerError, "There is no server nowhere"):
        adopt(fleet, foreign, server="nowhere")
    create_on(fleet, "shelf", "globex")
    with nothing_is_made(fleet, AlreadyExists, "globex"):
        adopt(fleet, foreign, "globex")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("database", ["nowhere", "/nowhere/to be found", "x'; DROP DATABASE postgres; --", "a?host=b"])
def test_one_that_is_not_there(fleet: Fleet, server: str, database: str) -> None:
    with nothing_is_made(fleet, DatabaseUnreachable, "^Could not connect to the database "):
        work(fleet, "adopt", "acme", database, server=server)
    assert not Path(database).exists()


def test_a_file_that_is_none(fleet: Fleet) -> None:
    nonsense = fleet.directory / "nonsense"
    nonsense.write_bytes(b"nonsense" * 1000)
    for path, said in ((nonsense, "the database"), (fleet.directory, "is not a regular file")):
        with nothing_is_made(fleet, FleetError, said):
            work(fleet, "adopt", "acme", str(path), server="files")
    damaged = Foreign(fleet, "files")
    with closing(sqlite3.connect(damaged.path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with damaged.path.open("r+b") as file:
        file.seek(-4096, 2)
        file.write(b"\xff" * 4096)
    with nothing_is_made(fleet, (CopyFailed, ReadingFailed), "."):  # type: ignore[arg-type]
        adopt(fleet, damaged)
