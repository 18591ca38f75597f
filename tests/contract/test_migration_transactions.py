"""A failed migration leaves whole revisions and says which: all of the run or none, or each revision by itself."""

from dataclasses import replace
from typing import Any

import pytest

from tenantapp.databases.errors import DatabaseBusy, MigrationFailed
from tenantapp.databases.histories.concurrent_indexes import INVALID
from tenantapp.databases.histories.progress import Progress
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.fleet.closing.fence import fence_database
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.fleet.migrating.fenced_move import FencedMove
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder
from tenantapp.fleet.migrating.status import fleet_status
from tests.contract.conftest import Fleet
from tests.contract.migrations_at_work import ADD, FIRST, SECOND, Yard
from tests.contract.rows import findings

THIRD = "feedc0de0003"
# It fails in a tenant that has tags: a tag is not in the other table.
THIRD_FAILS = 'op.execute("ALTER TABLE nodes ADD COLUMN third INTEGER"); op.execute("{}")'.format(
    "INSERT INTO node_tags (node_id, tag_id) SELECT id, NULL FROM tags"
)


@pytest.fixture
def yard(fleet: Fleet) -> Yard:
    """Two tenants below two revisions, in a transaction each."""
    yard = Yard(fleet, 2)
    yard.settings = replace(yard.settings, migrations_transaction="revision")
    yard.add_revision()
    yard.add_revision("op.execute(\"UPDATE tags SET name = 'z'\")", revision=SECOND, before=FIRST)
    return yard


def move(yard: Yard, number: int, wanted: str, *, down: bool = False) -> str:
    """Migrate one tenant, in this process. Returns the error, or an empty text."""
    history, user_db = TenantHistory(yard.settings), fence_database(yard.settings)
    place = yard.places[number]
    order = MigrationOrder(place.id, place.slug, None, wanted, down)
    result = FencedMove(user_db, Migrator(yard.services, history), lambda order: True).carry_out(order)
    user_db.dispose()
    return result.error or ""


def add_tag(yard: Yard, number: int) -> None:
    yard.ask(number, f"INSERT INTO tags (id, name) VALUES ('{yard.places[0].id.hex}', 'a')")


def test_each_revision_stays_by_itself(yard: Yard) -> None:
    yard.add_revision(THIRD_FAILS, revision=THIRD, before=SECOND)
    add_tag(yard, 1)
    epochs = yard.epochs()
    run = yard.migrate()
    assert [result.order.slug for result in run.failed] == ["t01"]
    words = f"The migration of the database of t01 failed in the revision {THIRD} and stopped at {SECOND}: "
    assert str(run.failed[0].error).startswith(words)
    assert yard.revisions() == {"t00": THIRD, "t01": SECOND}
    assert (yard.has_column(1), yard.has_column(1, "third")) == (True, False)
    assert yard.ask(1, "SELECT name FROM tags") == [("z",)]
    assert (yard.fences(), epochs[1] == yard.epochs()[1]) == ([], False)
    with yard.fleet.user_db.begin(read_only=True) as session:
        status = fleet_status(session)[1]
    assert (status.revision, status.found, status.wanted, status.state) == (SECOND, yard.head, THIRD, "failed")
    assert str(status.error).startswith(words)
    yard.ask(1, "DELETE FROM tags")
    assert [(result.order.slug, result.state) for result in yard.migrate(retry_failed=True).results] == [
        ("t01", "migrated")
    ]
    assert yard.revisions()["t01"] == THIRD


def test_a_revision_that_fails_leaves_the_ones_before(yard: Yard) -> None:
    yard.add_revision("raise LookupError('tags')", revision=THIRD, before=SECOND)
    assert move(yard, 0, THIRD) == "LookupError: tags"
    yard.ask(1, "ALTER TABLE nodes ADD COLUMN more TEXT")
    assert "failed and was rolled back" in move(yard, 1, THIRD)
    assert yard.revisions() == {"t00": SECOND, "t01": yard.head}
    # The other way round: the step that fails is the second one down.
    yard.add_revision(downgrade='op.execute("nonsense")')
    yard.add_revision("pass", "pass", revision=SECOND, before=FIRST)
    assert f"failed in the revision {FIRST} and stopped at {FIRST}" in move(yard, 0, yard.head, down=True)
    assert yard.revisions() == {"t00": FIRST, "t01": yard.head}


def test_a_new_tenant_and_what_it_should_be(yard: Yard) -> None:
    place = create_tenant(yard.services, "new")
    assert yard.revisions()["new"] == SECOND
    assert findings(yard.fleet, place, yard.settings) == ()


