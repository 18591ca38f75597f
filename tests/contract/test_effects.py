"""A revision that loses something which it does not name is refused when a template is built."""

import warnings
from collections.abc import Callable, Iterator, Sequence

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.databases.errors import RevisionLoses
from tenantapp.databases.histories.engine_classes import WATCH, extend_engine_class
from tenantapp.databases.schemas.autogenerate import make_revision
from tenantapp.databases.schemas.effects import Effects
from tenantapp.fleet.creating.create import create_tenant
from tests.contract.conftest import Fleet
from tests.contract.migrations_at_work import FIRST, SECOND, Yard

TABLE = """
CREATE TABLE things (
    id INTEGER PRIMARY KEY AUTOINCREMENT, "Title" TEXT COLLATE NOCASE NOT NULL, n INTEGER CHECK (n > 0),
    m INTEGER UNIQUE, CONSTRAINT ck_m CHECK (m <> 1)
) STRICT;
CREATE TABLE doubles (n INTEGER, twice INTEGER GENERATED ALWAYS AS (2 * n) VIRTUAL);
CREATE TABLE others (k INTEGER CONSTRAINT ck_k CHECK (k > 0), l INTEGER CHECK (l > 0));
CREATE INDEX ix_k ON others (k);
CREATE INDEX ix_lower ON things (lower("Title"));
CREATE INDEX ix_n ON things (n DESC, m);
CREATE INDEX ix_m ON things (m) WHERE m > 2;
CREATE TRIGGER stamp AFTER UPDATE ON things BEGIN UPDATE things SET m = 3; END
"""
ON_POSTGRES = """
CREATE SCHEMA effects; SET search_path = effects;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE kinds (id INTEGER PRIMARY KEY);
CREATE TABLE things (
    id INTEGER PRIMARY KEY, title TEXT COLLATE "C", kind INTEGER CONSTRAINT fk_kind REFERENCES kinds,
    twice INTEGER GENERATED ALWAYS AS (2 * id) STORED
);
CREATE INDEX ix_title ON things (title, kind);
CREATE TRIGGER stamp AFTER UPDATE ON things FOR EACH ROW EXECUTE FUNCTION f()
"""


def lost_by(connection: sa.Connection, change: Callable[[Operations], None], loses: Sequence[str] = ()) -> list[str]:
    """What a revision loses that does this."""
    extend_engine_class(connection.dialect)
    effects = Effects(connection)
    effects.begin("r1", loses)
    change(Operations(MigrationContext.configure(connection, opts={WATCH: effects})))
    try:
        effects.end()
    except RevisionLoses as lost:
        return list(lost.parts)
    finally:
        sa.event.remove(connection, "before_cursor_execute", effects._note)
    return []


