"""A person's own second factors over HTTP."""

from typing import Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.account import answers
from tenantapp.account.post import post_of
from tenantapp.account.relying_parties import relying_party
from tenantapp.api.json import Body
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.credentials import authenticator_apps, challenges, factors, passkeys
from tenantapp.credentials.authenticator_apps import TOTP
from tenantapp.credentials.challenges import Purpose
from tenantapp.credentials.models import AuthenticatorApp, Passkey
from tenantapp.credentials.passkeys import PASSKEY
from tenantapp.credentials.recovery_codes import FEW
from tenantapp.identity import web_sessions
from tenantapp.identity.encrypted import secrets_of
from tenantapp.identity.models import User
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest


class FirstCode(Body, json_schema_extra=example({"code": "123456"})):
    """The body of ``POST /account/factors/totp/confirmation``."""

    code: str = Field(max_length=100)


class NewPasskey(
    Body,
    json_schema_extra=example(
        {"challenge": "of-this-registration", "passkey": {"id": "...", "response": {}}, "name": "Laptop"}
    ),
):
    """The body of ``POST /account/factors/passkeys``.

    ``passkey`` is what ``navigator.credentials.create`` has returned, as JSON. Without a name, it is called by what has
    made it, as far as that is known, or else "Passkey" and the day.
    """

    challenge: str = Field(max_length=100)
    passkey: dict[str, Any]
    name: str | None = Field(None, max_length=1000)


class PasskeyName(Body, json_schema_extra=example({"name": "Key on my key ring"})):
    """The body of ``PATCH /account/factors/passkeys/{id}``."""

    name: str = Field(max_length=1000)


@api_view("factors", "GET", permission=Permission.OWN_ACCOUNT, answer=answers.Factors)
def list_factors(request: TenantRequest) -> dict[str, Any]:
    """Return the person's second factors."""
    found = factors.factors_of(request.user_session, request.access.person.id)
    return {
        "totp": None if found.app is None else app(found.app),
        "passkeys": [passkey(each) for each in found.passkeys],
        "recovery_codes": found.recovery_codes,
        "few_recovery_codes": bool(found.number) and found.recovery_codes <= FEW,
    }


@api_view(
    "totp",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.NewApp,
    problems=("already_exists",),
)
def create_app(request: TenantRequest) -> dict[str, Any]:
    """Make a secret for an authenticator app. It counts once a first code of it was sent."""
    person, secrets = request.access.person, secrets_of(request.registry.app_settings)
    party = relying_party(request)
    made = authenticator_apps.begin(request.user_session, secrets, person.id, person.login, party.id)
    return {"secret": made.secret, "uri": made.uri, "qr_code": made.qr_code}


@api_view(
    "totp_confirmation",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    body=FirstCode,
    writes="user",
    answer=None,
    problems=("not_found", "invalid_code"),
)
def confirm_app(request: TenantRequest) -> Response:
    """Let the authenticator app count from now on. The session has the factor ``totp``."""
    session, person = request.user_session, request.access.person
    secrets = secrets_of(request.registry.app_settings)
    authenticator_apps.confirm(session, secrets, person.id, request.checked_body.code)
    _add_to_session(request, TOTP)
    _tell(request)
    return Response(status=204)


@api_view(
    "totp",
    "DELETE",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    fresh=True,
    answer=None,
    problems=("not_found", "factor_needed"),
)
def delete_app(request: TenantRequest) -> Response:
    """Remove the authenticator app."""
    factors.remove_app(request.user_session, request.access.person.id, relying_party(request))
    _tell(request)
    return Response(status=204)


@api_view(
    "new_passkey_challenges",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.PasskeyChallenge,
    problems=("too_many_passkeys",),
)
def create_registration(request: TenantRequest) -> dict[str, Any]:
    """Begin to add a passkey: return the options for ``navigator.credentials.create``."""
    session, person = request.user_session, request.access.person
    asked = passkeys.ask_to_add(session, session.get_one(User, person.id), relying_party(request))
    return challenges.ask_passkey(session, Purpose.ADD_PASSKEY, asked, person.id)


@api_view(
    "passkeys",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    body=NewPasskey,
    writes="user",
    status=201,
    answer=answers.Passkey,
    problems=("already_exists", "challenge_ended"),
)
def create_passkey(request: TenantRequest) -> dict[str, Any]:
    """Add the passkey that an authenticator has made. The session has the factor ``passkey``."""
    body: NewPasskey = request.checked_body
    person = request.access.person
    pending = challenges.open_own(request.registry.user_db, body.challenge, Purpose.ADD_PASSKEY, person.id)
    session, asked = request.user_session, pending.passkey_challenge or b""
    challenges.use(session, pending)
    names = request.registry.passkey_names
    made = passkeys.add(session, person.id, relying_party(request), asked, body.passkey, body.name, names)
    _add_to_session(request, PASSKEY)
    _tell(request)
    return passkey(made)


@api_view(
    "passkey", "PATCH", permission=Permission.OWN_ACCOUNT, body=PasskeyName, writes="user", answer=answers.Passkey
)
def rename_passkey(request: TenantRequest) -> dict[str, Any]:
    """Give a passkey another name."""
    name = request.checked_body.name
    return passkey(passkeys.rename(request.user_session, request.access.person.id, path_id(request), name))


@api_view(
    "passkey",
    "DELETE",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    fresh=True,
    answer=None,
    problems=("factor_needed",),
)
def delete_passkey(request: TenantRequest) -> Response:
    """Remove a passkey."""
    person, party = request.access.person, relying_party(request)
    factors.remove_passkey(request.user_session, person.id, path_id(request), party)
    _tell(request)
    return Response(status=204)


@api_view(
    "recovery_codes",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.RecoveryCodes,
    problems=("no_second_factor",),
)
def create_recovery_codes(request: TenantRequest) -> dict[str, Any]:
    """Make new recovery codes. They are in this answer and nowhere else; the former ones no longer work."""
    codes = factors.renew_recovery_codes(request.user_session, request.access.person.id)
    _tell(request)
    return {"codes": codes}


def app(found: AuthenticatorApp) -> dict[str, Any]:
    """Return an authenticator app as the API shows it, without its secret."""
    return {"created_at": found.confirmed_at, "last_used_at": found.last_used_at}


def passkey(found: Passkey) -> dict[str, Any]:
    """Return a passkey as the API shows it. ``backed_up`` says whether it is kept in an account of its maker."""
    return {
        "id": found.id,
        "name": found.name,
        "host": found.rp_id,
        "aaguid": found.aaguid,
        "backed_up": found.backed_up,
        "created_at": found.created_at,
        "last_used_at": found.last_used_at,
    }


def _tell(request: TenantRequest) -> None:
    factors.tell_of_change(request.user_session, request.access.person.id, post_of(request))


def _add_to_session(request: TenantRequest, factor: str) -> None:
    access = request.access
    web_sessions.add_factor(request.user_session, access.web_session_id, {*access.factors, factor})


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("factors", "/account/factors")
    config.add_route("totp", "/account/factors/totp")
    config.add_route("totp_confirmation", "/account/factors/totp/confirmation")
    config.add_route("new_passkey_challenges", "/account/factors/passkey-challenges")
    config.add_route("passkeys", "/account/factors/passkeys")
    config.add_route("passkey", f"/account/factors/passkeys/{ID}")
    config.add_route("recovery_codes", "/account/factors/recovery-codes")
