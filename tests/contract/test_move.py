"""A tenant that is moved: nothing acknowledged is lost, and it is served from one place or from the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ResourceClosedError

from tenantapp import main
from tenantapp.databases.contents.contents import differences
from tenantapp.databases.errors import RowsHidden
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.copying import move, requests
from tenantapp.fleet.copying.originals import original_of
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.errors import CopyFailed, CopyRefused, NotPortable
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.reconcile import find
from tenantapp.fleet.removing.deletion import delete_later
from tenantapp.identity import grants, users
from tenantapp.identity.tenants import get_tenant, suspend_tenant
from tenantapp.operations.errors import OperationRefused, TenantBusy
from tenantapp.operations.leases import new_owner, take
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import list_operations, retry_operation
from tenantapp.sql.ids import uuid7
from tenantapp.sql.sqlite_files import READ_ONLY
from tenantapp.tenancy.access import Access, Person, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import ServerError, TenantDatabaseUnavailable, WrongTenantDatabase
from tenantapp.tenancy.models import TenantBase, TenantIdentity
from tenantapp.tenancy.server_engines import engines_of
from tests.contract.calls import counted
from tests.contract.conftest import Fleet
from tests.contract.copies import IDS, PAIRS, contents, create_on, four_servers, made, place, state, work
from tests.contract.everything import FORCED, POSTGRES, SQLITE
from tests.contract.health import is_closed
from tests.contract.kept import WEEK
from tests.contract.rows import connected, content, fill, findings, look
from tests.follower import Follower
from tests.installation import PASSWORD_HASH, Client
from tests.postgres import role_on

WRITERS = 4
FILES = ("files", "shelf")
REPLICATED = [("other", "server"), ("other", "twin")]
REPLICATED_IDS = ["-".join(pair) for pair in REPLICATED]


@pytest.fixture
def fleet(postgres_server: URL, logical_server: URL, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers of each engine."""
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        yield fleet


def acme_on(fleet: Fleet, server: str) -> TenantPlace:
    acme = create_on(fleet, server, "acme")
    fill(fleet, acme)
    return acme


class Writer(Thread):
    """Somebody at work: makes nodes and changes them, and notes what was acknowledged.

    Between two requests they leave the processor to the move.
    """

    def __init__(self, app: Any, stop: Event) -> None:
        super().__init__()
        self._client, self._stop_now = Client(app).sign_in("ann", "acme"), stop
        self.acknowledged: dict[str, str] = {}
        self.statuses: dict[int, int] = {}
        self.unexpected: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._stop_now.wait(0.05):
            number += 1
            node = self._send(lambda number=number: self._client.post("/nodes", {"title": f"new {number}"}), 201)
            if node is not None:
                changed = {"title": f"changed {number}"}
                self._send(lambda node=node, changed=changed: self._client.patch(f"/nodes/{node['id']}", changed), 200)

    def _send(self, send: Callable[[], Any], status: int) -> Any:
        answer = send()
        self.statuses[answer.status_int] = self.statuses.get(answer.status_int, 0) + 1
        if answer.status_int != status:
            if answer.status_int != 503:
                self.unexpected.append(answer.text)
            return None
        self.acknowledged[answer.json["id"]] = answer.json["title"]
        return answer.json


@contextmanager
def people_at_work(fleet: Fleet) -> Iterator[list[Writer]]:
    """The application, and people who use it until the block has ended.

    Somebody has a copy of what was there before, and follows the changes afterwards: then the copy is exact.
    """
    with fleet.user_db.begin() as session:
        users.create_user(session, "ann", name="Ann", password_hash=PASSWORD_HASH)
        grants.add_grant(session, get_tenant(session, "acme").id, "author", login="ann")
    app = main({}, **fleet.values)
    stop = Event()
    writers = [Writer(app, stop) for _ in range(WRITERS)]
    follower = Follower(Client(app).sign_in("ann", "acme"))
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        stop.set()
        for writer in writers:
            writer.join()
        follower.follow()
        assert follower.is_exact()
        assert app.registry.tenant_dbs.checkedout() == 0
        for factory in (app.registry.tenant_dbs, app.registry.user_db, app.registry.access_reader.database):
            factory.dispose()


def titles(fleet: Fleet) -> dict[str, str]:
    nodes = TenantBase.metadata.tables["nodes"]
    with connected(fleet, place(fleet, "acme")) as connection:
        return {str(row.id): row.title for row in connection.execute(nodes.select())}


