"""The command that sweeps files. On SQLite."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from tenantapp.sql.ids import uuid7
from tests.functional.conftest import Command


def test_content_without_a_row_is_swept(ini: Path, tmp_path: Path, done: Command, failed: Callable[..., str]) -> None:
    done("tenants", "create", "acme", "globex")
    assert "files.storage is not set" in failed("tenants", "sweep-files", "acme")
    ini.write_text(ini.read_text() + f"files.storage = {tmp_path}/stored\n")
    directory = tmp_path / "stored" / done("tenants", "show", "acme", "--json").json["id"].replace("-", "")
    directory.mkdir(parents=True)
    left = directory / uuid7().hex
    left.write_bytes(b"left")
    os.utime(left, (time.time() - 2 * 86400,) * 2)
    rows = done("tenants", "sweep-files", "--all", "--json").json["items"]
    assert [(row["slug"], row["removed"], row["bytes"]) for row in rows] == [("acme", 1, 4), ("globex", 0, 0)]
    assert not left.exists()
    assert "acme" in done("tenants", "sweep-files", "acme").out
    operation = done("tenants", "sweep-files", "acme", "--detach").out.strip()
    done("worker", "--until-idle")
    assert done("operations", "show", operation, "--json").json["result"] == {"removed": 0, "bytes": 0}
    for wrong in ((), ("acme", "--all")):
        assert "Name tenants" in failed("tenants", "sweep-files", *wrong)
    assert "no tenant nosuch" in failed("tenants", "sweep-files", "nosuch")
