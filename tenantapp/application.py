"""Assemble the application from its packages."""

from typing import Any

from pyramid.config import Configurator

from tenantapp.configuration import read_app_settings
from tenantapp.databases.histories.domain_models import models_are_seen
from tenantapp.domain_settings import settings_of_domain
from tenantapp.identity.declared_rights import RightsConfigurator
from tenantapp.serving.options import read_section
from tenantapp.settings import Settings


def make_app(global_config: Any, settings: dict[str, Any]) -> Any:
    """Return the WSGI application. Raises ``SettingsError``."""
    app_settings = read_app_settings(read_section(global_config), settings)
    # If the debug toolbar is used, our panels replace its own: ours hide cookies, tokens and passwords.
    settings.setdefault("debugtoolbar.includes", "tenantapp.ops.toolbar")
    with RightsConfigurator(settings=settings) as config:
        include_all(config, app_settings)
    return config.make_wsgi_app()


def include_all(config: Configurator, settings: Settings) -> None:
    """Include our packages and the domain."""
    config.registry.app_settings = settings
    # In this order: each package uses what the packages before it have put on the registry.
    config.include("tenantapp.tenancy")
    config.include("tenantapp.identity")
    config.include("tenantapp.fleet")
    config.include("tenantapp.tracing")
    config.include("tenantapp.work")
    config.include("tenantapp.audit")
    config.include("tenantapp.usage")
    config.include("tenantapp.api")
    config.include("tenantapp.mail")
    config.include("tenantapp.credentials")
    config.include("tenantapp.limiting")
    config.include("tenantapp.files")
    config.include("tenantapp.resources")
    config.include("tenantapp.webhooks")
    config.include("tenantapp.federation")
    config.include("tenantapp.account")
    config.include("tenantapp.console")
    config.include("tenantapp.ops")
    config.include("tenantapp.metrics")
    config.include("tenantapp.web")
    with models_are_seen(settings.tenantapp_domain), settings_of_domain(config):
        config.include(settings.tenantapp_domain)
