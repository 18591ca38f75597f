"""How many threads serve requests, and whether the settings suit that."""

from collections.abc import Mapping
from typing import Final

from plaster import get_settings

from tenantapp.settings import Settings, SettingsError

DEFAULT_THREADS: Final = 4


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
