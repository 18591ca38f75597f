"""A database that says a revision is compared with what that revision makes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text
from sqlalchemy.pool import NullPool

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.databases.schemas import expected as expected_module
from tenantapp.databases.schemas.expected import structure_at
from tenantapp.databases.schemas.structure import Structure, difference, fingerprint
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.querying.parallel import databases_of_our_own, places
from tenantapp.fleet.removing.deletion import delete_later
from tenantapp.fleet.verifying.verification import SUSPENSION_REASON, State, Verdict, Verification
from tenantapp.identity.errors import NotFound, TenantUnfinished
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import register_tenant, suspend_tenant
from tenantapp.settings import Settings
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tests.contract.clones import clone_database
from tests.contract.conftest import Fleet

MORE = """
import sqlalchemy as sa
from alembic import op

revision = "feedc0de0002"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("nodes") as batch:
        batch.add_column(sa.Column("summary", sa.String(80), server_default="none", nullable=False))
        batch.alter_column("title", type_=sa.String(300), existing_nullable=False)
        batch.create_unique_constraint("uq_nodes_summary", ["summary", "owner_id"])
    op.create_table(
        "counts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("price", sa.Numeric(10, 2), nullable=False),
        sa.Column("node_id", sa.Uuid, sa.ForeignKey("nodes.id", name="fk_counts_node_id_nodes")),
        sa.CheckConstraint("price > 0", name="ck_counts_price"),
    )
    op.create_index("ix_counts_lower", "counts", [sa.text("abs(id)")], unique=True)


def downgrade() -> None:
    op.drop_table("counts")
    with op.batch_alter_table("nodes") as batch:
        batch.drop_constraint("uq_nodes_summary", type_="unique")
        batch.alter_column("title", type_=sa.String(200), existing_nullable=False)
        batch.drop_column("summary")
