"""What a domain declares, outside of the web application: loaded when it is needed, and only then."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.databases.histories.histories import bundled
from tests.functional.conftest import INI, Command
from tests.installation import Installation

STOCK = """
def includeme(config):
    config.registry.shelves = config.add_setting("stock.shelves", int, 1, "how many")
    config.add_permission("stock.count", "Count")
"""
LISTED = """
import sys
from tenantapp.cli import main
print(main(["tenants", "list", "--json"]))
print(*{name.partition(".")[0] for name in sys.modules} & {"pyramid", "zope", "stock"})
"""
RAISING = """
def includeme(config):
    raise RuntimeError("no shelves\\nat all")
"""
TWICE = """
def includeme(config):
    config.add_role("clerk", after="author")
    config.add_role("clerk", after="author")
"""
OPEN = """
def includeme(config):
    config.add_setting("stock.shelves", int, 1, "how many")
    config.add_route("shelf", "/shelf")
    config.add_view(lambda request: {}, route_name="shelf")
"""


@pytest.fixture
def stock(ini: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes a domain of one's own, which is not loaded yet, and configures it."""

    def written(source: str) -> None:
        (ini.parent / "stock.py").write_text(source)
        ini.write_text(f"{INI}tenantapp.domain = stock\nmigrations.tenant = {bundled('tenant')}\nstock.shelves = 7\n")
        monkeypatch.syspath_prepend(str(ini.parent))

    return written


def test_a_fleet_without_an_application_knows_what_the_domain_declared(stock: Callable[[str], None], ini: Path) -> None:
    stock(STOCK)
    with closing(CommandsInstallation(ini)) as installation:
        fleet = installation.fleet
        assert fleet.may_declare
        assert fleet.declared.declared_rights.permissions == {"stock.count": "Count"}
        assert fleet.declared.shelves == 7, "the domain reads its own settings"
        assert fleet.declared is fleet.declared


def test_in_the_application_they_are_those_of_the_application(installation: Installation) -> None:
    assert installation.registry.fleet.declared is installation.registry


def test_the_bundled_domain_has_no_declarations_to_load(ini: Path) -> None:
    with closing(CommandsInstallation(ini)) as installation:
        assert not installation.fleet.may_declare


def test_a_command_that_needs_no_declarations_loads_neither_the_domain_nor_pyramid(
    done: Command, stock: Callable[[str], None], ini: Path
) -> None:
    stock("raise RuntimeError('loaded')")
    ran = subprocess.run([sys.executable, "-c", LISTED], cwd=ini.parent, capture_output=True, text=True, check=True)
    assert (ran.stdout.split()[-1], ran.stderr) == ("0", "")  # and none of these modules


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (RAISING, "RuntimeError: no shelves"),
        ("import absent_shelves", "ModuleNotFoundError: No module named 'absent_shelves'"),
        (TWICE, "two roles called clerk"),
        (OPEN, "has no permission"),
    ],
)
def test_a_worker_and_a_command_say_in_one_sentence_why_the_domain_cannot_be_loaded(
    done: Command, stock: Callable[[str], None], failed: Callable[..., str], source: str, sentence: str
) -> None:
    stock(source)
    assert sentence in failed("worker", "--until-idle")
    assert sentence in failed("roles", "allow", "author", "stock.count")
