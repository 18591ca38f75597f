"""The commands of the domain: those that its module ``commands`` lists in ``COMMANDS``.

They are loaded only if a command is not one of ours, and for the list in the help. So no other command pays for them.
"""

import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

MODULE: Final = "commands"
LISTED: Final = "COMMANDS"
NAMES_DOMAIN: Final = re.compile(r"^[ \t]*(tenantapp\.domain|use[ \t]*=[ \t]*config:)", re.M)
VARIABLE: Final = "TENANTAPP_TENANTAPP_DOMAIN"


class DomainCommandsError(click.ClickException):
    """The commands of the domain cannot be used. The message is one sentence."""


def domain_commands(ini: Path, ours: Sequence[str]) -> Mapping[str, click.Command]:
    """Return the commands of the domain that an ini file names, by name. ``ours`` are the names that are taken.

    Raises ``DomainCommandsError``, and the ``SettingsError`` of a wrong setting.
    """
    if not _may_name_domain(ini):
        return {}
    from tenantapp.cli.installation import Installation
    from tenantapp.settings import BUNDLED_DOMAIN

    domain = Installation(ini).settings.tenantapp_domain
    return {} if domain == BUNDLED_DOMAIN else _named(f"{domain}.{MODULE}", _commands_in(f"{domain}.{MODULE}"), ours)


def _may_name_domain(ini: Path) -> bool:
    """Return whether there is another domain than the bundled one, as far as a look at the text tells."""
    try:
        return VARIABLE in os.environ or NAMES_DOMAIN.search(ini.read_text()) is not None
    except (OSError, UnicodeError):
        return False  # the command that needs the file says why


def _commands_in(module: str) -> Any:
    """Return what a module lists, or nothing if there is no such module. Raises ``DomainCommandsError``."""
    try:
        if find_spec(module) is None:
            return ()
        found = import_module(module)
    except Exception as error:  # the domain is code of the builder
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise DomainCommandsError(f"{module} cannot be imported ({type(error).__name__}: {said})") from error
    if not hasattr(found, LISTED):
        raise DomainCommandsError(f"{module} has no list {LISTED} of its commands")
    return getattr(found, LISTED)


def _named(module: str, listed: Any, ours: Sequence[str]) -> Mapping[str, click.Command]:
    named: dict[str, click.Command] = {}
    for command in listed if isinstance(listed, Sequence) else (listed,):
        if not isinstance(command, click.Command) or not command.name:
            raise DomainCommandsError(f"{LISTED} in {module} has {command!r}, which is no command of click")
        if command.name in ours or command.name in named:
            whose = "tenantapp" if command.name in ours else module
            raise DomainCommandsError(f"{module} has a command {command.name}, and so has {whose}: name it otherwise")
        named[command.name] = command
    return named
