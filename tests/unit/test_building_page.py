"""The page for builders shows code that is there, commands that exist, and settings that start."""

import re
from pathlib import Path

import click
import pytest

from tenantapp.cli import program

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "docs" / "building.md").read_text(), re.M | re.S)
EXCERPTS = [block for language, block in BLOCKS if language == "python" and block.startswith("# ")]
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]


def test_the_page_has_blocks() -> None:
    assert len(EXCERPTS) >= 12
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("block", EXCERPTS, ids=lambda block: block.splitlines()[-1].strip())
def test_code_is_taken_from_where_it_says(block: str) -> None:
    path, _, excerpt = block.removeprefix("# ").partition("\n")
    assert excerpt in (ROOT / path).read_text()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("tenantapp ")])
def test_commands_are_there(line: str) -> None:
    command: click.Command | None = program
    for word in line.split()[1:]:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    assert command is not None
    assert not isinstance(command, click.Group)


def test_the_settings_are_those_of_the_example() -> None:
    ((_, block),) = [(language, block) for language, block in BLOCKS if language == "ini"]
    lines = (ROOT / "examples" / "bookshop" / "development.ini").read_text().splitlines()
    assert set(filter(None, block.splitlines())) <= set(lines)
