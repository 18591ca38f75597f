"""What did a request do, and when, for whoever follows it through several programs?

Requests and their statements are spans of OpenTelemetry. They come from what the drivers' connections report, because
the instrumentation of SQLAlchemy would see no more than the first of many engines, and no prepared SELECT.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Trace, if the setting ``opentelemetry.endpoint`` says where to. Without it, OpenTelemetry is not imported."""
    if config.registry.app_settings.opentelemetry_endpoint is not None:
        config.include("tenantapp.tracing.application")
