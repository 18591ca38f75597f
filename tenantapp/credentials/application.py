"""Add to the application what guards against guessing."""

from pyramid.config import Configurator

from tenantapp.credentials import passwords
from tenantapp.credentials.counters import counters_of
from tenantapp.credentials.throttling import throttle_of
from tenantapp.settings import Settings


def includeme(config: Configurator) -> None:
    """Put the ``throttle`` on the registry, and bound how many of the server's threads hash passwords."""
    settings: Settings = config.registry.app_settings
    registry = config.registry
    counters = counters_of(settings.throttle_store, lambda: registry.access_reader.database)
    registry.throttle = throttle_of(settings, counters)
    passwords.bound_waiting(settings.threads)