def test_another_process_between_two_revisions_is_noticed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite the write lock is free for a moment."""
    begin_again = Progress._begin_again

    def after_another(self: Any) -> None:
        yard.ask(0, f"UPDATE alembic_version SET version_num = '{SECOND}'")
        begin_again(self)

    monkeypatch.setattr(Progress, "_begin_again", after_another)
    with pytest.raises(DatabaseBusy, match=f"stopped at {SECOND}, for somebody else"):
        upgrade_tenant_database(yard.services, yard.places[0])
    assert yard.revisions()["t00"] == SECOND


class TestPostgres:
    """What its transactions refuse."""

    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def yard(self, fleet: Fleet) -> Yard:
        yard = Yard(fleet, 1)
        enum = "CREATE TYPE st AS ENUM ('a', 'b'); CREATE TABLE things (id INTEGER, s st)"
        yard.add_revision(f'{ADD}; op.execute("{enum}")')
        return yard

    def extend(self, yard: Yard, *statements: str) -> None:
        """Migrate what is there, and add a revision for each statement."""
        assert not move(yard, 0, FIRST)
        for before, revision, statement in zip((FIRST, SECOND), (SECOND, THIRD), statements, strict=True):
            yard.add_revision(f'op.execute("{statement}")', revision=revision, before=before)

    def test_a_value_that_a_revision_added_is_used_by_the_next(self, yard: Yard) -> None:
        self.extend(yard, "ALTER TYPE st ADD VALUE 'c'", "INSERT INTO things VALUES (1, 'c')")
        assert move(yard, 0, THIRD) == self.advice("t00", 'unsafe use of new value "c" of enum type st')
        assert yard.revisions() == {"t00": FIRST}
        yard.settings = replace(yard.settings, migrations_transaction="revision")
        assert not move(yard, 0, THIRD)
        place = create_tenant(yard.services, "new")
        assert yard.revisions() == {"t00": THIRD, "new": THIRD}
        assert findings(yard.fleet, place, yard.settings) == findings(yard.fleet, yard.places[0], yard.settings) == ()

    def test_rows_that_a_revision_wrote_are_in_the_way_of_the_next(self, yard: Yard) -> None:
        """Without a tenant that is migrated in two runs, nobody sees it but whoever makes a new one."""
        key = "ADD PRIMARY KEY (id), ADD COLUMN parent INTEGER REFERENCES things DEFERRABLE INITIALLY DEFERRED"
        rows = f"ALTER TABLE things {key}; INSERT INTO things VALUES (1, 'a', 1)"
        self.extend(yard, rows, "ALTER TABLE things ADD COLUMN t INTEGER")
        with pytest.raises(MigrationFailed) as failed:
            create_tenant(yard.services, "new")
        reason = 'cannot ALTER TABLE "things" because it has pending trigger events'
        assert str(failed.value) == self.advice("", reason)
        yard.settings = replace(yard.settings, migrations_transaction="revision")
        create_tenant(yard.services, "new")
        assert yard.revisions() == {"t00": FIRST, "new": THIRD}

    def test_an_index_that_was_not_made_whole_is_named_and_made_again(self, yard: Yard) -> None:
        """One that cannot be the attempt's own, because it has another name, stays."""
        assert not move(yard, 0, FIRST)
        yard.ask(0, "INSERT INTO things SELECT 1, 'a' FROM generate_series(1, 2)")
        self.make_concurrently(yard, "op.execute('CREATE UNIQUE INDEX CONCURRENTLY ON things (id)')")
        assert move(yard, 0, SECOND) == self.left("things_id_idx")
        self.make_concurrently(
            yard, "op.create_index('ix_Things', 'things', ['id'], unique=True, postgresql_concurrently=True)"
        )
        for _ in range(2):
            assert move(yard, 0, SECOND) == self.left('"ix_Things"', ", which the next attempt removes")
            assert {name for _, name in yard.ask(0, INVALID)} == {"things_id_idx", "ix_Things"}
        yard.ask(0, "TRUNCATE things")
        assert not move(yard, 0, SECOND)
        assert yard.ask(0, INVALID) == [("things_id_idx",) * 2]

    def make_concurrently(self, yard: Yard, statement: str) -> None:
        before = "op.execute('CREATE TABLE IF NOT EXISTS before (id INTEGER)')"
        block = f"with op.get_context().autocommit_block():\n        {statement}"
        yard.add_revision(f"{before}\n    {block}", revision=SECOND, before=FIRST)

    def left(self, index: str, more: str = "") -> str:
        stopped = f"The migration of the database of t00 failed in the revision {SECOND} and stopped at {FIRST}"
        return (
            f"{stopped} and left the invalid index {index}{more}: could not create unique index {self.quoted(index)}."
        )

    def quoted(self, index: str) -> str:
        return index if index.startswith('"') else f'"{index}"'

    def advice(self, slug: str, reason: str) -> str:
        where = f"the database of {slug}" if slug else "the template database"
        advice = f"the revision {THIRD} needs a transaction of its own: set migrations.transaction = revision."
        return f"The migration of {where} failed and was rolled back: {reason}; {advice}"