class TestSqlite:
    @pytest.fixture
    def things(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine("sqlite://")
        with engine.connect() as connection, warnings.catch_warnings():
            # They know some of what they leave out.
            warnings.filterwarnings("ignore", ".*(Unnamed CHECK|expression-based index)")
            for statement in TABLE.split(";\n"):
                connection.exec_driver_sql(statement)
            yield connection
        engine.dispose()

    def test_a_rebuilt_table_lacks_what_batch_mode_does_not_know(self, things: sa.Connection) -> None:
        lost = [
            "autoincrement",
            "collation of column title",
            "constraint check ( n > 0 )",
            "descending order of index ix_n",
        ]
        lost = [f"table things: {each}" for each in [*lost, "index ix_lower", "trigger stamp"]]

        def change(op: Operations) -> None:
            with op.batch_alter_table("things") as batch:
                batch.alter_column("n", nullable=False)

        assert lost_by(things, change) == lost
        assert lost_by(things, change, loses=lost) == []

    def test_a_table_that_is_rebuilt_by_hand(self, things: sa.Connection) -> None:
        def rebuild(op: Operations) -> None:
            op.execute("CREATE TABLE fresh (n INTEGER, twice INTEGER)")
            op.execute("INSERT INTO fresh SELECT * FROM doubles")
            op.execute("DROP TABLE doubles")
            op.execute("ALTER TABLE fresh RENAME TO doubles")

        assert lost_by(things, rebuild) == ["table doubles: generation of column twice"]

    def test_what_a_revision_makes_again_or_names_is_not_lost(self, things: sa.Connection) -> None:
        def change(op: Operations) -> None:
            op.execute("DROP TRIGGER stamp")
            op.execute("DROP INDEX ix_lower")
            with op.batch_alter_table("others") as batch:
                batch.alter_column("k", nullable=False)
                batch.drop_constraint("ck_k")
                batch.drop_index("ix_k")
                batch.drop_column("l")
            op.execute("ALTER TABLE things RENAME COLUMN n TO number")
            op.execute("CREATE INDEX ix_again ON others (k)")

        assert lost_by(things, change) == []

    def test_a_trigger_is_not_named_by_a_column_that_is_dropped(self, things: sa.Connection) -> None:
        def change(op: Operations) -> None:
            things.exec_driver_sql("CREATE TRIGGER other AFTER UPDATE OF l ON others BEGIN SELECT 1; END")
            with op.batch_alter_table("others") as batch:
                batch.drop_column("l")

        assert lost_by(things, change) == ["table others: trigger other"]


class TestPostgres:
    @pytest.fixture
    def things(self, postgres_server: URL) -> Iterator[sa.Connection]:
        """In a schema of its own, of a transaction that is not committed."""
        engine = sa.create_engine(postgres_server.set(database="postgres"), poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(ON_POSTGRES)
            yield connection

    @pytest.mark.parametrize(
        ("statement", "lost"),
        [
            ("DROP FUNCTION f() CASCADE", ["trigger stamp"]),
            ("ALTER TABLE things ALTER title TYPE VARCHAR(300)", ["collation of column title"]),
            ('ALTER TABLE things ALTER title TYPE VARCHAR(300) COLLATE "POSIX"', []),
            ("DROP TABLE kinds CASCADE", ["constraint fk_kind"]),
            ("ALTER TABLE things DROP CONSTRAINT fk_kind; DROP TABLE kinds; DROP INDEX ix_title", []),
            ("ALTER TABLE things DROP title, ALTER twice DROP EXPRESSION; DROP TRIGGER stamp ON things", []),
            ("ALTER TABLE things RENAME CONSTRAINT fk_kind TO fk; ALTER INDEX ix_title RENAME TO ix", []),
        ],
    )
    def test_what_is_lost(self, things: sa.Connection, statement: str, lost: list[str]) -> None:
        found = lost_by(things, lambda op: op.execute(statement))
        assert found == [f"table effects.things: {each}" for each in lost]


def test_no_template_is_built_with_it(fleet: Fleet) -> None:
    """Whoever writes the next revision hears of it too. Those that are migrated are not kept from it."""
    yard = Yard(fleet, 0)
    trigger = "CREATE TRIGGER stamp AFTER UPDATE ON tags {}"
    on_postgres = (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        f"{trigger.format('FOR EACH ROW EXECUTE FUNCTION f()')}"
    )
    make = trigger.format("BEGIN SELECT 1; END") if fleet.admin is None else on_postgres
    yard.add_revision(f'op.execute("""{make}""")')
    lose = 'op.execute("DROP FUNCTION f() CASCADE")'
    if fleet.admin is None:
        lose = 'with op.batch_alter_table("tags", recreate="always") as batch: pass'
    yard.add_revision(lose, revision=SECOND, before=FIRST)
    before = fleet.made()
    for make_something in (create_tenant, lambda services, name: make_revision(services, "tenant", name)):
        with pytest.raises(RevisionLoses, match=rf"{SECOND} loses .* loses = \[\"table tags: trigger stamp\"\]"):
            make_something(yard.services, "acme")
    assert fleet.made() == before
    yard.add_revision(lose, revision=SECOND, before=FIRST, imports='loses = ["table tags: trigger stamp"]')
    create_tenant(yard.services, "acme")
    assert yard.revisions() == {"acme": SECOND}
