"""Trace the requests of the application."""

from functools import partial

from pyramid.config import Configurator

from tenantapp.settings import Settings
from tenantapp.tracing.exporting import batches_to
from tenantapp.tracing.requests import Tracing


def includeme(config: Configurator) -> None:
    """Trace from the moment when the application is served. ``opentelemetry.endpoint`` must be set."""
    registry = config.registry
    settings: Settings = registry.app_settings
    endpoint = str(settings.opentelemetry_endpoint)
    registry.tracing = Tracing(settings.opentelemetry_sample, partial(batches_to, endpoint))
    registry.request_starters.append(registry.tracing.begin)
    registry.bulkhead.wait_observers.append(registry.tracing.waited)
    registry.serving_threads.add(registry.tracing)