@pytest.mark.parametrize("target", ["server", "files"])
def test_nothing_is_lost_with_a_user_database_on_postgresql(
    postgres_server: URL, logical_server: URL, tmp_path: Path, target: str
) -> None:
    user_db = postgres_server.set(database=f"users_{token_hex(4)}").render_as_string(hide_password=False)
    with four_servers(postgres_server, logical_server, tmp_path, user_db=user_db) as fleet:
        nothing_is_lost(fleet, "other", target, "replication" if target == "server" else "bundle")


@pytest.mark.parametrize(("source", "target"), [*PAIRS, *REPLICATED], ids=[*IDS, *REPLICATED_IDS])
def test_nothing_acknowledged_is_lost(fleet: Fleet, source: str, target: str) -> None:
    same = {"files": "copy", "server": "dump", "other": "replication"}[source]
    is_same_engine = (source in FILES) == (target in FILES)
    nothing_is_lost(fleet, source, target, same if is_same_engine else "bundle")


def nothing_is_lost(fleet: Fleet, source: str, target: str, method: str) -> None:
    fleet.change_settings(fleet_patience="1")
    acme = acme_on(fleet, source)
    with people_at_work(fleet) as writers:
        while min(len(writer.acknowledged) for writer in writers) < 3:
            assert not any(writer.unexpected for writer in writers)
            sleep(0.01)
        result = work(fleet, "move", "acme", target)
        assert result["method"] == method
        before = [len(writer.acknowledged) for writer in writers]
        while any(len(writer.acknowledged) < count + 3 for writer, count in zip(writers, before, strict=True)):
            assert not any(writer.unexpected for writer in writers)
            sleep(0.01)
    assert place(fleet, "acme").server == target
    found = titles(fleet)
    for writer in writers:
        # What was changed last may have been refused; what was acknowledged is there, or what came after it.
        assert writer.acknowledged.items() <= found.items()
        assert not writer.unexpected
    old = databases_on(fleet.servers[source])
    assert old.exists(acme.database)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_there_and_back(fleet: Fleet, source: str, target: str) -> None:
    acme = acme_on(fleet, source)
    rows = content(fleet, acme)
    result = work(fleet, "move", "acme", target)
    moved = place(fleet, "acme")
    assert (moved.id, moved.slug, moved.server) == (acme.id, "acme", target)
    assert moved.database != acme.database
    assert content(fleet, moved) == rows
    assert findings(fleet, moved, fleet.settings) == ()
    assert result["seconds_closed"] > 0
    with pytest.raises((WrongTenantDatabase, OperationalError)):
        look(fleet, acme)
    back = place_after(fleet, source)
    assert content(fleet, back) == rows
    assert back.database not in (acme.database, moved.database)
    # Both are kept for a while, and then removed.
    for left in (acme, moved):
        assert databases_on(fleet.servers[left.server]).exists(left.database)
    assert [found for found in find(fleet.services, KINDS) if found.note is None] == []
    with fleet.user_db.begin() as session:
        waiting = [found for found in list_operations(session) if found.kind == "discard"]
        assert [found.state for found in waiting] == ["queued"] * 2
        session.execute(update(Operation).where(Operation.kind == "discard").values(lease_until=None))
    fleet.settle()
    for left in (acme, moved):
        assert not databases_on(fleet.servers[left.server]).exists(left.database)
    assert content(fleet, back) == rows


def place_after(fleet: Fleet, server: str) -> TenantPlace:
    work(fleet, "move", "acme", server)
    return place(fleet, "acme")


def test_one_that_is_suspended_stays_so(fleet: Fleet) -> None:
    acme_on(fleet, "files")
    with fleet.user_db.begin() as session:
        suspend_tenant(session, "acme", "unpaid")
    work(fleet, "move", "acme", "shelf")
    assert (place(fleet, "acme").server, state(fleet, "acme")) == ("shelf", "suspended")


def test_what_is_refused(fleet: Fleet) -> None:
    acme = acme_on(fleet, "files")
    before = made(fleet)
    for error, arguments in (
        (CopyRefused, ("acme", "files")),
        (ServerError, ("acme", "nowhere")),
        (ServerError, ("acme", "x'; DROP TABLE tenants; --")),
    ):
        with pytest.raises(error):
            work(fleet, "move", *arguments)
    with fleet.user_db.begin() as session:
        request_create(session, fleet.services, "initech", requested_by="local:tests")
    with pytest.raises(OperationRefused, match="initech is creating"):
        work(fleet, "move", "initech", "shelf")
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", WEEK)
    with pytest.raises(OperationRefused, match="acme is deleted"):
        work(fleet, "move", "acme", "shelf")
    assert made(fleet) == before
    assert place(fleet, "acme") == acme


