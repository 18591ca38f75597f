"""Every setting tenantapp knows: one typed table, read once, failing at start-up.

A value comes from the ini file's ``[app:main]`` section or, with precedence, from the environment: the setting
``user_db.url`` is the variable ``TENANTAPP_USER_DB_URL``.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from plaster import get_settings
from sqlalchemy.engine import URL

from tenantapp.setting_types import choice, database_url, flag, number, package, secret, text, user_database_url

BUNDLED_DOMAIN: Final = "tenantapp.workspace"
ENVIRONMENT_PREFIX: Final = "TENANTAPP_"
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
class Setting:
    """A setting's name in the ini file, how its text is read, its default (as text; None: no value) and its help."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def attribute(self) -> str:
        return self.name.replace(".", "_")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.attribute.upper()


TABLE: Final = (
    Setting("user_db.url", user_database_url, None, "URL of the user database; required"),
    Setting("tenantapp.domain", package, BUNDLED_DOMAIN, "package of the domain: its includeme and its models"),
    Setting("tenancy.secret", secret, None, "secret the tenants' PostgreSQL passwords are derived from"),
    Setting("identity.registration", choice("open", "closed"), "closed", "whether anyone may register: open or closed"),
    Setting(
        "session.idle_timeout",
        number(int, 120, 86400 * 30, "seconds"),
        "1800",
        "seconds without use until a web session ends",
    ),
    Setting(
        "session.absolute_timeout",
        number(int, 120, 86400 * 365, "seconds"),
        "28800",
        "seconds until a web session ends anyway",
    ),
    Setting(
        "connections.budget",
        number(int, 1, 100_000, "connections"),
        None,
        "most connections to each server that a process may hold; by default its part of what the server allows",
    ),
    Setting("connections.workers", number(int, 1, 1024, "processes"), "1", "processes that share each server"),
    Setting(
        "connections.timeout", number(float, 0.1, 60, "seconds"), "2", "longest wait for a free connection, in seconds"
    ),
    Setting("api.max_body", number(int, 1024, 2**30, "bytes"), "1048576", "largest request body, in bytes"),
    Setting("migrations.user", text, None, "script location of the user history, where it is not the bundled one"),
    Setting("migrations.tenant", text, None, "script location of the tenant history; a domain of your own needs it"),
    Setting(
        "migrations.oldest",
        text,
        None,
        "oldest revision of a tenant database that is served; without it every one is",
    ),
    Setting(
        "migrations.lock_timeout",
        number(float, 0.05, 60, "seconds"),
        "2",
        "longest wait of a tenant's migration for a lock, in seconds; it is tried again later",
    ),
    Setting(
        "migrations.lock_attempts",
        number(int, 1, 1000, "attempts"),
        "10",
        "how often a tenant's migration is tried while others hold a lock",
    ),
    Setting(
        "migrations.statement_timeout",
        number(float, 1, 86400 * 7, "seconds"),
        "1800",
        "longest statement of a tenant's migration, in seconds",
    ),
    Setting("fleet.worker", number(int, 0, 64, "jobs"), "0", "operations that the serving process works on at once"),
    Setting(
        "fleet.keep_operations",
        number(int, 1, 36500, "days"),
        "90",
        "days until `tenantapp sweep` deletes a finished operation",
    ),
    Setting("demo.enabled", flag, "false", "whether `tenantapp demo` may fill the databases"),
)


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
