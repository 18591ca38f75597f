"""A domain of one's own, outside the package: ``examples/bookshop``, in processes where only its models are loaded."""

import re
import shutil
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from tenantapp.tenancy.models import CORE_TABLES
from tenantapp.testing.postgres import ENVIRONMENT
from tests.contract.conftest import Fleet
from tests.contract.own_domain import COMMANDS, ROOT, run, run_with

BOOKSHOP = ROOT / "examples" / "bookshop"
TABLES = {"books", "sales", *CORE_TABLES}
MORE_MODELS = """
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from tenantapp.tenancy.models import TenantBase
from bookshop.models import Book

Book.isbn = mapped_column("isbn", Book.title.type, nullable=True)


class Review(TenantBase):
    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(ForeignKey(Book.id))
"""


@pytest.fixture
def bookshop(tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(BOOKSHOP, tmp_path / "bookshop", ignore=shutil.ignore_patterns("var", "*cache*")))


@pytest.mark.parametrize("example", ["bookshop", "inventory"])
def test_an_example_keeps_its_own_promises(postgres_server: URL, example: str) -> None:
    """On both engines in one run, as its builder tests it."""
    given = {ENVIRONMENT: postgres_server.render_as_string(hide_password=False), "CI": "true"}
    assert " passed" in run_with(given, ROOT / "examples" / example, "-m", "pytest", "-p", "no:cacheprovider")


def test_its_history_grows_with_its_models(fleet: Fleet, bookshop: Path) -> None:
    versions = bookshop / "bookshop" / "migrations" / "versions"
    shutil.rmtree(versions)
    run(
        fleet,
        bookshop,
        "-c",
        COMMANDS,
        "tenantapp revision tenant -m first",
        "tenantapp init",
        "tenantapp tenants create north",
        "tenantapp users add ann --password-stdin",
        "tenantapp grants add ann north --role author",
        given="correct horse battery\n",
    )
    (first,) = versions.glob("*_first.py")
    assert set(re.findall(r'create_table\(\s*"(\w+)"', first.read_text())) == TABLES
    # What the page about scripts types into pshell, the script that it shows, and its command.
    page = (ROOT / "docs" / "views.md").read_text()
    (typed,) = re.findall(r"^```python\n(ann = .*?)^```", page, re.M | re.S)
    (script,) = re.findall(r"^```python\n(import sys\n.*?)^```", page, re.M | re.S)
    run(fleet, bookshop, "-m", "pyramid.scripts.pshell", "-p", "python", "development.ini", given=typed)
    assert run(fleet, bookshop, "-c", script, "development.ini").splitlines()[-1] == "north: 3 copies"
    (command,) = re.findall(r"^```python\n# bookshop/commands.py\n(.*?)^```", page, re.M | re.S)
    (bookshop / "bookshop" / "commands.py").write_text(command)
    reviews = bookshop / "bookshop" / "reviews"
    reviews.mkdir()
    (reviews / "__init__.py").touch()
    (reviews / "models.py").write_text(MORE_MODELS)
    printed = run(
        fleet,
        bookshop,
        "-c",
        COMMANDS,
        'tenantapp revision tenant -m "ISBN and reviews"',
        "tenantapp revision tenant --empty -m moved",
        "alembic -c development.ini -n tenant -x tenant=north upgrade head",
        "alembic -c development.ini -n tenant -x tenant=north check",
        "tenantapp stock north --login ann",
    )
    (second,) = versions.glob("*_isbn_and_reviews.py")
    assert str(second) in printed
    assert len(list(versions.glob("*_moved.py"))) == 1
    assert re.search(r'create_table\(\s*"reviews"', second.read_text())
    assert 'add_column(sa.Column("isbn"' in second.read_text()
    assert "No new upgrade operations detected." in printed
    assert printed.splitlines()[-1] == "Emma: 3"
