"""Files that only their owner may read, and files that are no files."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.conftest import Command


@pytest.fixture(params=[0o022, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_what_commands_make_is_for_its_owner_alone(
    umask: None, ini: Path, tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTAPP_BACKUPS_STORE", str(tmp_path / "backups"))
    theirs = set(tmp_path.rglob("*"))
    for command in (
        "init",
        "tenants create acme",
        "tenants clone acme globex",
        "tenants backup acme",
        f"tenants export acme {tmp_path}/acme.bundle",
        f"tenants import {tmp_path}/acme.bundle initech",
        "tenants restore acme --yes",
        "tenants delete globex --now",
    ):
        result = run(*command.split(" "))
        assert (result.status, result.err) == (0, ""), command
    made = {path: stat.S_IMODE(path.stat().st_mode) for path in set(tmp_path.rglob("*")) - theirs}
    assert len(made) > 8
    assert {path: oct(mode) for path, mode in made.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


@pytest.fixture
def no_files(tmp_path: Path) -> Iterator[list[Path]]:
    """A FIFO, a socket, a directory, and a link to the FIFO."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        yield [tmp_path / name for name in ("fifo", "socket", "directory", "link")]


def test_what_is_no_file_is_refused_and_waited_for_by_nobody(
    done: Command, run: Command, failed: Callable[..., str], no_files: list[Path], tmp_path: Path
) -> None:
    for path in [*no_files, Path("/dev/zero")]:
        refused = failed("tenants", "adopt", "acme", "--database", str(path))
        assert "is not a regular file" in refused
        for command in (["tenants", "import", str(path), "acme"], ["tenants", "create", "--from", str(path)]):
            refused = run(*command)
            assert refused.status != 0
            assert refused.err.count("\n") == 1
    assert done("tenants", "list", "--json").json == {"items": []}
