"""``make schemas`` says on which versions of PostgreSQL it could not run."""

import pytest

from tests.postgres import programs_by_major
from tests.schemas.constructs import all_constructs
from tests.schemas.versions import WANTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not any(argument.endswith("each.py") for argument in config.args):
        return
    number = len(all_constructs())
    for major in sorted(WANTED - programs_by_major().keys()):
        terminalreporter.write_line(f"There is no PostgreSQL {major} here: {number} constructs were not tried on it.")
