"""tenantapp: one login, many databases."""

import logging
from dataclasses import replace
from typing import Any

from pyramid.config import Configurator

from tenantapp.serving.options import check_budget, processes_and_threads, read_section
from tenantapp.settings import Settings, SettingsError, read_settings

log = logging.getLogger(__name__)


def main(global_config: Any, **settings: Any) -> Any:
    """The WSGI application (PasteDeploy's application factory).

    A setting that is wrong ends the process with one sentence.
    """
    try:
        return _make_app(global_config, settings)
    except SettingsError as error:
        raise SystemExit(f"tenantapp: {error}.") from None


def _make_app(global_config: Any, settings: dict[str, Any]) -> Any:
    app_settings = _read_settings(global_config, settings)
    with Configurator(settings=settings) as config:
        config.registry.app_settings = app_settings
        # Each room finds what those before it have put on the registry.
        config.include("tenantapp.tenancy")
        config.include("tenantapp.identity")
        config.include("tenantapp.fleet")
        config.include("tenantapp.api")
        config.include("tenantapp.account")
        config.include("tenantapp.console")
        config.include("tenantapp.ops")
        config.include(app_settings.tenantapp_domain)
    return config.make_wsgi_app()


def _read_settings(global_config: Any, settings: dict[str, Any]) -> Settings:
    """With what depends on the server that the same file sets up. Raises ``SettingsError``."""
    app_settings = read_settings(settings)
    processes, threads = processes_and_threads(read_section(global_config))
    check_budget(app_settings, threads)
    return replace(app_settings, connections_workers=app_settings.connections_workers or processes)
