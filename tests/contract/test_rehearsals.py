"""A migration is rehearsed on branches before it reaches anybody."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.plan import make_plan
from tenantapp.fleet.rehearsing.choosing import choose
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import TenantBase
from tests.contract.conftest import Fleet
from tests.contract.migrations_at_work import ADD, FIRST, Yard, connect

SLOW = f"{ADD}; time.sleep(0.3)"
ODD = "assert not op.get_bind().scalar(sa.text(\"SELECT count(*) FROM tags WHERE name = 'odd'\")), 'it is odd'; " + ADD


@pytest.fixture
def yard(fleet: Fleet) -> Yard:
    return Yard(fleet, 3)


def add_tags(yard: Yard, number: int, *names: str) -> None:
    tags = TenantBase.metadata.tables["tags"]
    with connect(yard.url(number)) as connection, connection.begin():
        connection.execute(insert(tags), [{"id": uuid7(), "name": name} for name in names])


def branches(yard: Yard) -> dict[str, timedelta]:
    """The branches that are left, and in what time each expires."""
    made = select(Tenant.slug, Tenant.expires_at).where(Tenant.slug.startswith("rehearsal-"))
    with yard.fleet.user_db.begin(read_only=True) as session:
        return {slug: at - utcnow() for slug, at in session.execute(made) if at is not None}


def test_then_everybody_is_migrated(yard: Yard) -> None:
    yard.add_revision(SLOW, imports="import time")
    add_tags(yard, 1, *(f"a tag among many {number}" for number in range(1000)))
    before = yard.fleet.made()
    run = yard.migrate(rehearse=2, jobs=1)
    first, second = run.rehearsals
    assert (first.tenant, first.choice, second.choice) == ("t01", "largest", "random")
    assert second.tenant in ("t00", "t02")
    for rehearsal in run.rehearsals:
        assert (rehearsal.state, rehearsal.branch, rehearsal.error) == ("passed", None, None)
        assert (rehearsal.found, rehearsal.wanted) == (yard.head, FIRST)
        lock = rehearsal.locks[0]
        expected = ("nodes", "AccessExclusiveLock", "reading and writing")
        assert (lock.table, lock.mode, lock.keeps_from) == (
            expected if yard.fleet.admin else (None, "write lock", "writing")
        )
        assert 0.25 < lock.seconds <= (rehearsal.duration or 0)
    assert set(yard.revisions().values()) == {FIRST}
    assert yard.fleet.made() == before
    assert branches(yard) == {}
    recorded = yard.recorded()
    assert recorded.rehearsals == [rehearsal.row for rehearsal in run.rehearsals]
    assert (recorded.state, [stage["tenants"] for stage in recorded.stages]) == ("finished", [3])


def test_nobody_is_migrated_if_one_fails_or_is_drifted(yard: Yard) -> None:
    yard.add_revision(ODD)
    add_tags(yard, 1, "odd")
    yard.ask(2, "DROP INDEX ix_nodes_owner_id_id")
    run = yard.migrate(rehearse=9, waves=[1])
    found = {rehearsal.tenant: rehearsal for rehearsal in run.rehearsals}
    assert {slug: rehearsal.state.value for slug, rehearsal in found.items()} == {
        "t00": "passed",
        "t01": "failed",
        "t02": "drifted",
    }
    assert "it is odd" in (found["t01"].error or "")
    assert "index ix_nodes_owner_id_id is missing" in (found["t02"].error or "")
    assert (run.results, len(run.left)) == ([], 3)
    assert set(yard.revisions().values()) == {yard.head, FIRST}  # FIRST is that of the drifted branch
    left = branches(yard)
    assert left.keys() == {found["t01"].branch, found["t02"].branch}
    assert all(timedelta(hours=23) < after < timedelta(days=1) for after in left.values())
    recorded = yard.recorded()
    assert (recorded.state, recorded.stopped_by) == ("stopped", "rehearsal")
    with yard.fleet.user_db.begin(read_only=True) as session:
        history = TenantHistory(yard.settings)
        orders = make_plan(session, history).orders
        others = {order.slug for order in make_plan(session, history, left_out=["t01"]).orders}
    assert {order.slug for order in orders} - others == {"t01"}
    # Branches are migrated like others, but nothing is rehearsed on them.
    assert {candidate.order.slug for candidate in choose(yard.services, orders, 9)} == set(found)
    assert len(orders) == 4


def test_an_interrupt_leaves_a_branch_that_expires(yard: Yard) -> None:
    yard.add_revision("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        yard.migrate(rehearse=1)
    (after,) = branches(yard).values()
    assert after < timedelta(days=1)
    assert set(yard.revisions().values()) == {yard.head}
    assert yard.recorded().stopped_by == "interrupt"
    with yard.fleet.user_db.begin(read_only=True) as session:
        migration = session.scalars(select(Operation).where(Operation.kind == "migrate")).one()
        assert migration.lease_owner is None
