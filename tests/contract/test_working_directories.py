"""What a killed process (SIGKILL) has left among the temporary files is customers' data; the next one removes it."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from tenantapp.databases.servers.working_directories import working_directory
from tenantapp.fleet.backups.export_kind import request_export
from tests.contract.conftest import Fleet
from tests.contract.copies import create_on, four_servers, hanging, work
from tests.contract.kept import Kept
from tests.contract.rows import fill

DAY = 86400


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files that this test has for itself, with the processes that it starts.

    Asked for last: the tests' servers have theirs elsewhere.
    """
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    return Kept(fleet)


def let_pass(directory: Path, seconds: float) -> None:
    """Let all that is in there have been written so long ago."""
    then = time.time() - seconds
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (then, then), follow_symlinks=False)


def is_left_and_then_removed(temporary: Path, again: Callable[[], object]) -> None:
    (left,) = temporary.iterdir()
    assert [file for file in left.iterdir() if file.stat().st_size]
    again()
    assert list(temporary.iterdir()) == [left]
    let_pass(left, 2 * DAY)
    again()
    assert list(temporary.iterdir()) == []


def test_of_an_export(kept: Kept, temporary: Path) -> None:
    kept.ask(request_export, "acme")
    kept.worker_killed_at("bundle.export:after")

    def again() -> None:
        kept.fleet.settle()
        kept.ask(request_export, "acme")
        kept.work()

    is_left_and_then_removed(temporary, again)


def test_of_a_copy(postgres_server: URL, logical_server: URL, tmp_path: Path, temporary: Path) -> None:
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        fill(fleet, create_on(fleet, "files", "acme"))
        point = "bundle.write:after"
        with hanging(fleet, "clone", "acme", "copy", server="server", point=point):
            pass
        fleet.settle()
        slugs = iter(("second", "third"))
        is_left_and_then_removed(temporary, lambda: work(fleet, "clone", "acme", next(slugs), server="server"))


def test_nothing_else_is_touched(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at work, what is somebody else's or nobody knows whose, and what leads elsewhere."""
    elsewhere = temporary / "elsewhere"
    (elsewhere / "inside").mkdir(parents=True)
    (elsewhere / "inside" / "file").write_text("mine")
    for name in ("tenantapp_copy_abcdefgh", "tenantapp_copy_of_mine", "tenantapp_copy_ofallIdid", "copy_abcdefgh"):
        (temporary / name).mkdir()
        (temporary / name / "bundle").write_text("data")
    (temporary / "tenantapp_copy_symlink0").symlink_to(elsewhere / "inside")
    (temporary / "tenantapp_copy_abcdefgh" / "link").symlink_to(elsewhere / "inside")
    (temporary / "tenantapp_copy_abcdefg9").write_text("a file")
    let_pass(temporary, 2 * DAY)
    before = {path.name for path in temporary.iterdir()}

    def after() -> set[str]:
        with working_directory("copy") as ours:
            assert list(ours.iterdir()) == []
            assert ours.stat().st_mode & 0o077 == 0
        return {path.name for path in temporary.iterdir()}

    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert after() == before
    # Somebody writes to a file that he made long ago.
    os.utime(temporary / "tenantapp_copy_abcdefgh" / "bundle")
    assert after() == before
    let_pass(temporary, 2 * DAY)
    assert after() == before - {"tenantapp_copy_abcdefgh"}
    assert (elsewhere / "inside" / "file").read_text() == "mine"
