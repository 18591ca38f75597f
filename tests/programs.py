"""Programs from outside that not every machine has."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


class ProgramMissing(Exception):
    """A program is missing, and could not be fetched. The message says what to install."""


def needed(find: Callable[[], Path]) -> Path:
    """The program that is found so. Without it the tests are skipped, and under CI they fail."""
    try:
        return find()
    except ProgramMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
