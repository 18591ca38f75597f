"""The commands that make tenants of others and of databases that are there, and that move them. On SQLite."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tenantapp.sql.times import utcnow
from tests.functional.conftest import Command


@pytest.fixture
def done(ini: Path, done: Command) -> Command:
    """With a second server, and a tenant."""
    text = ini.read_text()
    ini.write_text(text.replace("demo.enabled", "servers.shelf = sqlite+pysqlite:///%(here)s/shelf/\ndemo.enabled"))
    done("tenants", "create", "acme")
    return done


def tenants(done: Command) -> dict[str, tuple[str, str, str]]:
    rows = done("tenants", "list", "--json").json["items"]
    return {row["slug"]: (row["name"], row["server"], row["state"]) for row in rows}


def test_clone(done: Command, failed: Callable[..., str]) -> None:
    out = done("tenants", "clone", "acme", "copy", "--name", "A copy", "--without-people").out
    assert out.startswith("The tenant copy is ready: tenant_")
    row = done("tenants", "clone", "acme", "third", "--server", "shelf", "--json").json
    assert (row["slug"], row["server"], row["method"]) == ("third", "shelf", "copy")
    assert tenants(done)["copy"] == ("A copy", "main", "active")
    assert tenants(done)["third"] == ("third", "shelf", "active")
    assert "no tenant nobody" in failed("tenants", "clone", "nobody", "x")
    assert "already" in failed("tenants", "clone", "acme", "copy")
    assert "A slug is" in failed("tenants", "clone", "acme", "x" * 300)
    assert "no server moon" in failed("tenants", "clone", "acme", "x", "--server", "moon")


def test_branch(done: Command, failed: Callable[..., str]) -> None:
    out = done("tenants", "branch", "acme", "debug", "--expires", "7d", "--without-people").out
    assert out.startswith("The tenant debug is ready: tenant_")
    shown = done("tenants", "show", "debug", "--json").json
    assert timedelta(days=6) < datetime.fromisoformat(shown["expires_at"]) - utcnow() < timedelta(days=7)
    assert done("tenants", "expire", "debug", "--in", "12h").out.startswith("The tenant debug expires at 20")
    assert done("tenants", "expire", "debug", "--never").out == "The tenant debug never expires.\n"
    assert done("tenants", "show", "debug", "--json").json["expires_at"] is None
    assert failed("tenants", "expire", "acme", "--in", "1d") == "The tenant acme is no branch. Only branches expire"
    for wrong in ("7", "-7d", "1.5h", "7 d", "\u0667d", "9999999d"):
        assert "12h or 7d" in failed("tenants", "branch", "acme", "other", "--expires", wrong)
    assert "365 days" in failed("tenants", "branch", "acme", "other", "--expires", "999999d")
    assert "--expires" in failed("tenants", "branch", "acme", "other")
    assert "--never" in failed("tenants", "expire", "debug")
    assert set(tenants(done)) == {"acme", "debug"}


def test_move(done: Command, failed: Callable[..., str]) -> None:
    assert failed("tenants", "move", "acme", "--server", "main") == "The tenant acme is on the server main already"
    assert "no server moon" in failed("tenants", "move", "acme", "--server", "moon")
    out = done("tenants", "move", "acme", "--server", "shelf").out
    assert out.startswith("The tenant acme is ready: tenant_")
    assert out.endswith(" on shelf (copy).\n")
    assert tenants(done)["acme"] == ("acme", "shelf", "active")
    assert done("fleet", "verify").status == 0
    assert done("fleet", "reconcile").status == 0
    states = {row["kind"]: row["state"] for row in done("operations", "list", "--json").json["items"]}
    assert states == {"create": "succeeded", "move": "succeeded", "discard": "queued"}


def test_adopt(done: Command, failed: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = done("tenants", "show", "acme", "--json").json["database"]
    done("tenants", "clone", "acme", "copy")
    done("tenants", "delete", "acme", "--now", "--yes", "--without-copy")
    monkeypatch.chdir(tmp_path)
    assert "Could not connect to the database" in failed("tenants", "adopt", "x", "--database", f"{database}.sqlite")
    copy = done("tenants", "show", "copy", "--json").json["database"]
    theirs = tmp_path / "theirs.sqlite"
    theirs.write_bytes((tmp_path / "tenants" / f"{copy}.sqlite").read_bytes())
    assert "is that of the tenant copy" in failed("tenants", "adopt", "bought", "--database", "theirs.sqlite")
    done("tenants", "delete", "copy", "--now", "--yes", "--without-copy")
    before = theirs.read_bytes()
    assert done("tenants", "adopt", "bought", "--database", "theirs.sqlite", "--name", "Bought in").out
    assert tenants(done) == {"bought": ("Bought in", "main", "active")}
    assert theirs.read_bytes() == before


def test_detached(done: Command) -> None:
    operations = [
        done("tenants", "clone", "acme", "copy", "--detach").out.strip(),
        done("tenants", "move", "acme", "--server", "shelf", "--detach").out.strip(),
    ]
    assert all(UUID(operation) for operation in operations)
    assert tenants(done)["copy"][2] == "creating"
    out = done("worker", "--until-idle").out
    assert all(f"{operation} " in out for operation in operations)
    assert tenants(done)["copy"][2] == "active"
    assert tenants(done)["acme"][1] == "shelf"
