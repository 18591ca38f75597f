"""The name of a new package: an identifier, and nobody else's."""

import keyword
import re
import sys
from importlib.util import find_spec
from typing import Final

from tenantapp.scaffold.errors import ScaffoldRefused
from tenantapp.setting_table import TABLE
from tenantapp.settings import FOREIGN_PREFIXES, OF_A_SERVER

# It is also the name of a distribution, which ends in a letter or a digit:
# https://packaging.python.org/en/latest/specifications/name-normalization/
NAME: Final = re.compile(r"[a-z]([a-z0-9_]*[a-z0-9])?")
LENGTH: Final = 30
TESTS: Final = "tests"  # the directory of its tests


def check_name(name: str) -> None:
    """Raise ``ScaffoldRefused`` if no new package can have this name."""
    if not NAME.fullmatch(name) or len(name) > LENGTH:
        raise ScaffoldRefused(
            f"{name!r} is no name for a package: it has at most {LENGTH} small letters, digits and underscores, begins "
            "with a letter, and does not end with an underscore"
        )
    if keyword.iskeyword(name):
        raise ScaffoldRefused(f"{name} is a keyword of Python, so no package can have this name")
    if name in sys.stdlib_module_names:
        raise ScaffoldRefused(f"{name} is a module of the standard library: choose another name")
    if name == TESTS or _is_installed(name):
        raise ScaffoldRefused(f"There is a module {name} already: choose another name")
    if name in _beginnings_of_settings():
        raise ScaffoldRefused(f"Settings that begin with {name}. are not for a package: choose another name")


def _beginnings_of_settings() -> set[str]:
    """Return what the names of our settings begin with. Those of a package begin with its name."""
    settings = (*(setting.name for setting in TABLE), *OF_A_SERVER, *FOREIGN_PREFIXES)
    return {setting.partition(".")[0] for setting in settings}


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return True  # something of this name is there, and is broken
