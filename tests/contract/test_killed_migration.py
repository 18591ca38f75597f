"""``tenantapp migrate`` killed (SIGKILL) at each of its points, all of it or one of its processes: never half."""

import os
import signal
import subprocess
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import update

from tenantapp.identity.models import Tenant
from tenantapp.operations.models import ACTIVE, Operation
from tenantapp.sql.times import utcnow
from tests.contract.conftest import Fleet
from tests.contract.forks import Program
from tests.contract.migrations_at_work import FIRST, SECOND, Yard

POINTS = (
    "fence.raise:before",
    "fence.raise:after",
    "migration.check:before",  # all is done, and not committed
    "migration.run:after",  # committed, and not recorded
    "migration.record:after",
)
IN_THE_PARENT = ("ledger.claim:after", "ledger.finish:before", "ledger.finish:after")
# On PostgreSQL a copy is made, and put back, by a statement; on SQLite by writing pages.
WITH_COPIES = {
    "while copying": {"postgresql": "snapshot.execute:after", "sqlite": "file.copy_pages:after"},
    "after copying": {"postgresql": "snapshot.take:after", "sqlite": "file.take_snapshot:after"},
    # Before copying, an old one is looked for.
    "after migrating": {"postgresql": "snapshot.drop:before:2", "sqlite": "file.drop_snapshot:before:2"},
}
PUTTING_BACK = {
    "before": {"postgresql": "snapshot.execute:before:2", "sqlite": "file.copy_pages:before:2"},
    "after": {"postgresql": "snapshot.execute:after:2", "sqlite": "file.copy_pages:after:2"},
}
HALF = (
    "with op.get_context().autocommit_block():\n"
    "        op.execute('CREATE TABLE half (id INTEGER)')\n"
    "    op.execute('nonsense')"
)


@pytest.fixture
def yard(fleet: Fleet) -> Yard:
    yard = Yard(fleet, 3)
    yard.add_revision()
    return yard


def kill_at(yard: Yard, point: str, *arguments: str, whom: str) -> "subprocess.CompletedProcess[str] | None":
    """Start it and kill whom it is about. What it came to, if it went on without one of its processes."""
    marker = str(yard.fleet.directory / "hung")
    command = ("--ini", str(yard.ini()), "migrate", *arguments)
    program = Program("tests.contract.hanging_migration", point, marker, *command, TENANTAPP_CONNECTIONS_TIMEOUT="0.1")
    hangs = int(program.first_line())
    if whom == "all":
        program.kill_group()
        return None
    assert hangs != program.pid
    os.kill(hangs, signal.SIGKILL)
    ended = program.end(timeout=60)
    ended.stderr = ended.stderr.partition("\n")[2]
    return ended


def lapse_leases(yard: Yard, *, fences: bool = False) -> None:
    """Let the time of who was killed run out; the fences of a run with copies stay for longer."""
    lapsed = utcnow() - timedelta(hours=1)
    with yard.fleet.user_db.begin() as session:
        session.execute(update(Operation).where(Operation.state.in_(ACTIVE)).values(lease_until=lapsed))
        if fences:
            session.execute(update(Tenant).where(Tenant.migrating_until.is_not(None)).values(migrating_until=lapsed))


def all_are_there(yard: Yard, things: Sequence[str] | set[str]) -> None:
    assert set(yard.revisions().values()) == {FIRST}
    assert all(yard.has_column(number) for number in range(3))
    assert yard.fences() == []
    assert yard.fleet.made() == set(things), "no copy is left"


@pytest.mark.parametrize("point", [*POINTS, *IN_THE_PARENT])
def test_all_of_it(yard: Yard, point: str) -> None:
    made, epochs = yard.fleet.made(), yard.epochs()
    kill_at(yard, point, "--jobs", "2", whom="all")
    for number, place in enumerate(yard.places):
        # The fence falls by itself, and people read what is there.
        assert not yard.has_column(number) or yard.epochs()[number] != epochs[number]
        # Noted is only what is there; what is there may be noted later.
        assert yard.has_column(number) or yard.revisions()[place.slug] == yard.head
    lapse_leases(yard, fences=True)
    again = yard.run()
    assert (again.returncode, again.stderr) == (0, "")
    all_are_there(yard, made)
    assert {state for _, state in yard.ledger()} == {"succeeded"}


@pytest.mark.parametrize("point", POINTS)
def test_one_of_its_processes(yard: Yard, point: str) -> None:
    """The run goes on without it, and tries its tenant once more."""
    made = yard.fleet.made()
    ended = kill_at(yard, point, "--jobs", "2", whom="one")
    assert ended is not None
    assert (ended.returncode, ended.stderr) == (0, "")
    all_are_there(yard, made)


@pytest.mark.parametrize("whom", ["all", "one"])
@pytest.mark.parametrize("moment", WITH_COPIES)
def test_with_copies(yard: Yard, engine_name: str, moment: str, whom: str) -> None:
    made = yard.fleet.made()
    kill_at(yard, WITH_COPIES[moment][engine_name], "--snapshot", "--jobs", "1", whom=whom)
    if whom == "all":
        assert "t00" in yard.fences(), "nobody writes what the copy does not have"
        lapse_leases(yard)
        again = yard.run("--snapshot")
        assert (again.returncode, again.stderr) == (0, "")
    all_are_there(yard, made)


@pytest.mark.parametrize("moment", PUTTING_BACK)
def test_while_a_copy_is_put_back(yard: Yard, engine_name: str, moment: str) -> None:
    """Before: half of the migration is there. After: the copy is the database, and what is left of it is in the way."""
    yard.add_revision(HALF, revision=SECOND, before=FIRST)
    made, epochs = yard.fleet.made(), [yard.epochs()[1]]
    kill_at(yard, PUTTING_BACK[moment][engine_name], "--snapshot", "--only", "t01", whom="all")
    epochs.append(yard.epochs()[1])
    lapse_leases(yard)
    again = yard.run("--snapshot", "--only", "t01")
    assert again.returncode == 1
    assert yard.revisions()["t01"] == yard.head
    assert len({*epochs, yard.epochs()[1]}) == 3
    assert not yard.has_column(1)
    named = "sqlite_master WHERE name" if engine_name == "sqlite" else "pg_class WHERE relname"
    assert yard.ask(1, f"SELECT 1 FROM {named} = 'half'") == []
    assert yard.fences() == []
    assert yard.fleet.made() == made
