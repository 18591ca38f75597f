"""A tenant made of another one's data: the same on both engines and between them, all of it or nothing."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import maintenance_connection, reading_connection
from tenantapp.databases.errors import ReadingFailed
from tenantapp.databases.servers.postgres_databases import PostgresDatabases
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.sqlite_pages import copy_pages
from tenantapp.fleet.closing.fence import fenced_for_a_copy, lower_fence, raise_fence
from tenantapp.fleet.copying import clone, copies, move
from tenantapp.fleet.copying.cloned_files import clone_files
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.kind import request_migration
from tenantapp.fleet.reconciling.reconcile import find
from tenantapp.fleet.removing.deletion import delete_later
from tenantapp.identity.errors import AlreadyExists, InvalidValue, NotFound
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.errors import FleetError
from tenantapp.operations.models import OperationState
from tenantapp.operations.queue import list_operations
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import ServerError, WrongTenantDatabase
from tenantapp.tenancy.models import TenantBase, TenantFile, TenantIdentity
from tenantapp.workspace.models import Attachment, Author, Comment, Node
from tests.contract import decoys
from tests.contract.conftest import Fleet
from tests.contract.copies import IDS, PAIRS, create_on, four_servers, made, place, state, work
from tests.contract.kept import WEEK
from tests.contract.rows import connected, content, fill, findings

BRANCH = {"expires_in": WEEK}


@pytest.fixture
def fleet(postgres_server: URL, logical_server: URL, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers of each engine."""
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        yield fleet


def acme_on(fleet: Fleet, server: str) -> Any:
    acme = create_on(fleet, server, "acme")
    fill(fleet, acme)
    return acme


def add_tag(fleet: Fleet, where: Any) -> None:
    with connected(fleet, where) as connection:
        connection.execute(TenantBase.metadata.tables["tags"].insert(), {"id": uuid7(), "name": str(uuid7())})


