"""A command is imported when it is asked for, and only then."""

import subprocess
import sys

import click
import pytest

from tenantapp.cli import COMMANDS, commands

PROGRAM = """
import sys
from tenantapp.cli import main
main(["migrate", "--help"])
print([name for name in sys.modules if name.startswith("tenantapp.")])
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_it_is_said_to_be(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_what_is_no_command_is_refused() -> None:
    assert commands.get_command(click.Context(commands), "nonsense") is None


def test_a_command_brings_no_other_one_along() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    others = {place.partition(":")[0] for place in COMMANDS.values()} - {"tenantapp.cli.migrate"}
    others |= {"tenantapp.fleet.kinds", "tenantapp.fleet.bundles.importing"}
    loaded = done.stdout.splitlines()[-1]
    assert "'tenantapp.cli.migrate'" in loaded
    assert [name for name in others if f"'{name}'" in loaded] == []
