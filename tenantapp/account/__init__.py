"""How does a person manage sessions and API tokens, and an administrator the members of a tenant, over HTTP?"""

from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from tenantapp.api import PREFIX
from tenantapp.credentials import errors
from tenantapp.credentials.breached import breached_passwords
from tenantapp.credentials.errors import LinkNotValid, ThrottleUnavailable, TooManyAttempts, TooManyLinks
from tenantapp.credentials.passkey_names import passkey_names


def includeme(config: Configurator) -> None:
    """Add the views of sessions, registration, members, tokens and service accounts under ``/api/v1``."""
    config.add_problem(LinkNotValid, 410, "link_not_valid")
    config.add_problem(TooManyLinks, 429, "too_many_links", headers=_retry_after)
    config.registry.breached_passwords = breached_passwords(config.registry.app_settings)
    config.registry.passkey_names = passkey_names(config.registry.app_settings)
    config.add_problem(TooManyAttempts, 429, "too_many_attempts", headers=_retry_after)
    config.add_problem(ThrottleUnavailable, 503, "busy")
    _add_problems(config)
    for module in (
        "session_views",
        "reauthentication_views",
        "factor_views",
        "account_views",
        "link_views",
        "registration_views",
        "member_views",
        "invitation_views",
        "people_views",
        "token_views",
        "service_account_views",
        "tenant_settings_views",
        "single_sign_on_views",
        "identity_provider_views",
        "impersonation_views",
        "provisioning_token_views",
        "domain_views",
    ):
        config.include(f"tenantapp.account.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.account.{module}")
    config.include("tenantapp.account.single_sign_on_views.add_browser_routes")
    config.include("tenantapp.account.scim_views")
    config.scan("tenantapp.account.scim_views")


def _retry_after(request: Any, error: TooManyAttempts | TooManyLinks) -> Mapping[str, str]:
    return {"Retry-After": str(error.retry_after)}


def _add_problems(config: Configurator) -> None:
    """Map the errors of credentials to status and code."""
    config.add_problem(errors.SignInIncomplete, 401, "sign_in_incomplete", members=("challenge",))
    config.add_problem(errors.PasswordChangeRequired, 401, "password_change_required", members=("challenge",))
    config.add_problem(errors.ChallengeEnded, 401, "challenge_ended")
    config.add_problem(errors.InvalidCode, 401, "invalid_code")
    config.add_problem(errors.InvalidPasskey, 422, "invalid", pointer="field")
    config.add_problem(errors.FactorNeeded, 409, "factor_needed")
    config.add_problem(errors.NoSecondFactor, 409, "no_second_factor")
    config.add_problem(errors.TooManyPasskeys, 409, "too_many_passkeys")
