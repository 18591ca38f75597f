"""Clone, move and adopt killed (SIGKILL) at each of their points: another worker finishes or undoes it, never half."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import URL

from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation
from tests.contract.conftest import Fleet
from tests.contract.copies import create_on, four_servers, hanging, made, place, work
from tests.contract.foreign import Foreign
from tests.contract.health import is_served, nothing_is_wrong
from tests.contract.rows import content, fill

FINISHED, UNDONE = "finished", "undone"
# Between two steps, or before anything was made, it is gone on with; within one that is done only once, it is undone.
CLONE = {
    "operation.run:before": FINISHED,
    "copy.fill:before": FINISHED,
    "copy.fill:after": UNDONE,
    "operation.begin_step:after": FINISHED,
    "copy.remove_private_data:after": FINISHED,
    "identity.write:before": FINISHED,
    "identity.write:after": FINISHED,
    "operation.complete:before": FINISHED,
    "operation.finish:after": FINISHED,
}
ADOPT = {
    "operation.run:before": FINISHED,
    "adoption.check:after": FINISHED,
    "operation.begin_step:after": FINISHED,
    "copy.fill:after": UNDONE,
    "adoption.complete_tables:after": FINISHED,
    "database.upgrade:after": FINISHED,
    "identity.write:after": FINISHED,
    "operation.complete:before": FINISHED,
    "operation.finish:after": FINISHED,
}
MOVE = {
    "operation.run:before": FINISHED,
    "operation.begin_step:after": FINISHED,
    "fence.raise:after": FINISHED,
    "copy.fill:before": FINISHED,
    "copy.fill:after": UNDONE,
    "move.compare:after": UNDONE,
    "identity.write:after": UNDONE,
    "operation.complete:before": UNDONE,
    "operation.finish:after": UNDONE,
}
REPLICATED = {
    "operation.begin_step:after": FINISHED,
    "replication.begin:before": UNDONE,
    "replication.make_role:after": UNDONE,
    "replication.begin:after": UNDONE,
    "replication.add:before": UNDONE,
    "replication.add:after": UNDONE,
    "replication.wait:after": UNDONE,
    "switch.begin:before": FINISHED,
    "database.close:after": FINISHED,
    "replication.read_sequences:after": FINISHED,
    "replication.remove:before": FINISHED,
    "replication.remove:after": UNDONE,
    "identity.write:after": UNDONE,
    "operation.complete:before": UNDONE,
}
# On a server that clones files. What died while its fence was up is gone on with as a dump.
BRANCH = {
    "fence.raise_for_a_copy:after": FINISHED,
    "clone.copy:before": UNDONE,
    "clone.copy:after": UNDONE,
    "clone.hand_over:after": UNDONE,
}
OF_FILES = {
    "file.copy_pages:before": FINISHED,
    "file.copy_pages:after": FINISHED,
    "file.publish:before": FINISHED,
    "file.publish:after": UNDONE,
}
CLOSED = {
    "files": {"file.close:after": FINISHED},
    "server": {"database.close:after": FINISHED},
}
OF_DUMPS = {"dump.restore:before": UNDONE}
OF_BUNDLES = {
    "bundle.write:after": UNDONE,
    "bundle.make_tables:after": UNDONE,
    "bundle.load:after": UNDONE,
}
PAIRS: list[tuple[str, str, dict[str, str]]] = [
    ("files", "shelf", OF_FILES),
    ("server", "other", OF_DUMPS),
    ("files", "server", OF_BUNDLES),
    ("server", "files", {}),
]


@pytest.fixture
def fleet(postgres_server: URL, logical_server: URL, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers of each engine."""
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        yield fleet


def cases(kind: dict[str, str], closing: bool = False) -> Any:
    """Source, target, point and what becomes of it."""
    found = []
    for source, target, more in PAIRS:
        points = kind | more | (CLOSED[source] if closing else {})
        # In full between files; between others what they do in another way, and the points in the middle of that.
        for number, (point, outcome) in enumerate(points.items()):
            if (source, target) == ("files", "shelf") or point in more or number % 3 == 2:
                found.append(pytest.param(source, target, point, outcome, id=f"{source}-{target}-{point}"))
    return pytest.mark.parametrize(("source", "target", "point", "outcome"), found)


