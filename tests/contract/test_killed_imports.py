"""Imports killed (SIGKILL) at each of their points: another worker undoes or finishes it, and the slug is free."""

from pathlib import Path
from typing import Any

import pytest

from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import check_importable, request_import
from tests.contract.conftest import Fleet
from tests.contract.health import nothing_is_left_over, works
from tests.contract.kept import BY, Kept
from tests.contract.killed import BEGINNING, END, each


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


def request(kept: Kept, file: Path) -> Any:
    manifest = check_importable(kept.fleet.settings, file)
    return kept.within(
        lambda session: (
            request_import(session, kept.fleet.services, file, "again", manifest=manifest, requested_by=BY).id
        )
    )


@each(
    BEGINNING,
    "bundle.make_tables:before",
    "bundle.make_tables:after",
    "bundle.replace_rows:after",
    "bundle.load:after",
    "identity.write:after",
    *END,
    postgresql=("role.create:after", "database.create:after"),
)
def test_never_half(kept: Kept, tmp_path: Path, point: str) -> None:
    file = tmp_path / "acme.bundle"
    export_bundle(kept.fleet.services, kept.place(), file)
    operation = request(kept, file)
    kept.worker_killed_at(point)
    kept.fleet.settle()
    state = kept.outcome(operation).state
    # Rows are loaded once: what was begun is undone. Files are carried afterwards, and that is gone on with.
    assert state == ("succeeded" if point in (BEGINNING, *END) else "failed")
    assert kept.slugs() == (["acme", "again"] if state == "succeeded" else ["acme"])
    nothing_is_left_over(kept)
    if state == "failed":
        kept.done(request(kept, file))
    assert (kept.tags("again"), kept.tags()) == (["first"], ["first"])
    assert kept.databases() == {kept.place().database, kept.place("again").database}
    works(kept.fleet, "again")