@pytest.mark.parametrize("tools", [True, False], ids=["tools", "no-tools"])
@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_from_server_to_server(
    postgres_server: URL, logical_server: URL, tmp_path: Path, source: str, target: str, tools: bool
) -> None:
    with four_servers(postgres_server, logical_server, tmp_path, tools=tools) as fleet:
        acme = acme_on(fleet, source)
        result = work(fleet, "clone", "acme", "copy", server=target)
        copy = place(fleet, "copy")
        same = "copy" if source == "files" else "dump" if tools else "bundle"
        assert result["method"] == (same if {source, target} in ({"files", "shelf"}, {"server", "other"}) else "bundle")
        assert (copy.server, copy.name, state(fleet, "copy")) == (target, "copy", "active")
        assert content(fleet, copy) == content(fleet, acme)
        assert findings(fleet, copy, fleet.settings) == findings(fleet, acme, fleet.settings) == ()
        add_tag(fleet, copy)
        assert content(fleet, copy) != content(fleet, acme)
        assert [found for found in find(fleet.services, KINDS) if found.note is None] == []


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_it_is_the_data_of_one_moment(fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenant is used meanwhile, and what was written after the copying had begun is not in the copy."""
    acme = acme_on(fleet, source)
    before = content(fleet, acme)
    monkeypatch.setattr("tenantapp.fleet.copying.copies.copy_pages", partial(copy_pages, pages=1))
    real = copies.copy_database

    def writing(*arguments: Any, **options: Any) -> Any:
        *rest, progress = arguments

        def told(fraction: float, text: str) -> None:
            add_tag(fleet, acme)
            progress(fraction, text)

        return real(*rest, told, **options)

    monkeypatch.setattr("tenantapp.fleet.copying.clone.copy_database", writing)
    work(fleet, "clone", "acme", "copy", server=target)
    assert content(fleet, acme) != before
    assert content(fleet, place(fleet, "copy")) == before


def attach_a_file(fleet: Fleet, acme: TenantPlace) -> None:
    """Attach a file whose content is nowhere to a node."""
    now = {"created_at": utcnow()}
    with connected(fleet, acme) as connection:
        node, owner = connection.execute(select(Node.id, Node.owner_id).limit(1)).one()
        file: Any = {"id": uuid7(), "name": "x", "media_type": "text/plain", "size": 1, "sha256": "0" * 64}
        connection.execute(insert(TenantFile), file | now | {"created_by_id": owner, "created_by_name": "Ada"})
        attachment = {"id": uuid7(), "node_id": node, "file_id": file["id"], "owner_id": owner}
        connection.execute(insert(Attachment), attachment | now)


@pytest.mark.parametrize("server", ["files", "server"])
def test_without_people(fleet: Fleet, server: str) -> None:
    acme = acme_on(fleet, server)
    attach_a_file(fleet, acme)
    work(fleet, "clone", "acme", "copy", name="A trial", without_people=True)
    copy = place(fleet, "copy")
    assert (copy.name, copy.server) == ("A trial", server)
    ((person, name),) = content(fleet, copy)["people"]
    assert name == "Nobody"
    assert person not in {row[0] for row in content(fleet, acme)["people"]}
    with connected(fleet, copy) as connection:
        assert set(connection.scalars(select(Node.owner_id))) == {person}
        assert set(connection.scalars(select(Comment.owner_id))) == {person}
    for table in ("tags", "node_tags"):
        assert content(fleet, copy)[table] == content(fleet, acme)[table]
    for table in ("tenant_changes", "tenant_idempotency_keys", "tenant_jobs", "attachments", "tenant_files"):
        assert (content(fleet, copy)[table], content(fleet, acme)[table] != []) == ([], True)
    ((_, position, removed),) = content(fleet, copy)["tenant_change_counter"]
    assert position == removed  # who had read less is told that changes are gone
    assert findings(fleet, copy, fleet.settings) == ()
    if server == "files":
        pages = fleet.servers["files"].path(copy.database)  # type: ignore[attr-defined]
        with connected(fleet, acme) as connection:
            ids = [author.bytes for author in connection.scalars(select(Author.id))]
            ids += [author.hex().encode() for author in ids]
        assert not [found for found in ids if found in pages.read_bytes()]


def test_without_people_is_refused_where_the_domain_does_not_say_what_is_private(fleet: Fleet) -> None:
    acme_on(fleet, "files")
    before = made(fleet)
    services = replace(fleet.services, settings=replace(fleet.settings, tenantapp_domain="tenantapp.ops"))
    fleet.services = services
    with pytest.raises(CopyRefused, match=r"there is no remove_private_data in tenantapp\.ops\.private_data"):
        work(fleet, "clone", "acme", "copy", without_people=True)
    fleet.services = replace(services, settings=fleet.with_revision("tenant", "pass"))
    with pytest.raises(CopyRefused, match="only from feedc0de0001; run `tenantapp migrate --only acme` first"):
        work(fleet, "clone", "acme", "copy", without_people=True)
    assert made(fleet) == before


def test_what_is_refused(fleet: Fleet) -> None:
    acme_on(fleet, "files")
    before = made(fleet)
    refused: list[tuple[type[Exception], tuple[str, str], dict[str, Any]]] = [
        (NotFound, ("nobody", "copy"), {}),
        (AlreadyExists, ("acme", "acme"), {}),
        (InvalidValue, ("acme", "copy; DROP TABLE tenants"), {}),
        (InvalidValue, ("acme", "../copy"), {}),
        (InvalidValue, ("acme", "x" * 300), {}),
        (InvalidValue, ("acme", "copy"), {"name": "a\nb"}),
        (ServerError, ("acme", "copy"), {"server": "nowhere"}),
    ]
    for error, arguments, options in refused:
        with pytest.raises(error):
            work(fleet, "clone", *arguments, **options)
    with fleet.user_db.begin() as session:
        request_create(session, fleet.services, "initech", requested_by="local:tests")
    with pytest.raises(CopyRefused, match="initech is creating"):
        work(fleet, "clone", "initech", "copy")
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", WEEK)
    with pytest.raises(CopyRefused, match="acme is deleted"):
        work(fleet, "clone", "acme", "copy")
    assert made(fleet) == before


@pytest.mark.parametrize("server", ["files", "server"])
def test_one_that_is_not_what_it_says_is_not_cloned(fleet: Fleet, server: str) -> None:
    acme = acme_on(fleet, server)
    before = made(fleet)
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql("ALTER TABLE tags ADD COLUMN more INTEGER")
    with pytest.raises(
        CopyFailed,
        match=r"the structure differs from the expected one: table tags: column more should not be there; --accept-dri",
    ):
        work(fleet, "clone", "acme", "copy")
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql("ALTER TABLE tags DROP COLUMN more")
        connection.execute(TenantIdentity.__table__.delete())
    with pytest.raises(WrongTenantDatabase):
        work(fleet, "clone", "acme", "copy")
    assert made(fleet) == before
    with fleet.user_db.begin(read_only=True) as session:
        assert {operation.state for operation in list_operations(session) if operation.kind == "clone"} == {"failed"}
    with pytest.raises(NotFound):
        place(fleet, "copy")


@pytest.mark.parametrize(("source", "target"), [("files", "shelf"), ("server", "other")])
def test_drift_can_be_accepted(fleet: Fleet, source: str, target: str) -> None:
    acme = acme_on(fleet, source)
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql("ALTER TABLE tags ADD COLUMN more INTEGER DEFAULT 7")
        connection.exec_driver_sql("CREATE TABLE by_hand (id INTEGER PRIMARY KEY)")
    done = work(fleet, "clone", "acme", "copy", server=target, accept_drift=True)
    assert done["drift"] == ["table by_hand should not be there", "table tags: column more should not be there"]
    with connected(fleet, place(fleet, "copy")) as connection:
        assert connection.exec_driver_sql("SELECT more FROM tags").scalars().all()[:1] == [7]
        connection.exec_driver_sql("DROP TABLE by_hand")
    moved = work(fleet, "move", "acme", target, accept_drift=True)
    assert moved["method"] in ("copy", "dump")
    with connected(fleet, place(fleet, "acme")) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM by_hand").scalar() == 0


@pytest.mark.parametrize(("source", "target"), [("files", "server"), ("server", "files")])
def test_drift_that_a_bundle_does_not_carry_is_refused_before_anything_is_made(
    fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = acme_on(fleet, source)
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql("CREATE TABLE by_hand (id INTEGER PRIMARY KEY)")
    before = made(fleet)
    monkeypatch.setattr(clone, "copy_database", None)
    monkeypatch.setattr(move, "copy_database", None)
    refused = "differs from revision .*: table by_hand should not be there; to the server .* by a bundle alone"
    for kind, *arguments in (("clone", "acme", "copy"), ("move", "acme", target)):
        given = {"server": target} if kind == "clone" else {}
        with pytest.raises(CopyRefused, match=refused):
            work(fleet, kind, *arguments, accept_drift=True, **given)
    assert made(fleet) == before


def test_the_role_of_the_server_calls_nothing_of_a_tenants(fleet: Fleet) -> None:
    acme = acme_on(fleet, "server")
    decoys.lay(fleet.servers["server"].tenant_url(acme.database))
    assert work(fleet, "clone", "acme", "copy", server="other", accept_drift=True)["method"] == "dump"
    assert work(fleet, "clone", "acme", "branch", accept_drift=True, **BRANCH)["method"] == "clone"
    assert work(fleet, "move", "acme", "other", accept_drift=True)["compared"]


@pytest.mark.parametrize(
    ("table", "column", "type_"),
    [
        ("alembic_version", "version_num", "varchar"),
        ("tenant_identity", "tenant_id", "uuid"),
    ],
)
def test_the_role_of_the_server_reads_no_view_in_place_of_a_table(
    fleet: Fleet, table: str, column: str, type_: str
) -> None:
    acme = create_on(fleet, "server", "acme")
    decoys.put_view_in_place(fleet.servers["server"].tenant_url(acme.database), table, column, type_)
    with pytest.raises(ReadingFailed, match=f'access to non-system view "{table}" is restricted'):
        work(fleet, "clone", "acme", "copy")


@pytest.mark.parametrize("server", ["files", "server"])
def test_only_the_drift_of_the_original_is_accepted(fleet: Fleet, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    acme_on(fleet, server)
    before, copied = made(fleet), clone.copy_database

    def lose_an_index(*arguments: Any, **options: Any) -> Any:
        done = copied(*arguments, **options)
        with connected(fleet, arguments[2]) as connection:
            connection.exec_driver_sql("DROP INDEX ix_nodes_owner_id_id")
        return done

    monkeypatch.setattr(clone, "copy_database", lose_an_index)
    with pytest.raises(CopyFailed, match="index ix_nodes_owner_id_id is missing"):
        work(fleet, "clone", "acme", "copy", accept_drift=True)
    assert made(fleet) == before


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_what_fails_in_the_middle_leaves_nothing(
    fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = acme_on(fleet, source)
    create_on(fleet, target, "globex")
    before, rows = made(fleet), content(fleet, acme)

    def broken(*arguments: Any) -> None:
        raise CopyFailed("it", "it was to fail")

    monkeypatch.setattr("tenantapp.fleet.copying.clone.write_identity", broken)
    with pytest.raises(FleetError, match="it was to fail"):
        work(fleet, "clone", "acme", "copy", server=target)
    assert made(fleet) == before
    assert content(fleet, acme) == rows
    monkeypatch.undo()
    work(fleet, "clone", "acme", "copy", server=target)


def test_a_branch_shares_the_files_of_its_server(fleet: Fleet) -> None:
    acme = acme_on(fleet, "server")
    with connected(fleet, acme) as idle:
        idle.exec_driver_sql("SELECT 1")
        idle.rollback()
        assert work(fleet, "clone", "acme", "copy", **BRANCH)["method"] == "clone"
    copy = place(fleet, "copy")
    assert findings(fleet, copy, fleet.settings) == findings(fleet, acme, fleet.settings) == ()
    assert content(fleet, copy) == content(fleet, acme)
    owners = f"SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname IN {acme.database, copy.database}"
    owner = dict(map(tuple, fleet.ask(owners, fleet.servers["server"].url.set(database="postgres"))))
    assert owner == {acme.database: acme.database, copy.database: copy.database}
    assert [found for found in find(fleet.services, KINDS) if found.note is None] == []
    with fleet.user_db.begin(read_only=True) as session:
        tenant = get_tenant(session, "acme")
        assert (tenant.migrating_until, place_of(tenant)) == (None, acme)
    # The role of the original has nothing to do with the copy, so either can be removed.
    databases_on(fleet.servers["server"]).drop(acme.database)
    assert content(fleet, copy)["tags"]


def test_files_are_not_cloned_where_they_would_bring_more_or_disturb_others(fleet: Fleet) -> None:
    """A branch is dumped then. Nothing is made before that, and nobody is disturbed."""
    acme = create_on(fleet, "server", "acme")
    url, before = fleet.servers["server"].own_url(acme.database), made(fleet)

    def cloned(server: str = "server") -> bool:
        copy = replace(acme, id=uuid7(), database=f"tenant_{uuid7().hex}", server=server)
        return clone_files(fleet.services, acme, copy, "") is not None

    assert not cloned("other")
    for more, less in (
        ("CREATE PUBLICATION everything", "DROP PUBLICATION everything"),
        ("CREATE TABLE public.theirs ()", "DROP TABLE public.theirs"),
    ):
        fleet.ask(more, url)
        assert not cloned()
        fleet.ask(less, url)
    with reading_connection(fleet.servers["server"].tenant_url(acme.database), "it") as reading, reading.begin():
        assert not cloned()
        assert reading.exec_driver_sql("SELECT 1").scalar() == 1
    with fenced_for_a_copy(fleet.user_db, acme.id) as holds_fence:
        assert (holds_fence(), cloned()) == (True, False)
        with fleet.user_db.begin() as session:
            raise_fence(session.connection(), acme.id)
        assert not holds_fence()
        # A request that is served again is not ended.
        with maintenance_connection(fleet.servers["server"].tenant_url(acme.database), "it") as served:
            copy = f"tenant_{uuid7().hex}"
            assert not PostgresDatabases(fleet.servers["server"]).clone(acme.database, copy, "", 0, holds_fence)
            assert served.exec_driver_sql("SELECT 1").scalar() == 1
    with fleet.user_db.begin() as session:
        assert get_tenant(session, "acme").migrating_until is not None  # somebody else's by now
        lower_fence(session.connection(), acme.id)
        operation = request_migration(session, fleet.services, "acme", requested_by="local:tests")
        operation.state = OperationState.RUNNING
    assert not cloned()
    assert made(fleet) == before
