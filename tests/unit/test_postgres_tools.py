"""The tools of PostgreSQL are chosen by the version of the server."""

import os
from pathlib import Path

import pytest

from tenantapp.fleet.backups.postgres_tools import choose_tools, version_of
from tenantapp.fleet.errors import BackupRefused


@pytest.fixture
def directories(tmp_path: Path) -> str:
    """Tools of 18, 15 and 16, and a pg_dump of 17 without a pg_restore."""
    for version in ("18.4", "15.18", "16.14", "17.6"):
        (tmp_path / version).mkdir()
        for tool in ("pg_dump", "pg_restore") if version != "17.6" else ("pg_dump",):
            (tmp_path / version / tool).write_text(
                f"#!/bin/sh\necho '{tool} (PostgreSQL) {version} (Debian {version}-1)'\n"
            )
            (tmp_path / version / tool).chmod(0o755)
    return os.pathsep.join(map(str, (tmp_path / "missing", *sorted(tmp_path.iterdir(), reverse=True))))


def test_the_oldest_that_are_no_older_than_what_they_work_on(directories: str) -> None:
    wanted = {(14, 2): "15.18", (15, 99): "15.18", (16, 0): "16.14", (17, 1): "18.4", (18, 4): "18.4"}
    assert {version: choose_tools(directories, version).version for version in wanted} == wanted
    chosen = choose_tools(directories, (15, 18), (16, 14))
    assert (chosen.version, Path(chosen.path("pg_restore")).parent.name) == ("16.14", "16.14")


def test_without_any_that_fit_it_says_what_to_set(directories: str, tmp_path: Path) -> None:
    with pytest.raises(
        BackupRefused, match=r"has version 18\.4, and 19 is needed; let the setting backups\.postgres_bin"
    ):
        choose_tools(directories, (19, 1))
    with pytest.raises(BackupRefused, match="there is no pg_dump in"):
        choose_tools(str(tmp_path / "17.6"), (15, 1))
    (tmp_path / "15.18" / "pg_dump").write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    with pytest.raises(BackupRefused, match=r"pg_dump does not work \(it is broken\)"):
        choose_tools(directories, (15, 1))


def test_versions() -> None:
    assert [version_of(text) for text in ("16.4", "18beta1", "pg_dump (PostgreSQL) 15.18 (Debian 15.18-1)", "")] == [
        (16, 4), (18,), (15, 18), (0,),
    ]  # fmt: skip
