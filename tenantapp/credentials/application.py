"""Add to the application what people prove who they are by, and what guards against guessing."""

from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from tenantapp.credentials import errors, passwords
from tenantapp.credentials.breached import breached_passwords
from tenantapp.credentials.counters import counters_of
from tenantapp.credentials.passkey_names import passkey_names
from tenantapp.credentials.throttling import throttle_of
from tenantapp.settings import Settings


def includeme(config: Configurator) -> None:
    """Put ``throttle``, ``breached_passwords`` and ``passkey_names`` on the registry. Bound the threads that hash."""
    settings: Settings = config.registry.app_settings
    registry = config.registry
    counters = counters_of(settings.throttle_store, lambda: registry.access_reader.database)
    registry.throttle = throttle_of(settings, counters)
    registry.breached_passwords = breached_passwords(settings)
    registry.passkey_names = passkey_names(settings)
    passwords.bound_waiting(settings.threads)
    _add_problems(config)


def _add_problems(config: Configurator) -> None:
    """Map the errors of this package to status and code."""
    config.add_problem(errors.LinkNotValid, 410, "link_not_valid")
    config.add_problem(errors.TooManyLinks, 429, "too_many_links", headers=_retry_after)
    config.add_problem(errors.TooManyAttempts, 429, "too_many_attempts", headers=_retry_after)
    config.add_problem(errors.ThrottleUnavailable, 503, "busy")
    config.add_problem(errors.SignInIncomplete, 401, "sign_in_incomplete", members=("challenge",))
    config.add_problem(errors.PasswordChangeRequired, 401, "password_change_required", members=("challenge",))
    config.add_problem(errors.ChallengeEnded, 401, "challenge_ended")
    config.add_problem(errors.InvalidCode, 401, "invalid_code")
    config.add_problem(errors.InvalidPasskey, 422, "invalid", pointer="field")
    config.add_problem(errors.FactorNeeded, 409, "factor_needed")
    config.add_problem(errors.NoSecondFactor, 409, "no_second_factor")
    config.add_problem(errors.TooManyPasskeys, 409, "too_many_passkeys")


def _retry_after(request: Any, error: errors.TooManyAttempts | errors.TooManyLinks) -> Mapping[str, str]:
    return {"Retry-After": str(error.retry_after)}
