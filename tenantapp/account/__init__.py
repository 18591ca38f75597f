"""How does a person manage sessions and API tokens, and an administrator the members of a tenant, over HTTP?"""

from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from tenantapp.api import PREFIX
from tenantapp.credentials.breached import breached_passwords
from tenantapp.credentials.errors import ThrottleUnavailable, TooManyAttempts


def includeme(config: Configurator) -> None:
    """Add the views of sessions, registration, members, tokens and service accounts under ``/api/v1``."""
    config.registry.breached_passwords = breached_passwords(config.registry.app_settings)
    config.add_problem(TooManyAttempts, 429, "too_many_attempts", headers=_retry_after)
    config.add_problem(ThrottleUnavailable, 503, "busy")
    for module in (
        "session_views",
        "user_views",
        "member_views",
        "people_views",
        "token_views",
        "service_account_views",
    ):
        config.include(f"tenantapp.account.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.account.{module}")


def _retry_after(request: Any, error: TooManyAttempts) -> Mapping[str, str]:
    return {"Retry-After": str(error.retry_after)}
