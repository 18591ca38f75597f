"""``tenantapp check`` names what the developers of a domain should mend."""

import logging
from pathlib import Path

import pytest

from tenantapp import main
from tenantapp.databases.histories.histories import bundled
from tests.functional.conftest import INI, Command

UNINDEXED = """
from tenantapp.resources import Flag, Owned, Resource

def includeme(config):
    from unindexed.models import Node
    from tenantapp.content import Content

    class Leaf(Content):
        title: str
        body: str
        status: str

    leaves = Resource(
        "leaves", Node, body=Leaf, read="content.read", write="content.create", noun="leaf",
        owner=Owned(Node.owner_id, over="content.edit_any"),
        filters={"body": Node.body, "title": Node.title, "top": Flag(Node.parent_id.is_(None))},
        sorts={"id": Node.id, "made": Node.created_at},
    )
    config.add_resource(leaves)
"""
NAMED = [
    "The filter body of the resource leaves has no index on body and id.",
    "The filter top of the resource leaves has no index.",
    "The sort made of the resource leaves has no index on created_at and id.",
]


@pytest.fixture
def unindexed(ini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with a domain of its own."""
    package = tmp_path / "unindexed"
    package.mkdir()
    (package / "models.py").write_text("from tenantapp.workspace.models import Node as Node\n")
    (package / "__init__.py").write_text(UNINDEXED)
    monkeypatch.syspath_prepend(str(tmp_path))
    ini.write_text(f"{INI}tenantapp.domain = unindexed\nmigrations.tenant = {bundled('tenant')}\n")
    return ini


def test_the_bundled_domain_has_nothing_to_mend(run: Command, ini: Path) -> None:
    assert (run("check").out, run("check", "--json").json) == ("", {"items": []})


def test_filters_and_sorts_without_an_index_are_named(run: Command, unindexed: Path) -> None:
    result = run("check", "--json")
    assert result.status == 1
    assert [row["found"] for row in result.json["items"]] == NAMED
    assert "3 to mend" in result.err


def test_the_start_names_them_too(unindexed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    files = f"sqlite+pysqlite:///{tmp_path}/"
    values = {"user_db.url": f"{files}user.sqlite", "servers.main": f"{files}tenants/"}
    main({}, **values, **{"tenantapp.domain": "unindexed", "migrations.tenant": str(bundled("tenant"))})
    assert [record.message for record in caplog.records if "no index" in record.message] == NAMED
