"""Every setting tenantapp knows: one typed table, read once, failing at start-up.

A value comes from the ini file's ``[app:main]`` section or, with precedence, from the environment: the setting
``user_db.url`` is the variable ``TENANTAPP_USER_DB_URL``.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from plaster import get_settings
from sqlalchemy.engine import URL

from tenantapp.setting_table import BUNDLED_DOMAIN as BUNDLED_DOMAIN
from tenantapp.setting_table import ENVIRONMENT_PREFIX, TABLE
from tenantapp.setting_table import Setting as Setting
from tenantapp.setting_types import database_url

# Variables with our prefix that are not settings.
ENVIRONMENT_OTHERS: Final = frozenset({"TENANTAPP_INI", "TENANTAPP_TEST_POSTGRES_URL"})
# Settings of the libraries under us, which read and check them themselves.
FOREIGN_PREFIXES: Final = ("pyramid.", "debugtoolbar.", "tm.", "retry.", "pshell.")
DEFAULT_THREADS: Final = 4
SERVER_PREFIX: Final = "servers."
SERVER_VARIABLES: Final = f"{ENVIRONMENT_PREFIX}SERVERS_"
SERVER_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


class SettingsError(Exception):
    """A setting is wrong, missing or unknown. The message is one sentence that names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, parsed. Times are in seconds, sizes in bytes."""

    user_db_url: URL
    servers: Mapping[str, URL]
    tenantapp_domain: str
    tenancy_secret: str | None = field(repr=False)
    identity_registration: str
    session_idle_timeout: int
    session_absolute_timeout: int
    connections_budget: int | None
    connections_workers: int
    connections_timeout: float
    api_max_body: int
    migrations_user: str | None
    migrations_tenant: str | None
    migrations_oldest: str | None
    migrations_lock_timeout: float
    migrations_lock_attempts: int
    migrations_statement_timeout: float
    fleet_worker: int
    fleet_keep_operations: int
    demo_enabled: bool


def read_settings(values: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Parse the settings of an ini file's section, the environment taking precedence.

    Raises ``SettingsError`` for the first one that is unknown, missing or wrong.
    """
    given = {name: str(value).strip() for name, value in values.items()} | _from_environment(environment)
    own_prefix = f"{given.get('tenantapp.domain', BUNDLED_DOMAIN)}."
    _refuse_unknown(given, own_prefix)
    _refuse_unknown_variables(environment, own_prefix)
    parsed = {setting.attribute: _parse(setting, given.get(setting.name, setting.default)) for setting in TABLE}
    if parsed["user_db_url"] is None:
        raise SettingsError("setting user_db.url is missing: it says where the user database is")
    servers = {
        name.removeprefix(SERVER_PREFIX): _parse(_server_setting(name), value)
        for name, value in given.items()
        if name.startswith(SERVER_PREFIX)
    }
    if not servers:
        raise SettingsError("setting servers.main is missing: at least one server has to hold the tenant databases")
    if parsed["tenancy_secret"] is None and any(url.drivername.startswith("postgresql") for url in servers.values()):
        raise SettingsError("setting tenancy.secret is missing: PostgreSQL passwords are made of it")
    if parsed["tenantapp_domain"] != BUNDLED_DOMAIN and parsed["migrations_tenant"] is None:
        raise SettingsError(
            f"setting migrations.tenant is missing: it says where the migrations of {parsed['tenantapp_domain']} are"
        )
    return Settings(servers=servers, **parsed)


def read_setting(setting: Setting, values: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Any:
    """Parse a setting of the domain's own, whose name begins with that of its package. Raises ``SettingsError``."""
    value = environment.get(setting.variable, values.get(setting.name, setting.default))
    return _parse(setting, None if value is None else str(value).strip())


def server_threads(global_config: Mapping[str, str] | None) -> int:
    """How many threads the ini file's server section asks for; waitress has four if it does not say."""
    path = (global_config or {}).get("__file__")
    # With what the command line set, for the section may be written in terms of it.
    section = get_settings(path, "server:main", dict(global_config or {})) if path else {}
    threads = str(section.get("threads", DEFAULT_THREADS))
    return int(threads) if threads.isdecimal() else DEFAULT_THREADS


def check_budget(settings: Settings, threads: int) -> None:
    """Refuse a budget of connections that could not serve all of the server's threads at once. Raises."""
    if settings.connections_budget is not None and settings.connections_budget < threads:
        raise SettingsError(
            f"setting connections.budget must be at least {threads}, which is how many threads the server has"
        )


def _server_setting(name: str) -> Setting:
    if not SERVER_NAME.fullmatch(name.removeprefix(SERVER_PREFIX)):
        raise SettingsError(f"setting {name}: a server's name is lower-case letters, digits and underscores")
    return Setting(name, database_url, None, "a server: a PostgreSQL server or a directory of SQLite files")


def _parse(setting: Setting, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return setting.parse(value)
    except ValueError as error:
        raise SettingsError(f"setting {setting.name} {error}") from None


def _refuse_unknown(given: Mapping[str, str], own_prefix: str) -> None:
    known = {setting.name for setting in TABLE}
    for name in given:
        if name not in known and not name.startswith((SERVER_PREFIX, own_prefix, *FOREIGN_PREFIXES)):
            raise SettingsError(f"setting {name} is unknown")


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    given = {
        setting.name: environment[setting.variable].strip() for setting in TABLE if setting.variable in environment
    }
    for variable, value in environment.items():
        if variable.startswith(SERVER_VARIABLES):
            given[SERVER_PREFIX + variable.removeprefix(SERVER_VARIABLES).lower()] = value.strip()
    return given


def _refuse_unknown_variables(environment: Mapping[str, str], own_prefix: str) -> None:
    known = ENVIRONMENT_OTHERS | {setting.variable for setting in TABLE}
    own_variables = ENVIRONMENT_PREFIX + own_prefix.replace(".", "_").upper()
    for variable in environment:
        ours = variable.startswith(ENVIRONMENT_PREFIX) and not variable.startswith((SERVER_VARIABLES, own_variables))
        if ours and variable not in known:
            raise SettingsError(f"environment variable {variable} names no setting")
