"""tenantapp: one login, many databases."""

import logging
from typing import Any

from pyramid.config import Configurator

from tenantapp.server_threads import check_budget, server_threads
from tenantapp.settings import SettingsError, read_settings

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
    app_settings = read_settings(settings)
    check_budget(app_settings, server_threads(global_config))
    with Configurator(settings=settings) as config:
        config.registry.app_settings = app_settings
        # Each room finds what those before it have put on the registry.
        config.include("tenantapp.tenancy")
        config.include("tenantapp.identity")
        config.include("tenantapp.fleet")
        config.include("tenantapp.api")
        config.include("tenantapp.ops")
        config.include(app_settings.tenantapp_domain)
    return config.make_wsgi_app()
