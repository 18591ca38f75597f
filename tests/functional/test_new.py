"""``tenantapp new``: what it refuses, and that it writes nothing then."""

import difflib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "tenantapp" / "scaffold" / "templates"

Failed = Callable[..., str]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *(
            (name, "is no name for a package")
            for name in ("", "Stock", "stock-room", "7up", "_x", "x_", "vorräte", "x/y")
        ),
        *((name, "is no name for a package") for name in ("../x", "x\0y", "x" * 31)),
        ("class", "is a keyword of Python"),
        ("json", "a module of the standard library"),
        ("pyramid", "There is a module pyramid"),
        ("tests", "There is a module tests"),
        ("fleet", "Settings that begin with fleet."),
        ("servers", "Settings that begin with servers."),
    ],
)
def test_names_that_are_none(
    failed: Failed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in failed("new", name)
    assert list(tmp_path.iterdir()) == []


def test_places_that_are_none(failed: Failed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    full, file, link = tmp_path / "full", tmp_path / "file", tmp_path / "link"
    full.mkdir()
    (full / "mine").write_text("mine")
    file.write_text("mine")
    link.symlink_to("elsewhere")
    for place, said in ((full, "is not empty"), (file, "is no directory"), (link, "is no directory")):
        assert said in failed("new", "stock", "--directory", str(place))
    assert "There is no directory" in failed("new", "stock", "--directory", "no/where")
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "mine", "file", "link"}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("PRAGMA user_version = 1", "has no tables"),
        ("CREATE VIEW one AS SELECT 1", "has no tables"),
        ("CREATE TABLE alembic_version (version_num TEXT)", "has no tables"),
        ("CREATE TABLE tenant_identity (id TEXT)", "is that of a tenant already"),
    ],
)
def test_databases_that_give_nothing(
    failed: Failed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("theirs.db")) as connection:
        connection.execute(statement)
    assert said in failed("new", "stock", "--from-database", "sqlite+pysqlite:///theirs.db")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.db"]


def test_databases_that_cannot_be_read(failed: Failed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nonsense").write_bytes(b"nonsense" * 1000)
    for url, said in (
        ("sqlite+pysqlite:///nowhere.db", "There is no database nowhere.db"),
        ("sqlite+pysqlite:////tmp", "There is no database /tmp"),
        ("sqlite+pysqlite:///nonsense", "the database nonsense"),
        ("postgresql+psycopg2://nobody@127.0.0.1:1/theirs", "the database theirs"),
        ("mysql://theirs", "--from-database must begin with one of: sqlite+pysqlite://, postgresql"),
        ("theirs.db", "--from-database is not a database URL"),
    ):
        assert said in failed("new", "stock", "--from-database", url)
    assert [path.name for path in tmp_path.iterdir()] == ["nonsense"]


def test_the_settings_for_a_server_are_those_that_we_recommend() -> None:
    ours = (ROOT / "production.ini").read_text().splitlines()
    theirs = (TEMPLATES / "common" / "production.ini.tmpl").read_text().splitlines()
    changes = [line for line in difflib.ndiff(ours, theirs) if line[0] in "+-"]
    settings = [line for line in changes if line[2:] and line[2] not in "#[" and "@@package" not in line]
    # A logger of its own has these, like ours.
    assert set(settings) <= {"+ level = INFO", "+ handlers =", "- keys = root, tenantapp, gunicorn", *_history(ours)}


def _history(lines: list[str]) -> list[str]:
    return [f"- {line}" for line in lines if line.startswith("script_location") and line.endswith("/tenant")]
