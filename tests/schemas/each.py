"""Each construct alone, through every verb: ``make schemas``. It is exact, or it is refused by name."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from tenantapp.operations.errors import FleetError
from tests.postgres import own_postgres
from tests.schemas.constructs import Construct, all_constructs
from tests.schemas.verbs import schemas

# A move takes the tenant from its server, so it is the last.
VERBS = ("clone", "backup", "bundle", "delete", "restore", "move")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, URL]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(own_postgres(wal_level="logical")) for name in ("main", "other")}


@pytest.mark.parametrize("construct", all_constructs(), ids=lambda each: each.name)
def test_it_is_exact_or_refused_by_name(servers: dict[str, URL], tmp_path: Path, construct: Construct) -> None:
    with schemas(servers, tmp_path, construct) as tenant:
        for verb in VERBS:
            words = construct.refused.get(verb)
            if words is None:
                assert getattr(tenant, f"by_{verb}")() == {}, verb
            else:
                with pytest.raises(FleetError, match=words):
                    getattr(tenant, f"by_{verb}")()
                assert tenant.lost() == {}, verb
