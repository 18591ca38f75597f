"""Read the settings once, at start-up. A wrong setting stops the program.

A value comes from the ini file's ``[app:main]`` section or, with precedence, from the environment: the setting
``user_db.url`` is the variable ``TENANTAPP_USER_DB_URL``.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tenantapp.nearest_names import nearest
from tenantapp.setting_table import BUNDLED_DOMAIN as BUNDLED_DOMAIN
from tenantapp.setting_table import ENVIRONMENT_PREFIX, TABLE
from tenantapp.setting_table import Setting as Setting
from tenantapp.setting_table import Settings as Settings
from tenantapp.setting_types import addresses, archive_name, database_url, extension_names, number, pgbouncer_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Result = TypeVar("Result")
# Variables with our prefix that are not settings.
ENVIRONMENT_OTHERS: Final = frozenset({"TENANTAPP_INI", "TENANTAPP_TEST_POSTGRES_URL"})
# Settings of the libraries that we use. They read and check these themselves.
FOREIGN_PREFIXES: Final = ("pyramid.", "debugtoolbar.", "tm.", "retry.", "pshell.")
SERVER_PREFIX: Final = "servers."
PGBOUNCER_PREFIX: Final = "pgbouncer."
EXTENSIONS: Final = ".extensions"
ARCHIVE: Final = ".archive"
WEIGHT: Final = ".weight"
REPLICAS: Final = ".replicas"
REPLICA_LAG: Final = ".replica_lag"
ENDINGS: Final = (EXTENSIONS, ARCHIVE, WEIGHT, REPLICAS, REPLICA_LAG)
# The settings of a server have its name after these. All of the endings but the weight are of PostgreSQL alone.
OF_A_SERVER: Final = (SERVER_PREFIX, PGBOUNCER_PREFIX)
# The variables of the web server, which reads and checks them itself.
SERVING_VARIABLES: Final = f"{ENVIRONMENT_PREFIX}SERVER_"
SERVER_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


class SettingsError(Exception):
    """A setting is wrong, missing or unknown. The message is one sentence that names it."""


def read_settings(values: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Parse the settings of an ini file's section. Variables of the environment take precedence.

    Raises ``SettingsError`` for the first setting that is unknown, missing or wrong.
    """
    given = given_settings(values, environment)
    own_prefix = f"{given.get('tenantapp.domain', BUNDLED_DOMAIN)}."
    _refuse_unknown(given, TABLE, own_prefix)
    _refuse_unknown_variables(environment, TABLE, own_prefix)
    parsed = {setting.attribute: _parse(setting, given.get(setting.name, setting.default)) for setting in TABLE}
    if parsed["user_db_url"] is None:
        raise SettingsError("setting user_db.url is missing: it is the URL of the user database")
    extensions = _by_server(given, SERVER_PREFIX, extension_names, EXTENSIONS)
    archives = _by_server(given, SERVER_PREFIX, archive_name, ARCHIVE)
    weights = _by_server(given, SERVER_PREFIX, number(float, 0, 1000, "shares"), WEIGHT)
    replicas = _by_server(given, SERVER_PREFIX, addresses, REPLICAS)
    replica_lags = _by_server(given, SERVER_PREFIX, number(float, 0.5, 3600, "seconds"), REPLICA_LAG)
    urls = {name: value for name, value in given.items() if not name.endswith(ENDINGS)}
    servers = _by_server(urls, SERVER_PREFIX, database_url)
    pgbouncers = _by_server(given, PGBOUNCER_PREFIX, pgbouncer_url)
    if not servers:
        raise SettingsError("setting servers.main is missing: tenant databases need at least one server")
    of_postgres = {PGBOUNCER_PREFIX + name: name for name in pgbouncers}
    for ending, found in ((EXTENSIONS, extensions), (ARCHIVE, archives), (REPLICAS, replicas)):
        of_postgres |= {f"{SERVER_PREFIX}{name}{ending}": name for name in found}
    _check_behind(parsed, servers, of_postgres)
    if lost := sorted(weights.keys() - servers.keys()):
        raise SettingsError(f"setting servers.{lost[0]}.weight needs a server: there is no servers.{lost[0]}")
    if lost := sorted(replica_lags.keys() - replicas.keys()):
        raise SettingsError(
            f"setting servers.{lost[0]}.replica_lag needs replicas: there is no servers.{lost[0]}.replicas"
        )
    if parsed["tenancy_secret"] is None and any(url.drivername.startswith("postgresql") for url in servers.values()):
        raise SettingsError("setting tenancy.secret is missing: tenants' PostgreSQL passwords are derived from it")
    if parsed["tenancy_former_secret"] is not None and parsed["tenancy_former_secret"] == parsed["tenancy_secret"]:
        raise SettingsError("setting tenancy.former_secret must differ from tenancy.secret, which replaces it")
    if parsed["tenantapp_domain"] != BUNDLED_DOMAIN and parsed["migrations_tenant"] is None:
        raise SettingsError(
            f"setting migrations.tenant is missing: it names the migrations of {parsed['tenantapp_domain']}"
        )
    if parsed["mail_url"] is not None and parsed["mail_from"] is None:
        raise SettingsError("setting mail.from is missing: it is the sender of mail, such as Shop <shop@example.com>")
    stream = parsed["audit_stream"]
    if stream is not None and stream.scheme == "https" and parsed["audit_stream_secret"] is None:
        raise SettingsError("setting audit.stream_secret is missing: entries sent to an https:// address are signed")
    parsed |= {"servers": servers, "pgbouncers": pgbouncers, "extensions": extensions, "archives": archives}
    parsed |= {"weights": weights, "replicas": replicas, "replica_lags": replica_lags}
    return Settings(**parsed, given=given)


