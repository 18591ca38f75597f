"""Read the options of ``[server:main]``, at start-up and at each reload.

Variables of the environment take precedence: ``workers`` is ``TENANTAPP_SERVER_WORKERS``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tenantapp.ini_files import ini_loader
from tenantapp.serving.cores import usable_cores
from tenantapp.serving.proxy_headers import DEFAULT_HEADERS, HEADERS, TrustedProxy
from tenantapp.setting_types import number, text
from tenantapp.settings import (
    SERVING_VARIABLES,
    Setting,
    Settings,
    SettingsError,
    read_setting,
)

OURS: Final = ("egg:tenantapp", "egg:tenantapp#main")
PREFIX: Final = "server."
LINGER: Final = 2  # seconds for which a worker that stops still answers what comes on kept connections
DEFAULT_THREADS: Final = 4


def workers(value: str) -> int:
    """Return a number of processes; ``auto``: one for each core that this process may use. Raises ``ValueError``."""
    if value == "auto":
        return usable_cores()
    try:
        return int(number(int, 1, 1024, "processes")(value))
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def keepalive(value: str) -> int:
    """Return seconds. A proxy that closes its connections after one second has to be first. Raises ``ValueError``."""
    if value == "0":
        return 0
    try:
        return int(number(int, 2, 75, "seconds")(value))
    except ValueError as error:
        raise ValueError(f"{error}, or 0") from None


def proxy_headers(value: str) -> frozenset[str]:
    """Return the names of headers that the proxy sends. Raises ``ValueError``."""
    names = frozenset(value.lower().split())
    if unknown := sorted(names - set(HEADERS)):
        raise ValueError(f"may name only {', '.join(HEADERS)}, not {', '.join(unknown)}")
    return names


TABLE: Final = (
    Setting("server.host", text, "127.0.0.1", "address to listen on"),
    Setting("server.port", number(int, 1, 65535, "a port"), "6543", "port to listen on"),
    Setting("server.workers", workers, "auto", "processes; auto: one per core"),
    Setting("server.threads", number(int, 1, 256, "threads"), str(DEFAULT_THREADS), "threads in each process"),
    Setting(
        "server.graceful_timeout",
        number(int, 1, 3600, "seconds"),
        "30",
        "time that requests get to finish when a process stops, in seconds",
    ),
    Setting(
        "server.keepalive",
        keepalive,
        "0",
        "time that a connection without a request is kept, in seconds; 0: each answer closes its connection",
    ),
    Setting(
        "server.max_request_body_size",
        number(int, 1024, 2**30, "bytes"),
        "16777216",
        "largest request body that the server reads, in bytes",
    ),
    Setting("server.trusted_proxy", text, None, "address of the proxy to trust; by default none"),
    Setting(
        "server.trusted_proxy_count", number(int, 1, 16, "proxies"), "1", "number of proxies in front of the server"
    ),
    Setting(
        "server.trusted_proxy_headers",
        proxy_headers,
        " ".join(DEFAULT_HEADERS),
        "headers that the proxy sets on every request",
    ),
)


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed options. Times are in seconds, sizes in bytes."""

    host: str
    port: int
    workers: int
    threads: int
    graceful_timeout: int
    keepalive: int
    max_request_body_size: int
    trusted_proxy: str | None
    trusted_proxy_count: int
    trusted_proxy_headers: frozenset[str]

    @property
    def proxy(self) -> TrustedProxy:
        """Return the proxy to trust."""
        return TrustedProxy(self.trusted_proxy, self.trusted_proxy_count, self.trusted_proxy_headers)


def read_section(global_config: Mapping[str, str] | None) -> dict[str, str]:
    """Return the ini file's server section, or an empty dictionary if there is no file."""
    path = (global_config or {}).get("__file__")
    # The section may use variables that the command line sets.
    return dict(ini_loader(path).get_settings("server:main", dict(global_config or {}))) if path else {}


def read_options(section: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Options:
    """Parse the options in the section of our own server. Raises ``SettingsError``."""
    given = {f"{PREFIX}{name}": value for name, value in section.items() if name != "use"}
    known = {setting.name: setting for setting in TABLE}
    for name in given:
        if name not in known:
            raise SettingsError(f"setting {name.removeprefix(PREFIX)} of [server:main] is unknown")
    refuse_unknown_variables(environment)
    options = Options(**{name.removeprefix(PREFIX): read_setting(known[name], given, environment) for name in known})
    if options.keepalive and options.graceful_timeout <= LINGER:
        raise SettingsError(
            f"setting server.keepalive needs a server.graceful_timeout of more than {LINGER} seconds, "
            "for which a worker that stops keeps its connections"
        )
    return options


def refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """Raise ``SettingsError`` if a variable of the environment names no option, whichever server is used."""
    known = {setting.variable for setting in TABLE}
    for variable in environment:
        if variable.startswith(SERVING_VARIABLES) and variable not in known:
            raise SettingsError(f"environment variable {variable} names no setting")


def processes_and_threads(section: Mapping[str, str]) -> tuple[int, int]:
    """Return the largest number of processes that share the databases, and the number of threads of each.

    Both come from the server section. During a reload there is one process more than there are workers. Any other
    server counts as one process. Its ``threads`` default to four, as in waitress. Raises ``SettingsError``.
    """
    refuse_unknown_variables(os.environ)
    if section.get("use") in OURS:
        options = read_options(section)
        return options.workers + 1, options.threads
    threads = str(section.get("threads", DEFAULT_THREADS))
    return 1, int(threads) if threads.isdecimal() else DEFAULT_THREADS


def check_budget(settings: Settings, threads: int) -> None:
    """Raise ``SettingsError`` if the budget has fewer connections than a process has threads."""
    if settings.connections_budget is not None and settings.connections_budget < threads:
        raise SettingsError(
            f"setting connections.budget must be at least {threads}, the number of the server's threads"
        )
