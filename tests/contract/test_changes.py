"""The log of changes: what is recorded, in which order, and what a reader of it can rely on."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.identity.local_access import local_access
from tenantapp.sql.errors import SqlError, TransactionConflict
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.changes import (
    Changes,
    SeenChange,
    history_of,
    present_position,
    read_changes,
    read_history,
)
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import ChangesGone, TenantMigrating
from tenantapp.tenancy.models import Change
from tenantapp.tenancy.recording import record_change
from tenantapp.tenancy.server_engines import engines_of
from tenantapp.workspace.models import Author, Node, Tag
from tests.contract.conftest import Fleet

BEFORE_CHANGES = "8b2e64d1c05f"  # the last revision without the log
BEFORE_HISTORY = "d41f7a90b3c6"  # the last revision without the index of a row's changes
TABLES = ("nodes", "tags")


class Log:
    """The tenant acme, its database as the application opens it, and a reader of its changes."""

    def __init__(self, fleet: Fleet, **options: Any) -> None:
        self.fleet = fleet
        self.place = fleet.initialised().create("acme")
        self.databases = self.opened(**options)
        with fleet.user_db.begin(read_only=True) as session:
            self.access: Access = local_access(session, "acme")

    def opened(self, **options: Any) -> TenantDatabases:
        """The databases as another process opens them."""
        servers, settings = self.fleet.servers, self.fleet.settings
        return TenantDatabases(servers, engines_of(servers, settings), **options)

    def begin(self, *, read_only: bool = False) -> Any:
        return self.databases.begin(self.access, read_only=read_only)

    def read(self, after: int = 0, limit: int = 100, tables: tuple[str, ...] = TABLES) -> Changes:
        with self.begin(read_only=True) as session:
            return read_changes(session, after, limit, tables)

    def kinds(self, after: int = 0) -> list[tuple[str, str]]:
        return [(change.table_name, change.kind) for change in self.read(after).changes]

    def add(self, name: str) -> UUID:
        with self.begin() as session:
            tag = Tag(name=name)
            session.add(tag)
            session.flush()
            return tag.id

    def downgrade(self, revision: str) -> None:
        target = tenant_target(self.fleet.services, self.place, record=True)
        run_command(target, lambda config: command.downgrade(config, revision))

    def upgrade(self) -> None:
        upgrade(tenant_target(self.fleet.services, self.place, record=True))


@pytest.fixture
def log(fleet: Fleet) -> Iterator[Log]:
    log = Log(fleet)
    yield log
    log.databases.dispose()


def node(**values: Any) -> Node:
    return Node(**{"owner": Author(id=uuid7(), name="Ada"), "title": "t", "body": "b", "status": "draft"} | values)


def add_in_vain(session: Session, name: str) -> None:
    session.add(Tag(name=name))
    session.flush()
    raise LookupError


class TestWhatIsRecorded:
    def test_a_row_is_created_changed_and_deleted(self, log: Log) -> None:
        with log.begin() as session:
            session.add(node(id=(node_id := uuid7())))
        with log.begin() as session:
            session.get_one(Node, node_id).title = "other"
        first, second = log.read(0, 1).changes + log.read(1, 1).changes
        assert [(first.position, first.kind, first.version), (second.position, second.kind, second.version)] == [
            (1, "created", 1),
            (2, "changed", 2),
        ]
        assert (first.row_id, first.table_name, first.person_name, first.person_id) == (
            node_id,
            "nodes",
            "Local script",
            UUID(int=0),
        )
        with log.begin() as session:
            session.delete(session.get_one(Node, node_id))
        (only,) = log.read().changes
        assert (only.position, only.kind, only.version, only.row_id) == (3, "deleted", 2, node_id)

    def test_others_see_one_change_of_a_row_in_a_transaction(self, log: Log) -> None:
        with log.begin() as session:
            kept, gone = Tag(name="kept"), Tag(name="gone")
            session.add_all([kept, gone])
            session.flush()
            kept.name = "renamed"
            session.flush()
            session.delete(gone)
        assert log.kinds() == [("tags", "created")]

    def test_what_changes_nothing_is_not_recorded(self, log: Log) -> None:
        tag = log.add("a")
        with log.begin() as session:
            session.get_one(Tag, tag).name = "a"
            session.add(Author(id=uuid7(), name="Nobody follows authors"))
        assert log.read(1).changes == ()
        assert log.read(1).position == 1

    def test_another_value_of_a_collection_is_a_change_of_its_row(self, log: Log) -> None:
        with log.begin() as session:
            session.add(node(id=(node_id := uuid7())))
        with log.begin() as session:
            found = session.get_one(Node, node_id)
            found.tags.append(Tag(name="red"))
        assert set(log.kinds(1)) == {("tags", "created"), ("nodes", "changed")}

    def test_what_is_rolled_back_is_not_recorded(self, log: Log) -> None:
        with suppress(LookupError), log.begin() as session:
            add_in_vain(session, "never")
        with log.begin() as session:
            session.add(Tag(name="before"))
            session.flush()
            with suppress(LookupError), session.begin_nested():
                add_in_vain(session, "inside")
            with session.begin_nested():
                session.add(Tag(name="kept"))
                with suppress(LookupError), session.begin_nested():
                    add_in_vain(session, "innermost")
            session.add(Tag(name="after"))
        found = log.read()
        with log.begin(read_only=True) as session:
            names = {tag.id: tag.name for tag in session.scalars(select(Tag))}
        assert [names[change.row_id] for change in found.changes] == ["before", "kept", "after"]
        assert found.position == 3

    def test_bulk_statements_are_recorded_by_hand(self, log: Log) -> None:
        tag = log.add("a")
        with log.begin() as session:
            session.execute(update(Tag).values(name="b"))
        assert log.read(1).changes == ()
        with log.begin() as session:
            session.execute(delete(Tag))
            record_change(session, Tag, tag, "deleted")
        assert [(change.row_id, change.kind) for change in log.read(1).changes] == [(tag, "deleted")]

    def test_a_session_without_an_access_has_nobody(self, log: Log) -> None:
        with log.databases.for_access(log.access).begin() as session:
            session.add(Tag(name="a"))
        (change,) = log.read().changes
        assert (change.person_id, change.person_name) == (None, None)


class TestReading:
    def test_a_reader_sees_only_the_tables_that_are_named(self, log: Log) -> None:
        log.add("a")
        assert log.read(tables=()) == Changes((), 1, False)
        assert log.read(tables=("nodes",)) == Changes((), 1, False)

    def test_parts_follow_each_other(self, log: Log) -> None:
        for name in "abcde":
            log.add(name)
        parts = [log.read(0, 2), log.read(2, 2), log.read(4, 2)]
        assert [[change.position for change in part.changes] for part in parts] == [[1, 2], [3, 4], [5]]
        assert [(part.position, part.more) for part in parts] == [(2, True), (4, True), (5, False)]

    def test_an_empty_log_can_be_read(self, log: Log) -> None:
        assert log.read() == Changes((), 0, False)

    def test_a_position_that_was_never_given_is_refused(self, log: Log) -> None:
        log.add("a")
        with pytest.raises(ChangesGone):
            log.read(2)

    def test_old_changes_are_removed_and_readers_are_told(self, fleet: Fleet) -> None:
        log = Log(fleet, changes_kept=timedelta(days=1))
        for number in range(99):
            log.add(f"{number}")
        with log.begin() as session:
            session.execute(update(Change).where(Change.position <= 50).values(at=utcnow() - timedelta(days=2)))
        log.add("the hundredth")
        with pytest.raises(ChangesGone):
            log.read(49)
        assert [change.position for change in log.read(50).changes] == list(range(51, 101))
        with log.begin(read_only=True) as session:
            assert present_position(session) == 100
        log.databases.dispose()


class TestTheHistoryOfARow:
    def history(self, log: Log, row_id: UUID, **options: Any) -> list[SeenChange]:
        with log.begin(read_only=True) as session:
            return read_history(session, "tags", row_id, **{"limit": 10} | options)

    def test_it_is_newest_first_of_this_row_alone_and_outlives_the_row(self, log: Log) -> None:
        tag, other = log.add("a"), log.add("b")
        for name in ("c", "d"):
            with log.begin() as session:
                session.get_one(Tag, tag).name = name
                session.get_one(Tag, other).name = name * 2
        with log.begin() as session:
            session.delete(session.get_one(Tag, tag))
            session.add(node(id=tag))  # of another table, under the same id
        found = self.history(log, tag)
        assert [(change.kind, change.version) for change in found] == [
            ("deleted", None),
            ("changed", None),
            ("changed", None),
            ("created", None),
        ]
        assert {(change.table_name, change.row_id, change.person_name) for change in found} == {
            ("tags", tag, "Local script")
        }
        assert [change.kind for change in self.history(log, tag, limit=2)] == ["deleted", "changed"]
        assert self.history(log, tag, before=found[1].position) == found[2:]
        assert self.history(log, uuid7()) == []

    def test_it_is_read_by_the_index_of_the_row(self, log: Log) -> None:
        rows = [uuid7() for _ in range(200)]
        with log.begin() as session:
            changes = [
                {
                    "position": position,
                    "table_name": "tags",
                    "row_id": rows[position % 200],
                    "kind": "changed",
                    "at": utcnow(),
                }
                for position in range(1, 4001)
            ]
            session.execute(insert(Change), changes)
            session.execute(text("ANALYZE tenant_changes"))
            wanted = history_of("tags", rows[0], 10, 3000)
            dialect = session.get_bind().dialect
            explain = "EXPLAIN " if dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
            if dialect.name == "postgresql":
                session.execute(text("SET LOCAL enable_bitmapscan = off"))  # of so few rows it is about as cheap
            statement = str(wanted.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            plan = " ".join(str(row) for row in session.execute(text(explain + statement)))
        assert "ix_tenant_changes_row_id_position" in plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan

    def test_it_waits_for_the_migration_and_does_without_its_index(self, log: Log) -> None:
        log.downgrade(BEFORE_CHANGES)
        with pytest.raises(TenantMigrating):
            self.history(log, uuid7())
        log.upgrade()
        tag = log.add("a")
        log.downgrade(BEFORE_HISTORY)
        assert [change.kind for change in self.history(log, tag)] == ["created"]


class TestBeforeTheMigration:
    """A new version of the program serves databases that lack the log."""

    def test_writers_work_and_readers_wait(self, log: Log) -> None:
        log.downgrade(BEFORE_CHANGES)
        log.add("before")
        with pytest.raises(TenantMigrating):
            log.read()
        log.upgrade()
        log.add("after")
        assert log.kinds() == [("tags", "created")]

    def test_a_process_that_knew_the_log_learns_that_it_is_gone(self, log: Log) -> None:
        log.add("known")
        log.downgrade(BEFORE_CHANGES)
        with pytest.raises(TransactionConflict):
            log.add("tried in vain")
        log.add("tried again")
        log.upgrade()
        log.add("recorded")
        assert log.kinds() == [("tags", "created")]

    @pytest.mark.parametrize(
        "read",
        [
            present_position,
            lambda session: read_changes(session, 0, 10, TABLES),
            lambda session: read_history(session, "tags", uuid7(), 10),
        ],
    )
    def test_a_reader_that_knew_the_log_is_told_to_wait(self, log: Log, read: Callable[[Session], Any]) -> None:
        log.add("known")
        log.downgrade(BEFORE_CHANGES)
        for _ in range(2):
            with pytest.raises(TenantMigrating), log.begin(read_only=True) as session:
                read(session)
        log.upgrade()
        with log.begin(read_only=True) as session:
            read(session)


class Writer(threading.Thread):
    """Creates, changes and deletes tags and nodes as chance has it, and sometimes changes its mind."""

    def __init__(self, log: Log, seed: int, steps: int) -> None:
        super().__init__()
        self.log, self.random, self.steps = log, random.Random(seed), steps
        self.databases = log.opened()
        self.unexpected: list[BaseException] = []
        self.seed = seed

    def run(self) -> None:
        for step in range(self.steps):
            try:
                with self.databases.begin(self.log.access) as session:
                    self.work(session, step)
            except (SqlError, LookupError):
                continue  # a deadlock, or a change of mind
            except BaseException as error:
                self.unexpected.append(error)
        self.databases.dispose()

    def work(self, session: Session, step: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            chance = self.random.random()
            tags = session.scalars(select(Tag).order_by(Tag.id)).all()
            if chance < 0.5 or not tags:
                session.add(Tag(name=f"{self.seed} {step} {self.random.random()}"))
            elif chance < 0.8:
                # In any order: two writers may lock each other out.
                self.random.choice(tags).name = f"{self.random.random()}"
            else:
                victim = self.random.choice(tags)
                # Not by the ORM, which raises if another transaction was faster.
                session.execute(delete(Tag).where(Tag.id == victim.id))
                record_change(session, Tag, victim.id, "deleted")
                session.expunge(victim)
            session.flush()
        if self.random.random() < 0.2:
            raise LookupError


class Follower:
    """Keeps a copy of the tags by following the changes."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.copy: dict[UUID, str] = {}
        with log.begin(read_only=True) as session:
            self.position = present_position(session)
            self.copy = {tag.id: tag.name for tag in session.scalars(select(Tag))}

    def follow(self) -> bool:
        with self.log.begin(read_only=True) as session:
            part = read_changes(session, self.position, 5, TABLES)
            for change in part.changes:
                tag = session.get(Tag, change.row_id)
                if change.kind == "deleted":
                    self.copy.pop(change.row_id, None)
                elif tag is not None:
                    self.copy[tag.id] = tag.name
        self.position = part.position
        return part.more


def test_a_copy_converges_under_concurrent_writers(log: Log) -> None:
    """Also if the reader is between two commits all the time: no position appears behind one that it has read."""
    log.add("first")
    follower = Follower(log)
    writers = [Writer(log, seed, steps=15) for seed in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        follower.follow()
    for writer in writers:
        writer.join()
        assert [error for error in writer.unexpected if "stale" not in type(error).__name__.lower()] == []
    while follower.follow():
        pass
    with log.begin(read_only=True) as session:
        assert follower.copy == {tag.id: tag.name for tag in session.scalars(select(Tag))}
        positions = session.scalars(select(Change.position).order_by(Change.position)).all()
    assert list(positions) == list(range(1, len(positions) + 1))
