"""Assemble the application from its packages."""

from typing import Any

from tenantapp.configuration import read_app_settings
from tenantapp.databases.histories.domain_models import models_are_seen
from tenantapp.identity.declared_rights import RightsConfigurator
from tenantapp.serving.options import read_section


def make_app(global_config: Any, settings: dict[str, Any]) -> Any:
    """Return the WSGI application. Raises ``SettingsError``."""
    app_settings = read_app_settings(read_section(global_config), settings)
    # If the debug toolbar is used, our panels replace its own: ours hide cookies, tokens and passwords.
    settings.setdefault("debugtoolbar.includes", "tenantapp.ops.toolbar")
    with RightsConfigurator(settings=settings) as config:
        config.registry.app_settings = app_settings
        # In this order: each package uses what the packages before it have put on the registry.
        config.include("tenantapp.tenancy")
        config.include("tenantapp.identity")
        config.include("tenantapp.fleet")
        config.include("tenantapp.api")
        config.include("tenantapp.resources")
        config.include("tenantapp.account")
        config.include("tenantapp.console")
        config.include("tenantapp.ops")
        config.include("tenantapp.web")
        with models_are_seen(app_settings.tenantapp_domain):
            config.include(app_settings.tenantapp_domain)
    return config.make_wsgi_app()
