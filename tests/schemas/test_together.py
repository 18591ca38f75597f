"""What builders have in their schemas comes through a clone, a branch, a backup and a bundle as it was.

``make schemas`` does this for each construct alone, with all verbs.
"""

from pathlib import Path

from sqlalchemy.engine import URL

from tests.schemas.constructs import all_constructs, together
from tests.schemas.sqlite_state import directories
from tests.schemas.state import major_of
from tests.schemas.verbs import schemas


def test_nothing_is_lost_on_sqlite(tmp_path: Path) -> None:
    construct = together([each for each in all_constructs("sqlite") if not each.refused])
    with schemas(directories(tmp_path, "main"), tmp_path, construct) as tenant:
        assert len(tenant.original) > 30
        assert (tenant.by_clone(), tenant.by_branch()) == ({}, {})
        assert (tenant.by_backup(), tenant.by_bundle(), tenant.lost()) == ({}, {}, {})


def test_nothing_is_lost(postgres_server: URL, tmp_path: Path) -> None:
    major = major_of(postgres_server)
    construct = together([each for each in all_constructs() if each.is_on(major) and not each.refused])
    with schemas({"main": postgres_server}, tmp_path, construct) as tenant:
        assert len(tenant.original) > 30
        assert (tenant.by_clone(), tenant.by_branch()) == ({}, {})
        assert (tenant.by_backup(), tenant.by_bundle(), tenant.lost()) == ({}, {}, {})