def ended(fleet: Fleet, kind: str) -> str:
    """Be the worker that comes; returns what has become of the operation."""
    fleet.settle()
    with fleet.user_db.begin(read_only=True) as session:
        operation = session.scalars(select(Operation).where(Operation.kind == kind)).one()
        assert operation.state in ("succeeded", "failed"), operation.error
        assert operation.lease_owner is None
        if operation.state == "failed":
            assert operation.step is None
        return FINISHED if operation.state == "succeeded" else UNDONE


@cases(CLONE)
def test_a_clone(fleet: Fleet, source: str, target: str, point: str, outcome: str) -> None:
    acme = create_on(fleet, source, "acme")
    create_on(fleet, target, "globex")
    fill(fleet, acme)
    before, rows = made(fleet), content(fleet, acme)
    without_people = "remove_private_data" in point
    with hanging(fleet, "clone", "acme", "copy", server=target, point=point, without_people=without_people):
        pass
    assert ended(fleet, "clone") == outcome
    is_served(fleet, acme, rows)
    if outcome == UNDONE:
        assert made(fleet) == before
        work(fleet, "clone", "acme", "copy", server=target)
    if not without_people:
        is_served(fleet, place(fleet, "copy"), rows)
    nothing_is_wrong(fleet)


@pytest.mark.parametrize(("point", "outcome"), BRANCH.items())
def test_a_branch(fleet: Fleet, point: str, outcome: str) -> None:
    acme = create_on(fleet, "server", "acme")
    fill(fleet, acme)
    before, rows = made(fleet), content(fleet, acme)
    with hanging(fleet, "clone", "acme", "copy", point=point, for_days=1):
        pass
    assert ended(fleet, "clone") == outcome
    if outcome == UNDONE:
        assert made(fleet) == before
    with fleet.user_db.begin() as session:  # as if the fence had fallen
        session.execute(update(Tenant).values(migrating_until=None))
    is_served(fleet, acme, rows)
    nothing_is_wrong(fleet)


@pytest.mark.parametrize("server", ["files", "server"])
@pytest.mark.parametrize(("point", "outcome"), ADOPT.items())
def test_an_adoption(fleet: Fleet, server: str, point: str, outcome: str) -> None:
    foreign = Foreign(fleet, server)
    create_on(fleet, server, "globex")
    foreign.do("DROP TABLE alembic_version", "DROP TABLE tenant_identity")
    before, theirs = made(fleet), foreign.everything()
    with hanging(fleet, "adopt", "acme", foreign.name, server=server, point=point):
        pass
    assert ended(fleet, "adopt") == outcome
    if outcome == UNDONE:
        assert made(fleet) == before
        work(fleet, "adopt", "acme", foreign.name, server=server)
    is_served(fleet, place(fleet, "acme"), foreign.content())
    assert foreign.everything() == theirs
    nothing_is_wrong(fleet)


def is_moved_or_not(fleet: Fleet, source: str, target: str, point: str, outcome: str) -> None:
    acme = create_on(fleet, source, "acme")
    create_on(fleet, target, "globex")
    fill(fleet, acme)
    before, rows = made(fleet), content(fleet, acme)
    with hanging(fleet, "move", "acme", target, point=point):
        pass
    assert ended(fleet, "move") == outcome
    if outcome == UNDONE:
        assert made(fleet) == before
        assert place(fleet, "acme") == acme
        is_served(fleet, acme, rows)
        work(fleet, "move", "acme", target)
    assert place(fleet, "acme").server == target
    is_served(fleet, place(fleet, "acme"), rows)
    nothing_is_wrong(fleet)


@cases(MOVE, closing=True)
def test_a_move(fleet: Fleet, source: str, target: str, point: str, outcome: str) -> None:
    is_moved_or_not(fleet, source, target, point, outcome)


BY_REPLICATION = [
    ("server" if number % 3 else "twin", point, outcome) for number, (point, outcome) in enumerate(REPLICATED.items())
]


@pytest.mark.parametrize(("target", "point", "outcome"), BY_REPLICATION)
def test_a_move_by_replication(fleet: Fleet, target: str, point: str, outcome: str) -> None:
    is_moved_or_not(fleet, "other", target, point, outcome)
