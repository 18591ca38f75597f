"""The page about the plugin, as a builder follows it, where there is no PostgreSQL."""

import re
import shutil
from pathlib import Path

import pytest

from tenantapp.testing.postgres import ENVIRONMENT
from tests.contract.own_domain import ROOT, run_with

PAGE = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
EXCERPTS = [block.removeprefix("# ") for block in BLOCKS if block.startswith("# ")]
CONFTEST, SETTINGS, LEAKS = (
    next(block for block in BLOCKS if block.startswith(beginning))
    for beginning in ("pytest_plugins", "@pytest.fixture", "def test_no_shop")
)
NOWHERE = {ENVIRONMENT: "postgresql://nobody@127.0.0.1:1/"}
WHAT_IT_SAYS = f"The PostgreSQL server in {ENVIRONMENT} does not answer (connection to server at"


@pytest.mark.parametrize("block", EXCERPTS, ids=lambda block: block.splitlines()[1].strip())
def test_what_the_page_shows_is_in_the_tests_of_the_bookshop(block: str) -> None:
    path, _, excerpt = block.partition("\n")
    assert excerpt in (ROOT / path).read_text()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The bookshop, with no other tests than those that the page tells to write."""
    bookshop = ROOT / "examples" / "bookshop"
    for name in ("development.ini", "pyproject.toml"):
        shutil.copy(bookshop / name, tmp_path)
    shutil.copytree(bookshop / "bookshop", tmp_path / "bookshop", ignore=shutil.ignore_patterns("*cache*"))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(f"import pytest\n\n{CONFTEST}\n{SETTINGS}")
    batch = "\n\ndef test_settings(installation):\n    assert installation.registry.app_settings.api_batch == 10\n"
    (tmp_path / "tests" / "test_bookshop.py").write_text(LEAKS + batch)
    return tmp_path


def pytest_in(project: Path, *options: str, status: int = 0, **variables: str) -> str:
    """Run the tests of a project, and return what is printed. Plugins of other packages take a second to import."""
    others = ("schemathesis", "hypothesispytest", "anyio", "cacheprovider", "xdist")
    without = [word for name in others for word in ("-p", f"no:{name}")]
    return run_with({**NOWHERE, **variables}, project, "-m", "pytest", *without, *options, status=status)


def test_the_page_can_be_followed_without_postgresql(project: Path) -> None:
    elsewhere = {"TENANTAPP_USER_DB_URL": "sqlite+pysqlite:////nowhere/user.sqlite", "TENANTAPP_API_BATCH": "99"}
    printed = pytest_in(project, "-rs", CI="", **elsewhere)  # with CI=true, they would fail
    assert "2 passed, 2 skipped" in printed
    assert WHAT_IT_SAYS in printed


def test_what_is_missing_is_said_and_fails(project: Path) -> None:
    lacking = pytest_in(project, "-k", "settings and postgresql", status=1, CI="true")
    assert "1 error" in lacking
    assert WHAT_IT_SAYS in lacking
    wrong = pytest_in(project, "-o", "tenantapp_engines=sqlite", "-o", "tenantapp_ini=no.ini", status=1)
    assert "2 errors" in wrong
    assert "postgresql" not in wrong
    assert f"There is no file {project}/no.ini" in wrong
    assert "The setting tenantapp_ini of pytest names the ini file of the domain." in wrong