def test_two_at_once(fleet: Fleet) -> None:
    acme_on(fleet, "files")
    with fleet.user_db.begin() as session:
        first = requests.request_move(session, fleet.services, "acme", "shelf", requested_by="local:tests")
        take(session, first, new_owner(), KINDS)
    with pytest.raises(TenantBusy, match="Another operation is at work on the tenant acme"):
        work(fleet, "move", "acme", "server")


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_what_fails_is_undone(fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = acme_on(fleet, source)
    create_on(fleet, target, "globex")
    before, rows = made(fleet), content(fleet, acme)

    def broken(*arguments: Any) -> None:
        raise CopyFailed("it", "it was to fail")

    with monkeypatch.context() as patch:
        patch.setattr("tenantapp.fleet.copying.move.write_identity", broken)
        with pytest.raises(CopyFailed, match="it was to fail"):
            work(fleet, "move", "acme", target)
    assert made(fleet) == before
    assert place(fleet, "acme") == acme
    look(fleet, acme)
    with people_at_work(fleet) as writers:
        while min(len(writer.acknowledged) for writer in writers) < 1:
            assert not any(writer.unexpected for writer in writers)
    with fleet.user_db.begin() as session:
        (failed,) = [found for found in list_operations(session) if found.kind == "move"]
        database = failed.arguments["database"]
        retry_operation(session, failed.id, KINDS)
    fleet.settle()
    moved = place(fleet, "acme")
    assert moved.server == target
    assert moved.database not in (database, acme.database)
    assert content(fleet, moved)["tags"] == rows["tags"]


LOSSES = {
    "DELETE FROM node_tags": "the table node_tags has 0 rows and not 3",
    "UPDATE tags SET name = 'Tag'": "the rows of the table tags are not the same",
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_a_copy_that_lacks_something_is_not_served(
    fleet: Fleet, source: str, target: str, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = acme_on(fleet, source)

    def losing(*arguments: Any, **options: Any) -> Any:
        copied = real(*arguments, **options)
        with connected(fleet, arguments[2]) as connection:
            connection.exec_driver_sql(loss)
        return copied

    real = move.copy_database
    monkeypatch.setattr(move, "copy_database", losing)
    with pytest.raises(CopyFailed, match=LOSSES[loss]):
        work(fleet, "move", "acme", target)
    look(fleet, acme)
    assert place(fleet, "acme") == acme


@pytest.mark.parametrize(("source", "target"), PAIRS[:2], ids=IDS[:2])
def test_whatever_an_engine_keeps_is_moved(fleet: Fleet, source: str, target: str) -> None:
    acme = acme_on(fleet, source)
    with connected(fleet, acme) as connection:
        for statement in SQLITE if source in FILES else (*POSTGRES, *FORCED):
            connection.exec_driver_sql(statement if source in FILES else statement.replace("%", "%%"))
    before = contents(fleet, acme)
    assert work(fleet, "move", "acme", target)["compared"]
    assert differences(before, contents(fleet, place(fleet, "acme"))) == []


def test_rows_that_its_server_does_not_show_keep_a_tenant_where_it_is(
    postgres_server: URL, logical_server: URL, tmp_path: Path
) -> None:
    """Nothing is made, and nobody is kept out, before that is known; by way of a bundle it is refused as well."""
    with role_on(postgres_server, "") as role, four_servers(role, logical_server, tmp_path) as fleet:
        acme = acme_on(fleet, "server")
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql("ALTER TABLE tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        before = made(fleet)
        hidden = f"row level security hides rows of tags from the role {role.username}"
        for target in ("other", "files"):
            with pytest.raises(RowsHidden, match=hidden):
                work(fleet, "move", "acme", target)
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql("ALTER TABLE tags NO FORCE ROW LEVEL SECURITY")
        with pytest.raises(NotPortable, match="the table tags: it has row level security"):
            work(fleet, "move", "acme", "files")
        assert (made(fleet), place(fleet, "acme")) == (before, acme)
        assert work(fleet, "move", "acme", "other")["compared"]


@pytest.mark.parametrize("server", ["files", "server"])
def test_one_that_was_mixed_up_is_not_moved(fleet: Fleet, server: str) -> None:
    acme = acme_on(fleet, server)
    with connected(fleet, acme) as connection:
        connection.execute(TenantIdentity.__table__.delete())
    with pytest.raises(WrongTenantDatabase):
        work(fleet, "move", "acme", "shelf")
    assert place(fleet, "acme") == acme


def test_one_that_is_deleted_meanwhile_stays_where_it_is(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is removed later is the database that it has then."""
    acme = acme_on(fleet, "files")
    real = move.write_identity

    def deleting(*arguments: Any) -> None:
        real(*arguments)
        with fleet.user_db.begin() as session:
            delete_later(session, "acme", timedelta(0))

    monkeypatch.setattr(move, "write_identity", deleting)
    with pytest.raises(OperationRefused, match="acme was deleted"):
        work(fleet, "move", "acme", "shelf")
    assert place(fleet, "acme") == acme
    look(fleet, acme)


@pytest.mark.parametrize(("source", "target"), [("files", "shelf"), ("server", "other")])
def test_of_two_that_were_queued_the_second_is_refused(
    fleet: Fleet, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is made, and what the first has closed is not opened again."""
    acme = acme_on(fleet, source)
    with fleet.user_db.begin() as session:
        for server in (target, "twin"):
            requests.request_move(session, fleet.services, "acme", server, requested_by="local:tests")
    copied = counted(monkeypatch, move, "copy_database")
    fleet.settle()
    with fleet.user_db.begin(read_only=True) as session:
        outcomes = {found.state: found.error for found in list_operations(session) if found.kind == "move"}
    assert outcomes == {"succeeded": None, "failed": "The tenant acme got another database meanwhile."}
    assert len(copied) == 1
    assert place(fleet, "acme").server in (target, "twin")
    look(fleet, place(fleet, "acme"))
    is_closed(fleet, acme)


@pytest.mark.parametrize("server", ["files", "server"])
def test_what_was_begun_is_over_or_refused_when_a_database_is_closed(fleet: Fleet, server: str) -> None:
    """Somebody who has the lock, somebody who waits for it, and somebody who comes too late."""
    acme = acme_on(fleet, server)
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    access = Access(Person(uuid7(), "ada", "Ada"), acme)
    acknowledged: list[str] = []
    begun = Event()

    def write(name: str, seconds: float) -> None:
        with suppress(TenantDatabaseUnavailable), databases.begin(access) as session:
            session.execute(TenantBase.metadata.tables["tags"].insert(), {"id": uuid7(), "name": name})
            begun.set()
            sleep(seconds)
            session.commit()
            acknowledged.append(name)

    first = Thread(target=write, args=("slow", 2.0))
    first.start()
    begun.wait(10)
    second = Thread(target=write, args=("behind it", 0.0))
    second.start()
    databases_on(fleet.servers[server]).close(acme.database, 0.0)
    with original_of(fleet.servers, acme).reading() as connection:
        before = set(connection.execute(select(TenantBase.metadata.tables["tags"].c.name)).scalars())
    write("too late", 0.0)
    for thread in (first, second):
        thread.join()
    assert {*acknowledged, "tag"} == before
    databases_on(fleet.servers[server]).reopen(acme.database)
    assert {row[1] for row in content(fleet, acme)["tags"]} == before
    write("in time", 0.0)
    assert "in time" in acknowledged
    databases.dispose()


def test_who_has_a_connection_to_a_file_that_is_closed(fleet: Fleet) -> None:
    """Nobody can tell that there is one, so it is not waited for: it reads what it likes, and writes nothing."""
    acme = acme_on(fleet, "files")
    databases, files = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings)), fleet.servers["files"]
    engine = databases.for_access(Access(Person(uuid7(), "ada", "Ada"), acme)).engine
    tags = TenantBase.metadata.tables["tags"]
    began = monotonic()
    with engine.connect() as taken, engine.execution_options(**{READ_ONLY: True}).connect() as reading:
        databases_on(files).close(acme.database, 0.5)
        assert monotonic() - began < 3
        for refusal in (WrongTenantDatabase, ResourceClosedError):
            with pytest.raises(refusal):
                taken.execute(tags.insert(), {"id": uuid7(), "name": "too late"})
        assert reading.execute(tags.select()).all()
        # Whoever was refused holds no lock.
        databases_on(files).reopen(acme.database)
        with engine.begin() as another:
            another.execute(tags.insert(), {"id": uuid7(), "name": "in time"})
    assert {row[1] for row in content(fleet, acme)["tags"]} == {"tag", "in time"}
    databases.dispose()