"""


def altered(table: str, alter: Callable[[Any], None]) -> Callable[[Operations], None]:
    """A change of one table, which SQLite makes anew for it."""

    def change(op: Operations) -> None:
        with op.batch_alter_table(table) as batch:
            alter(batch)

    return change


DRIFTS: dict[str, tuple[Callable[[Operations], None], str]] = {
    "missing column": (altered("nodes", lambda b: b.drop_column("body")), "table nodes: column body is missing"),
    "extra column": (
        altered("nodes", lambda b: b.add_column(sa.Column("more", sa.Integer))),
        "table nodes: column more should not be there",
    ),
    "type": (altered("nodes", lambda b: b.alter_column("title", type_=sa.String(300))), "table nodes: column title d"),
    "nullable": (altered("nodes", lambda b: b.alter_column("body", nullable=True)), "table nodes: column body differs"),
    "default": (
        altered("nodes", lambda b: b.alter_column("version", server_default="7")),
        "table nodes: column version differs",
    ),
    "foreign key": (
        altered("nodes", lambda b: b.drop_constraint("fk_nodes_owner_id_people", type_="foreignkey")),
        "table nodes: constraint fk_nodes_owner_id_people is missing",
    ),
    "unique": (
        altered("tags", lambda b: b.drop_constraint("uq_tags_name", type_="unique")),
        "table tags: constraint uq_tags_name is missing",
    ),
    "check": (
        altered("nodes", lambda b: b.drop_constraint("ck_nodes_status", type_="check")),
        "table nodes: constraint ck_nodes_status is missing",
    ),
    "missing index": (
        lambda op: op.drop_index("ix_nodes_owner_id_id", "nodes"),
        "table nodes: index ix_nodes_owner_id_id is missing",
    ),
    "extra index": (
        lambda op: op.create_index("ix_more", "nodes", [sa.text("lower(title)")]),
        "table nodes: index ix_more should not be there",
    ),
    "extra table": (lambda op: op.create_table("more", sa.Column("id", sa.Integer)), "table more should not be there"),
    "missing table": (lambda op: op.drop_table("node_tags"), "table node_tags is missing"),
    "view": (lambda op: op.execute("CREATE VIEW names AS SELECT name FROM tags"), "view names should not be there"),
}
CHANGED_INDEXES = {
    "unique": {"unique": True},
    "partial": {"sqlite_where": sa.text("version > 1"), "postgresql_where": sa.text("version > 1")},
}


@pytest.fixture
def acme(fleet: Fleet) -> TenantPlace:
    return fleet.initialised().create("acme")


@contextmanager
def verification(fleet: Fleet, settings: Settings | None = None) -> Iterator[Verification]:
    """What verifies this fleet."""
    with databases_of_our_own(fleet.servers, 4) as databases:
        # The second look need not be much later.
        yield Verification(fleet.under(settings or fleet.settings), databases, second_look=0.01)


def verify(fleet: Fleet, place: TenantPlace, settings: Settings | None = None) -> Verdict:
    with verification(fleet, settings) as verifying:
        return verifying.verify(place)


def named(verdict: Verdict) -> list[str]:
    """What differs. That nothing but the printed definitions could be compared, where tools are missing, is no part."""
    return [finding for finding in verdict.findings if not finding.startswith("definitions are compared only as")]


def structure(fleet: Fleet, place: TenantPlace) -> Structure:
    return structure_at(fleet.servers[place.server].tenant_url(place.database), place.slug)


@contextmanager
def connected(fleet: Fleet, place: TenantPlace) -> Iterator[sa.Connection]:
    """A transaction that may change anything."""
    engine = create_engine(fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def change(fleet: Fleet, place: TenantPlace, change: Callable[[Operations], None]) -> None:
    with connected(fleet, place) as connection:
        change(Operations(MigrationContext.configure(connection)))


@pytest.fixture
def longer(fleet: Fleet) -> Settings:
    """Settings under which the history has one more revision, which can be downgraded."""
    copy = fleet.copy_of("tenant")
    (copy / "versions" / "feedc0de0002_more.py").write_text(MORE.format(head=head_revision(fleet.settings, "tenant")))
    return fleet.settings_with("tenant", copy)


def test_a_new_tenant_is_right(fleet: Fleet, acme: TenantPlace) -> None:
    assert verify(fleet, acme) == Verdict(acme, State.RIGHT, head_revision(fleet.settings, "tenant"))


def test_structures_are_values(fleet: Fleet, acme: TenantPlace) -> None:
    globex = fleet.create("globex")
    first, second = structure(fleet, acme), structure(fleet, globex)
    assert first == second
    assert fingerprint(first) == fingerprint(second)
    change(fleet, globex, lambda op: op.drop_table("node_tags"))
    assert fingerprint(structure(fleet, globex)) != fingerprint(first)


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_drift_is_found_and_nothing_else(fleet: Fleet, acme: TenantPlace, drift: str) -> None:
    alter, line = DRIFTS[drift]
    change(fleet, acme, alter)
    verdict = verify(fleet, acme)
    assert verdict.state == State.DRIFTED
    (found,) = named(verdict)
    assert found.startswith(line)


@pytest.mark.parametrize("options", CHANGED_INDEXES.values(), ids=CHANGED_INDEXES)
def test_an_index_of_the_same_name_is_not_the_same(fleet: Fleet, acme: TenantPlace, options: dict[str, Any]) -> None:
    def replace(op: Operations) -> None:
        op.drop_index("ix_nodes_owner_id_id", "nodes")
        op.create_index("ix_nodes_owner_id_id", "nodes", ["owner_id", "id"], **options)

    change(fleet, acme, replace)
    (found,) = named(verify(fleet, acme))
    assert found.startswith("table nodes: index ix_nodes_owner_id_id differs: it should be (")


def test_the_action_of_a_foreign_key_counts(fleet: Fleet, acme: TenantPlace) -> None:
    def replace(batch: Any) -> None:
        batch.drop_constraint("fk_node_tags_tag_id_tags", type_="foreignkey")
        batch.create_foreign_key("fk_node_tags_tag_id_tags", "tags", ["tag_id"], ["id"])

    change(fleet, acme, altered("node_tags", replace))
    (found,) = named(verify(fleet, acme))
    assert found.startswith("table node_tags: constraint fk_node_tags_tag_id_tags differs")


def test_a_trigger_is_found(fleet: Fleet, acme: TenantPlace) -> None:
    body = "BEGIN DELETE FROM nodes; END" if fleet.admin is None else "EXECUTE FUNCTION noted()"
    with connected(fleet, acme) as connection:
        if fleet.admin is not None:
            function = "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
            connection.exec_driver_sql(function)
        connection.exec_driver_sql(f"CREATE TRIGGER noting AFTER DELETE ON tags FOR EACH ROW {body}")
    findings = verify(fleet, acme).findings
    assert "table tags: trigger noting should not be there" in findings
    assert len(findings) == (1 if fleet.admin is None else 2)


class TestNoFalseAlarm:
    """A right database got there in other ways than the one it is compared with."""

    def test_after_an_upgrade(self, fleet: Fleet, acme: TenantPlace, longer: Settings) -> None:
        upgrade_tenant_database(fleet.under(longer), acme)
        assert verify(fleet, acme, longer).findings == ()

    def test_after_downgrade_and_upgrade(self, fleet: Fleet, acme: TenantPlace, longer: Settings) -> None:
        upgrade_tenant_database(fleet.under(longer), acme)
        target = tenant_target(fleet.under(longer), acme, record=True)
        run_command(target, lambda config: command.downgrade(config, "-1"))
        assert verify(fleet, acme, longer).findings == ()
        upgrade_tenant_database(fleet.under(longer), acme)
        assert verify(fleet, acme, longer).findings == ()

    def test_a_clone(self, fleet: Fleet, acme: TenantPlace) -> None:
        with fleet.user_db.begin() as session:
            tenant = register_tenant(session, uuid7(), "copy", name=None, server="main")
            tenant.state, tenant.revision = TenantState.ACTIVE, head_revision(fleet.settings, "tenant")
            copy = TenantPlace(tenant.id, "copy", "copy", "main", tenant.database)
        clone_database(fleet.servers["main"], acme.database, copy.database, copy.id)
        assert verify(fleet, copy).findings == ()

    def test_another_way_of_writing_it(self, fleet: Fleet, acme: TenantPlace) -> None:
        """Altered until it is the same, or made at once; the columns in another order."""
        globex = fleet.create("globex")
        at_once = (
            "CREATE TABLE things (id INTEGER NOT NULL CONSTRAINT pk_things PRIMARY KEY, a TEXT DEFAULT 'a, b' NOT NULL,"
            " b INTEGER CONSTRAINT ck_b CHECK (b > 0), c INTEGER CONSTRAINT fk_c REFERENCES things (id))"
        )
        altering = (
            'CREATE TABLE "old" ( c integer, id integer not null, b integer, -- the key\n CONSTRAINT pk_things PRIMARY'
            ' KEY ("id"), CONSTRAINT ck_b CHECK (b>0), CONSTRAINT fk_c FOREIGN KEY(c) REFERENCES old (id))',
            "ALTER TABLE old ADD COLUMN a TEXT NOT NULL DEFAULT ('a, b')",
            "ALTER TABLE old RENAME TO things",
        )
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql(at_once)
        with connected(fleet, globex) as connection:
            for statement in altering:
                connection.exec_driver_sql(statement)
        assert difference(structure(fleet, acme), structure(fleet, globex)) == []


class TestVerification:
    def test_each_revision_is_made_once(self, fleet: Fleet, acme: TenantPlace, monkeypatch: pytest.MonkeyPatch) -> None:
        copy = fleet.copy_of("tenant")
        (copy / "unlike_others.py").write_text(f"# {uuid7()}\n")
        settings = fleet.settings_with("tenant", copy)
        made = []
        real = expected_module.upgrade_to
        monkeypatch.setattr(expected_module, "upgrade_to", lambda *args: made.append(args[-1]) or real(*args))
        found = [acme, *(fleet.create(f"tenant-{number}") for number in range(3))]
        before = fleet.made()
        seen: list[Verdict] = []
        with verification(fleet, settings) as verifying:
            verdicts = list(verifying.verify_all(found, jobs=4, progress=seen.append))
        assert [(verdict.place, verdict.state) for verdict in verdicts] == [(place, State.RIGHT) for place in found]
        assert seen == verdicts
        with verification(fleet, settings) as another:
            assert another.verify(acme).state == State.RIGHT
        assert made == [head_revision(fleet.settings, "tenant")]
        assert {thing for thing in fleet.made() if not thing.endswith(("-wal", "-shm"))} <= before

    def test_a_history_that_changed_is_run_anew(self, fleet: Fleet, acme: TenantPlace, longer: Settings) -> None:
        upgrade_tenant_database(fleet.under(longer), acme)
        with verification(fleet, longer) as verifying:
            assert verifying.verify(acme).state == State.RIGHT
            (path,) = fleet.directory.glob("history_tenant/versions/feedc0de0002_*")
            path.write_text(path.read_text().replace("String(300)", "String(3000)"))
            (finding,) = named(verifying.verify(acme))
        assert finding.startswith("table nodes: column title differs")

    def test_one_that_cannot_be_reached_does_not_keep_the_others(self, fleet: Fleet, acme: TenantPlace) -> None:
        globex = fleet.create("globex")
        databases_on(fleet.servers["main"]).drop(acme.database)
        with verification(fleet) as verifying:
            first, second = verifying.verify_all([acme, globex], jobs=1, suspend=True)
        assert (first.state, first.suspended, second.state) == (State.UNREACHABLE, False, State.RIGHT)
        assert len(first.findings) == 1

    def test_somebody_elses_data(self, fleet: Fleet, acme: TenantPlace) -> None:
        with connected(fleet, acme) as connection:
            connection.execute(text("UPDATE tenant_identity SET tenant_id = :id"), {"id": uuid7().hex})
        assert verify(fleet, acme).state == State.FOREIGN

    def test_the_user_database_says_something_else(self, fleet: Fleet, acme: TenantPlace) -> None:
        with fleet.user_db.begin() as session:
            session.get_one(Tenant, acme.id).revision = "abc"
        (finding,) = verify(fleet, acme).findings
        head = head_revision(fleet.settings, "tenant")
        assert finding == f"it says revision {head}, and the user database says abc"

    @pytest.mark.parametrize(
        ("statement", "words"),
        [
            ("UPDATE alembic_version SET version_num = 'abc'", "has no revision abc"),
            ("UPDATE alembic_version SET version_num = 'head'", "has no revision head"),
            ("DELETE FROM alembic_version", "never migrated"),
            ("INSERT INTO alembic_version VALUES ('abc')", "several revisions"),
        ],
    )
    def test_a_revision_that_is_none(self, fleet: Fleet, acme: TenantPlace, statement: str, words: str) -> None:
        with connected(fleet, acme) as connection:
            connection.exec_driver_sql(statement)
        verdict = verify(fleet, acme)
        assert verdict.state == State.DRIFTED
        assert words in verdict.findings[-1]

    def test_a_migration_that_ends_meanwhile(
        self, fleet: Fleet, acme: TenantPlace, longer: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Verification._recorded_revision

        def after_a_migration(self: Verification, place: TenantPlace) -> str | None:
            upgrade_tenant_database(fleet.under(longer), acme)
            return real(self, place)

        monkeypatch.setattr(Verification, "_recorded_revision", after_a_migration)
        assert verify(fleet, acme, longer) == Verdict(acme, State.RIGHT, "feedc0de0002")

    def test_suspends_the_tenants_of_drifted_databases(self, fleet: Fleet, acme: TenantPlace) -> None:
        globex, right = fleet.create("globex"), fleet.create("right")
        for place in (acme, globex):
            change(fleet, place, lambda op: op.drop_table("node_tags"))
        with fleet.user_db.begin() as session:
            suspend_tenant(session, "globex", "unpaid")
        with verification(fleet) as verifying:
            verdicts = list(verifying.verify_all([acme, globex, right], jobs=2, suspend=True))
        assert [verdict.suspended for verdict in verdicts] == [True, False, False]
        with fleet.user_db.begin(read_only=True) as session:
            rows = session.execute(select(Tenant.slug, Tenant.state, Tenant.state_reason).order_by(Tenant.slug))
            assert [tuple(row) for row in rows] == [
                ("acme", "suspended", SUSPENSION_REASON),
                ("globex", "suspended", "unpaid"),
                ("right", "active", None),
            ]

    def test_places(self, fleet: Fleet, acme: TenantPlace) -> None:
        globex = fleet.create("globex")
        with fleet.user_db.begin() as session:
            register_tenant(session, uuid7(), "half", name=None, server="main")
        assert places(fleet.user_db) == [acme, globex]
        assert places(fleet.user_db, ["globex", "acme", "globex"]) == [globex, acme]
        with pytest.raises(TenantUnfinished):
            places(fleet.user_db, ["half"])
        with pytest.raises(NotFound):
            places(fleet.user_db, ["nowhere"])
        with fleet.user_db.begin() as session:
            delete_later(session, "globex", timedelta(days=1))
        assert places(fleet.user_db) == [acme], "one that is deleted only if it is named"
        assert places(fleet.user_db, ["globex"]) == [globex]


class TestPostgres:
    @pytest.fixture(params=["postgresql"])
    def engine_name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_one_that_is_being_migrated(self, fleet: Fleet, acme: TenantPlace) -> None:
        with migration_connection(fleet.servers["main"].tenant_url(acme.database), "acme"):
            assert verify(fleet, acme).state == State.BUSY
        assert verify(fleet, acme).state == State.RIGHT

    @pytest.mark.parametrize(
        ("statements", "line"),
        [
            (["CREATE TYPE mood AS ENUM ('good')"], "type mood should not be there"),
            (["CREATE SCHEMA other"], "schema other should not be there"),
            (["CREATE SEQUENCE numbers"], "sequence numbers should not be there"),
            (["CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'"], "function f(a integer) should not"),
            (["ALTER TABLE tags ENABLE ROW LEVEL SECURITY"], "table tags differs"),
            (["ALTER TABLE tags SET UNLOGGED"], None),
            (
                [
                    "ALTER TABLE nodes DROP CONSTRAINT ck_nodes_status",
                    "ALTER TABLE nodes ADD CONSTRAINT ck_nodes_status CHECK (status <> '') NOT VALID",
                ],
                "table nodes: constraint ck_nodes_status differs",
            ),
        ],
    )
    def test_more_kinds_of_drift(
        self, fleet: Fleet, acme: TenantPlace, statements: list[str], line: str | None
    ) -> None:
        if line is None:
            statements, line = ["DROP TABLE node_tags", *statements], "table node_tags is missing"
        with connected(fleet, acme) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        assert any(finding.startswith(line) for finding in verify(fleet, acme).findings)

    def test_a_table_that_somebody_else_owns(self, fleet: Fleet, acme: TenantPlace) -> None:
        """What a copy of a template has when its tables were not handed over."""
        url = fleet.servers["main"].url.set(database=acme.database)
        fleet.ask("ALTER TABLE tags OWNER TO CURRENT_USER", url)
        assert verify(fleet, acme).findings == (f"table tags: owner {url.username} should not be there",)
