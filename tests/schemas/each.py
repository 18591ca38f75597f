"""Each construct through every verb, on every PostgreSQL that can be had and on SQLite: ``make schemas``.

It is exact, or it is refused by name. On the newest version each is alone, on the others those that go the same ways
are together.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from tenantapp.operations.errors import FleetError
from tests.postgres import own_postgres, programs_by_major
from tests.schemas.constructs import Construct, all_constructs, grouped, together
from tests.schemas.sqlite_state import directories
from tests.schemas.verbs import schemas
from tests.schemas.versions import PROMISED

# A move takes the tenant from its server, so it is the last.
VERBS = ("clone", "branch", "backup", "bundle", "delete", "restore", "move")
MAJORS = list(programs_by_major())
CASES = [
    (major, each)
    for major, those in ((major, [each for each in all_constructs() if each.is_on(major)]) for major in MAJORS)
    for each in (those if major == MAJORS[-1] else grouped(those))
]
ON_SQLITE = all_constructs("sqlite")
Pair = Callable[[int], dict[str, URL]]


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """Starts two servers of a major version, when they are first wanted."""
    with ExitStack() as stack:

        @cache
        def started(major: int) -> dict[str, URL]:
            programs = programs_by_major()[major]
            return {
                name: stack.enter_context(own_postgres(programs=programs, wal_level="logical"))
                for name in ("main", "other")
            }

        yield started


@pytest.mark.parametrize(("major", "construct"), CASES, ids=[f"{each.name}-{major}" for major, each in CASES])
def test_it_is_exact_or_refused_by_name(pair: Pair, tmp_path: Path, major: int, construct: Construct) -> None:
    goes_every_way(pair(major), tmp_path, construct)


@pytest.mark.parametrize("construct", ON_SQLITE, ids=[each.name for each in ON_SQLITE])
def test_it_is_exact_or_refused_by_name_on_sqlite(tmp_path: Path, construct: Construct) -> None:
    goes_every_way(directories(tmp_path, "main", "other"), tmp_path, construct)


def goes_every_way(servers: dict[str, URL], directory: Path, construct: Construct) -> None:
    """From the first server to the other one at the end."""
    with schemas(servers, directory, construct) as tenant:
        for verb in VERBS:
            if verb == "delete" and "clone" in construct.refused:
                continue  # it would be the clone
            words = construct.refused.get("clone" if verb == "branch" else verb)
            if words is None:
                assert getattr(tenant, f"by_{verb}")() == {}, verb
            else:
                with pytest.raises(FleetError, match=words):
                    getattr(tenant, f"by_{verb}")()
                assert tenant.lost() == {}, verb


def test_all_together_go_to_each_newer_version_and_not_back(pair: Pair, tmp_path: Path) -> None:
    known = [each for each in all_constructs() if all(each.is_on(major) for major in MAJORS)]
    construct = together([each for each in known if {"backup", "move"}.isdisjoint(each.refused)])
    names = [f"v{major}" for major in MAJORS]
    with schemas({f"v{major}": pair(major)["main"] for major in MAJORS}, tmp_path, construct) as tenant:
        for older, newer in pairwise(names):
            tenant.read_original(printer=newer)
            assert tenant.by_backup(f"on-{newer}", server=newer) == {}, newer
            assert tenant.by_move(newer) == {}, newer
            tenant.succeeded(tenant.backup())
            with pytest.raises(FleetError, match=rf"the server {older} has [0-9.]+, which is older"):
                tenant.restore_as("acme", "older", server=older)


def test_the_versions_that_are_promised_are_here() -> None:
    assert "CI" not in os.environ or set(MAJORS) >= PROMISED