def given_settings(values: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the text of each setting that is given, unchecked. Variables of the environment take precedence."""
    return {name: str(value).strip() for name, value in values.items()} | _from_environment(environment)


def read_setting(setting: Setting, values: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Any:
    """Parse a setting of the domain, whose name begins with its package's name. Raises ``SettingsError``."""
    value = environment.get(setting.variable, values.get(setting.name, setting.default))
    return _parse(setting, None if value is None else str(value).strip())


def _by_server(
    given: Mapping[str, str], prefix: str, parse: Callable[[str], Result], suffix: str = ""
) -> dict[str, Result]:
    """Return the settings whose names have this beginning and this end, by the name of the server between them."""
    parsed = {}
    for name, value in given.items():
        if name.startswith(prefix) and name.endswith(suffix):
            server = name.removeprefix(prefix).removesuffix(suffix)
            if not SERVER_NAME.fullmatch(server):
                raise SettingsError(f"setting {name}: a server's name has lower-case letters, digits and underscores")
            parsed[server] = _parse(Setting(name, parse, None, ""), value)
    return parsed


def _check_behind(parsed: Mapping[str, Any], servers: "Mapping[str, URL]", of_postgres: Mapping[str, str]) -> None:
    """Raise ``SettingsError`` if a setting has no PostgreSQL server behind it.

    ``of_postgres`` has the name of the server of each such setting.
    """
    behind = {setting: servers.get(name) for setting, name in of_postgres.items()}
    if parsed["user_db_pgbouncer"] is not None:
        behind["user_db.pgbouncer"] = parsed["user_db_url"]
    for name, url in behind.items():
        if url is None or not url.drivername.startswith("postgresql"):
            raise SettingsError(f"setting {name} needs a PostgreSQL server behind it")


def _parse(setting: Setting, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return setting.parse(value)
    except ValueError as error:
        raise SettingsError(f"setting {setting.name} {error}") from None


def refuse_undeclared(
    settings: Settings, declared: Iterable[Setting], environment: Mapping[str, str] = os.environ
) -> None:
    """Raise ``SettingsError`` for a setting that is neither ours nor declared by the domain, or for such a variable."""
    known = (*TABLE, *declared)
    _refuse_unknown(settings.given, known)
    _refuse_unknown_variables(environment, known)


def _refuse_unknown(given: Iterable[str], known: Iterable[Setting], own_prefix: str | None = None) -> None:
    """Raise ``SettingsError`` for a name that no known setting has.

    With ``own_prefix``, those of the domain and of the packages that it may include pass.
    """
    names = {setting.name for setting in known}
    for name in given:
        if name in names or name.startswith((*OF_A_SERVER, *FOREIGN_PREFIXES)):
            continue
        if own_prefix is None or not (name.startswith(own_prefix) or _is_of_a_package(name.split(".")[:1])):
            raise SettingsError(f"setting {name} is unknown{nearest(name, names)}")


def _is_of_a_package(words: Sequence[str]) -> bool:
    """Return whether the first words, joined, are an installed package, and not the beginning of settings of ours."""
    ours = {setting.name.partition(".")[0] for setting in TABLE}
    beginnings = {"_".join(words[: count + 1]) for count in range(len(words))} - ours
    return any(name.isidentifier() and find_spec(name) is not None for name in beginnings)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    given = {
        setting.name: environment[setting.variable].strip() for setting in TABLE if setting.variable in environment
    }
    for prefix in OF_A_SERVER:
        beginning = _variables(prefix)
        for variable, value in environment.items():
            if variable.startswith(beginning):
                given[_of_server(prefix + variable.removeprefix(beginning).lower())] = value.strip()
    return given


def _of_server(name: str) -> str:
    """Return the name of a setting of a server, which was the name of a variable."""
    for ending in ENDINGS:
        written = ending.replace(".", "_")
        if name.startswith(SERVER_PREFIX) and name.endswith(written):
            return name.removesuffix(written) + ending
    return name


def _refuse_unknown_variables(given: Iterable[str], known: Iterable[Setting], own_prefix: str | None = None) -> None:
    names = {setting.variable for setting in known}
    passing = (*(_variables(prefix) for prefix in OF_A_SERVER), SERVING_VARIABLES)
    for variable in given:
        ours = variable.startswith(ENVIRONMENT_PREFIX) and not variable.startswith(passing)
        if not ours or variable in names | ENVIRONMENT_OTHERS:
            continue
        words = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("_")
        if own_prefix is None or not (variable.startswith(_variables(own_prefix)) or _is_of_a_package(words[:-1])):
            raise SettingsError(
                f"environment variable {variable} names no setting{nearest(variable, names, ENVIRONMENT_PREFIX)}"
            )


def _variables(prefix: str) -> str:
    """Return the prefix of the variables for settings with this prefix."""
    return ENVIRONMENT_PREFIX + prefix.replace(".", "_").upper()
