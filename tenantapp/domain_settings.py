"""The settings of the domain: ``config.add_setting`` declares one, and those that nothing declares end the start."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pyramid.config import Configurator

from tenantapp.setting_table import TABLE, Setting
from tenantapp.setting_types import decimal_number, flag, integer, text
from tenantapp.settings import SettingsError, read_setting, refuse_undeclared

NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
# What may be declared in place of a parser.
PARSERS: Final[Mapping[Any, Callable[[str], Any]]] = {int: integer, float: decimal_number, bool: flag, str: text}


@contextmanager
def settings_of_domain(config: Configurator, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Let the domain, which the block includes, declare its settings. Their values are in ``registry.domain_settings``.

    Raises ``SettingsError`` if a setting is wrong, or if one is given that the domain has not declared.
    """
    registry = config.registry
    declared: dict[str, Setting] = {}
    registry.domain_settings = {}

    def add_setting(
        config: Configurator,
        name: str,
        type: Callable[[str], Any],
        default: str | float | None,
        description: str,
        *,
        required: bool = False,
    ) -> Any:
        """Declare a setting of the domain, and return its value.

        ``config.add_setting("inventory.page_size", int, 50, "products on a page")``. The name begins with that of the
        package. The type is ``str``, ``int``, ``float``, ``bool``, or a parser that takes the text and raises
        ``ValueError`` with the rest of a sentence: "must be ...". None as the default means that there is no value; a
        ``required`` setting has no default. Raises ``SettingsError``.
        """
        setting = Setting(name, PARSERS.get(type, type), None if default is None else str(default), description)
        _check(setting, _prefix(config), declared)
        declared[name] = setting
        value = read_setting(setting, registry.app_settings.given, environment)
        if value is None and required:
            raise SettingsError(f"setting {name} is missing: it is {description}")
        registry.domain_settings[name] = value
        return value

    config.add_directive("add_setting", add_setting, action_wrap=False)
    yield
    refuse_undeclared(registry.app_settings, declared.values(), environment)


def _prefix(config: Configurator) -> str:
    """Return how the settings of a package begin: the domain, or one that the domain includes."""
    domain: str = config.registry.app_settings.tenantapp_domain
    included = config.package_name.partition(".")[0]
    return f"{domain if included == domain.partition('.')[0] else included}."


def _check(setting: Setting, prefix: str, declared: Mapping[str, Setting]) -> None:
    """Raise ``SettingsError`` for a slip in a declaration."""
    name = setting.name
    if not name.startswith(prefix) or not NAME.fullmatch(name.removeprefix(prefix)):
        raise SettingsError(f"setting {name} of the domain needs a name such as {prefix}page_size")
    if not setting.help.strip():
        raise SettingsError(f"setting {name} needs a description")
    for other in (*TABLE, *declared.values()):
        if setting.variable == other.variable:
            raise SettingsError(f"setting {name} would have the environment variable of {other.name}")
