"""Proving again who one is, before dangerous acts, and the challenges for passkeys."""

from typing import Any

from pydantic import Field, model_validator
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.account.answers import PasskeyChallenge, Session
from tenantapp.account.guarding import count_challenge, guarded
from tenantapp.account.post import post_of
from tenantapp.account.relying_parties import relying_party
from tenantapp.account.session_views import read_back, session_object
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.credentials import challenges, passkeys
from tenantapp.credentials.challenges import Purpose
from tenantapp.credentials.factors import Answer
from tenantapp.credentials.recovery_codes import RECOVERY_CODE, tell_used
from tenantapp.credentials.sign_in import authenticate
from tenantapp.credentials.throttling import Kind
from tenantapp.identity import web_sessions
from tenantapp.identity.encrypted import secrets_of
from tenantapp.identity.permissions import Permission
from tenantapp.identity.policy import cookie_token, refuse_tokens
from tenantapp.tenancy.request import TenantRequest


class Again(Body, json_schema_extra=example({"password": "correct horse battery"})):
    """The body of ``POST /session/reauthentication``: the password, or one second factor."""

    password: str | None = Field(None, max_length=10_000)
    code: str | None = Field(None, max_length=100)
    recovery_code: str | None = Field(None, max_length=100)
    challenge: str | None = Field(None, max_length=100)
    passkey: dict[str, Any] | None = None

    @model_validator(mode="after")
    def one_proof(self) -> "Again":
        """Raise ``ValueError`` unless exactly one is given, and a challenge with a passkey alone."""
        given = sum(each is not None for each in (self.password, self.code, self.recovery_code, self.passkey))
        if given != 1 or (self.challenge is None) != (self.passkey is None):
            raise ValueError("Give a password, a code, a recovery code, or a challenge and a passkey.")
        return self


@api_view(
    "passkey_challenges",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    writes="user",
    status=201,
    answer=PasskeyChallenge,
    problems=("csrf_failed", "token_not_allowed", "too_many_attempts"),
)
def create_challenge(request: TenantRequest) -> dict[str, Any]:
    """Begin a sign-in by a passkey alone. The answer goes to ``POST /session``."""
    refuse_tokens(request)
    count_challenge(request)
    asked = passkeys.ask_to_sign(relying_party(request))
    return challenges.ask_passkey(request.user_session, Purpose.PASSKEY, asked)


@api_view(
    "own_passkey_challenges",
    "POST",
    permission=Permission.SIGNED_IN,
    writes="user",
    status=201,
    answer=PasskeyChallenge,
    problems=("not_found",),
)
def create_own_challenge(request: TenantRequest) -> dict[str, Any]:
    """Ask for one of the person's own passkeys. The answer goes to ``POST /session/reauthentication``."""
    session, person = request.user_session, request.access.person
    asked = passkeys.ask_to_sign_own(session, person.id, relying_party(request))
    return challenges.ask_passkey(session, Purpose.AGAIN, asked, person.id)


@api_view(
    "reauthentication",
    "POST",
    permission=Permission.SIGNED_IN,
    body=Again,
    writes="user",
    answer=Session,
    headers=("Set-Cookie",),
    problems=("invalid_credentials", "invalid_code", "challenge_ended", "too_many_attempts"),
)
def prove_again(request: TenantRequest) -> dict[str, Any]:
    """Prove again who one is. The session gets a new token, and the old one no longer works."""
    access, old_token, token = request.access, cookie_token(request) or "", web_sessions.new_token()
    factor = _proved(request, request.checked_body)
    web_sessions.authenticated_again(request.user_session, old_token, token, {*access.factors, factor})
    if factor == RECOVERY_CODE:
        tell_used(request.user_session, post_of(request), access.person.id)
    request.response.headerlist.extend(request.registry.security_policy.remember(request, token))
    return session_object(request, read_back(request, token), token)


def _proved(request: TenantRequest, body: Again) -> str:
    """Return the factor that the request proves. Raises what ``authenticate`` and ``challenges`` raise."""
    person, settings, user_db = request.access.person, request.registry.app_settings, request.registry.user_db
    if body.password is not None:
        with guarded(request, Kind.PASSWORD, person.login):
            return authenticate(user_db, person.login, body.password, settings.passwords_memory).factors[0]
    pending = body.challenge and challenges.open_own(user_db, body.challenge, Purpose.AGAIN, person.id)
    answer, secrets = Answer(body.code, body.recovery_code, body.passkey), secrets_of(settings)
    with guarded(request, Kind.CODE, person.login):
        return challenges.prove_again(
            user_db, secrets, person.id, answer, pending or None, relying_party(request), request.actor
        )


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("passkey_challenges", "/passkey-challenges")
    config.add_route("own_passkey_challenges", "/session/passkey-challenges")
    config.add_route("reauthentication", "/session/reauthentication")
